"""What no job needs goes, what a job or a sender needs stays: whenever the service dies, and whatever happens at once."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from mortal_service import Fuse, Killed
from sent_files import OTHER, OWNER, take

from himalia_jobs.contents import ContentStore, Freed, Needs, Sweeper, pins, sweeping

GRACE = 7 * 86400.0


def send(store: ContentStore, files: dict[str, str], owner: str = OWNER) -> str:
    """Take files in; return the snapshot's digest."""
    folder = store.blobs.parent / "sent"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    digest = take(store, folder, owner)
    shutil.rmtree(folder)
    return digest


def contents(store: ContentStore, owner: str = OWNER) -> set[str]:
    """Return what an owner's contents say."""
    return {path.read_text() for path in (store.blobs / owner).rglob("*") if path.is_file()}


def later(store: ContentStore) -> ContentStore:
    """Return the store of a service that started since: nothing is pinned."""
    again = ContentStore(store.blobs.parent)
    again.tidy()
    return again


def whole(store: ContentStore, digest: str, files: dict[str, str]) -> bool:
    """Tell whether a snapshot is as it was sent."""
    tree = store.materialize(OWNER, digest)
    return {path.name: path.read_text() for path in tree.iterdir()} == files


@pytest.fixture
def store(tmp_path):
    """An empty store."""
    return ContentStore(tmp_path / "data")


@pytest.fixture
def two(store):
    """A store with two snapshots that share a content, as a service finds it that starts later; and their digests."""
    first, second = send(store, FIRST), send(store, SECOND)
    return later(store), first, second


FIRST = {"same": "shared", "a": "of the first"}
SECOND = {"same": "shared", "b": "of the second"}


def test_what_only_a_dropped_snapshot_had_goes_and_what_others_have_stays(two):
    store, first, second = two

    freed = Sweeper(store, GRACE).sweep(OWNER, Needs(rows={second}, live=(), dropped={first}))

    assert (freed.snapshots, freed.contents, freed.size_bytes) == (1, 1, len("of the first"))
    assert contents(store) == {"shared", "of the second"}
    assert whole(store, second, SECOND)
    assert not (store.snapshots / OWNER / first).exists()


def test_nothing_of_another_owner_goes(two):
    store, first, second = two
    theirs = send(store, FIRST, OTHER)

    Sweeper(later(store), GRACE).sweep(OWNER, Needs(rows=(), live=(), dropped={first, second}))

    assert (contents(store), contents(store, OTHER)) == (set(), {"shared", "of the first"})
    assert theirs == first


def test_what_has_no_row_for_another_reason_stays_for_the_grace(two):
    store, first, second = two
    sweeper, needs = Sweeper(store, GRACE), Needs(rows={second}, live=())

    assert sweeper.sweep(OWNER, needs) == Freed()
    assert sweeper.sweep(OWNER, needs) == Freed()
    mark = store.snapshots / OWNER / first / sweeping.UNNEEDED
    os.utime(mark, (mark.stat().st_mtime - GRACE - 1,) * 2)
    freed = sweeper.sweep(OWNER, needs)

    assert (freed.snapshots, freed.contents) == (1, 1)


def test_a_tree_goes_when_no_job_ran_in_it_for_the_grace_and_is_made_again(two):
    store, first, _ = two
    store.materialize(OWNER, first)
    store = later(store)
    folder, needs = store.snapshots / OWNER / first, {first}

    young = Sweeper(store, GRACE).sweep(OWNER, Needs(rows=needs, live=()))
    os.utime(folder, (0, 0))
    of_a_live_job = Sweeper(store, GRACE).sweep(OWNER, Needs(rows=needs, live=needs))
    old = Sweeper(store, GRACE).sweep(OWNER, Needs(rows=needs, live=()))

    assert (young.trees, of_a_live_job.trees, old.trees) == (0, 0, 1)
    assert old.size_bytes > 0
    assert not (folder / "tree").exists()
    assert whole(store, first, FIRST)


def test_a_tree_that_a_job_is_about_to_run_in_stays(two):
    store, first, _ = two
    tree = store.materialize(OWNER, first)
    os.utime(tree.parent, (0, 0))

    Sweeper(store, GRACE).sweep(OWNER, Needs(rows={first}, live=()))

    assert tree.is_dir()


def test_a_pin_ends_an_hour_after_the_last_look():
    now = 0.0
    kept = pins.Pins(lambda: now)
    kept.pin(OWNER, "d")
    now = pins.PIN_SECONDS - 1
    kept.pin(OWNER, "d")
    kept.pin(OTHER, "e")

    now += pins.PIN_SECONDS - 1
    still = kept.of(OWNER)
    now += 2

    assert (still, kept.of(OWNER), kept.of(OTHER)) == ({"d"}, frozenset(), frozenset())


@pytest.mark.fault(80)
def test_what_a_submit_was_told_to_be_there_stays_while_everything_else_goes(two):
    store, first, second = two
    packed_before = store.missing_of(OWNER, first)

    freed = Sweeper(store, GRACE).sweep(OWNER, Needs(rows=(), live=(), dropped={first, second}))

    assert (packed_before, store.missing_of(OWNER, first)) == ([], [])
    assert contents(store) == {"shared", "of the first"}
    assert freed.snapshots == 1
    assert whole(store, first, FIRST)


@pytest.mark.fault(80)
def test_a_submit_in_the_middle_of_a_removal_keeps_what_it_is_told_to_be_there(two, monkeypatch):
    store, first, second = two
    monkeypatch.setattr(sweeping, "AT_ONCE", 1)
    said: list[list[str]] = []
    looks: list[None] = []
    real = Sweeper._must_go_on

    def must_go_on(self: Sweeper) -> None:
        real(self)
        looks.append(None)
        if len(looks) == 2:  # one content is gone, and nobody holds the lock
            said.append(store.missing_of(OWNER, second))

    monkeypatch.setattr(Sweeper, "_must_go_on", must_go_on)
    Sweeper(store, GRACE).sweep(OWNER, Needs(rows=(), live=(), dropped={first, second}))

    assert len(contents(store)) == len(SECOND) - len(said[0])
    assert store.missing_of(OWNER, second) == said[0]


def test_a_manifest_that_cannot_be_read_keeps_everything_of_its_owner(two, caplog):
    store, first, second = two
    (store.snapshots / OWNER / second / "manifest.json").unlink()

    freed = Sweeper(store, GRACE).sweep(OWNER, Needs(rows={second}, live=(), dropped={first}))

    assert freed == Freed()
    assert contents(store) == {"shared", "of the first", "of the second"}
    assert "a manifest that a job needs cannot be read" in caplog.text


def test_a_digest_between_two_pieces_of_a_manifest_is_found(two, monkeypatch):
    store, first, _ = two
    expected = {blake3(content.encode()).hexdigest() for content in FIRST.values()}
    sweeper = Sweeper(store, GRACE)

    for size in range(1, 400, 7):
        monkeypatch.setattr(sweeping, "BLOCK_BYTES", size)
        assert set(sweeper._contents(OWNER, first)) == expected, size


def lose_manifest(store: ContentStore, digest: str) -> None:
    """Lose what says which contents a snapshot has, as a power cut may; the contents are older than the grace."""
    shutil.rmtree(store.snapshots / OWNER / digest)
    for file in (store.blobs / OWNER).rglob("*"):
        os.utime(file, (file.stat().st_mtime - GRACE - 60,) * 2)


@pytest.mark.fault(9)
def test_contents_whose_manifest_a_power_cut_took_go_after_the_grace(two):
    store, first, second = two
    lose_manifest(store, first)
    young = send(store, {"c": "came just now"})
    shutil.rmtree(store.snapshots / OWNER / young)

    freed = Sweeper(later(store), GRACE).sweep(OWNER, Needs(rows={second}, live=()))

    assert (freed.snapshots, freed.contents, freed.size_bytes) == (0, 1, len("of the first"))
    assert contents(store) == {"shared", "of the second", "came just now"}


@pytest.mark.fault(9)
def test_contents_of_somebody_who_has_no_manifest_at_all_go_after_the_grace(store):
    digest = send(store, FIRST)
    lose_manifest(store, digest)
    shutil.rmtree(store.snapshots / OWNER)
    sweeper = Sweeper(later(store), GRACE)

    assert sweeper.owners() == [OWNER]
    sweeper.sweep(OWNER, Needs(rows=(), live=()))

    assert contents(store) == set()


def test_contents_without_a_manifest_are_looked_for_once_and_again_after_the_grace(two, monkeypatch):
    store, first, second = two
    sweeper, needs = Sweeper(store, GRACE), Needs(rows={second}, live=())
    now = time.monotonic()
    monkeypatch.setattr(sweeping.time, "monotonic", lambda: now)
    sweeper.sweep(OWNER, needs)
    lose_manifest(store, first)

    too_early = sweeper.sweep(OWNER, needs)
    now += GRACE + 1
    freed = sweeper.sweep(OWNER, needs)

    assert (too_early.contents, freed.contents) == (0, 1)


def test_in_need_of_room_contents_without_a_manifest_go_after_an_hour(two):
    store, first, second = two
    lose_manifest(store, first)
    for file in (store.blobs / OWNER).rglob("*"):
        os.utime(file, (time.time() - pins.PIN_SECONDS - 60,) * 2)
    sweeper, needs = Sweeper(store, GRACE), Needs(rows={second}, live=())

    assert sweeper.sweep(OWNER, needs).contents == 0
    assert Sweeper(store, GRACE).sweep(OWNER, needs, in_need=True).contents == 1


@pytest.mark.fault(80)
@pytest.mark.parametrize("left", ["nothing", "an empty directory"])
def test_contents_without_a_manifest_stay_for_a_submit_that_is_told_meanwhile_that_they_are_there(
    two, monkeypatch, left
):
    store, first, second = two
    lose_manifest(store, first)
    if left == "an empty directory":
        (store.snapshots / OWNER / first).mkdir()
    real = Sweeper._is_older

    def is_older(self: Sweeper, *what: Any) -> bool:  # between the look at the manifests and the removal
        monkeypatch.setattr(Sweeper, "_is_older", real)
        assert send(store, FIRST) == first
        return real(self, *what)

    monkeypatch.setattr(Sweeper, "_is_older", is_older)
    freed = Sweeper(store, GRACE).sweep(OWNER, Needs(rows={second}, live=()))

    assert freed.contents == 0
    assert whole(store, first, FIRST)


@pytest.mark.parametrize("kept", ["", '{"entries": ['])
def test_a_manifest_that_is_cut_off_or_gone_keeps_all_contents_of_its_owner(two, caplog, kept):
    store, first, second = two
    manifest = store.snapshots / OWNER / second / "manifest.json"
    lose_manifest(store, first)
    manifest.write_text(kept) if kept else manifest.unlink()

    freed = Sweeper(store, GRACE).sweep(OWNER, Needs(rows={second}, live=()))

    assert freed == Freed()
    assert "cannot be read whole" in caplog.text


class Mortal:
    """Dies at a step of what changes the disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kill_at: int) -> None:
        self.fuse = Fuse(kill_at)
        for name in ("unlink", "rename", "rmdir", "mkdir", "touch"):
            self._wrap(monkeypatch, Path, name)
        for name in ("unlink", "rmdir"):
            self._wrap(monkeypatch, os, name)

    def _wrap(self, monkeypatch: pytest.MonkeyPatch, place: object, name: str) -> None:
        real = getattr(place, name)

        def mortal(*args: object, **options: object) -> object:
            done = real(*args, **options)
            self.fuse.boundary(name)
            return done

        monkeypatch.setattr(place, name, mortal)


@pytest.mark.fault(10)
def test_killed_anywhere_in_a_removal_nothing_that_is_needed_is_lost_and_the_rest_goes_later(tmp_path):
    for kill_at in range(1, 100):
        data = tmp_path / str(kill_at)
        before = ContentStore(data)
        first, second = send(before, FIRST), send(before, SECOND)
        before.materialize(OWNER, first)
        before.materialize(OWNER, second)
        (before.snapshots / ".drafts" / "tree-x" / "deep").mkdir(parents=True)
        needs = Needs(rows={second}, live=(), dropped={first})
        died = False

        with pytest.MonkeyPatch.context() as patch:
            mortal = Mortal(patch, kill_at)
            try:
                Sweeper(later(before), GRACE).sweep(OWNER, needs)
            except Killed:
                died = True
            passed = mortal.fuse.passed

        store = later(before)
        assert store.missing_of(OWNER, second) == []
        assert whole(store, second, SECOND)
        if (store.snapshots / OWNER / first).exists():  # whoever sends it again now is told the truth
            again = send(later(before), FIRST)
            assert whole(store, again, FIRST)
        store = later(before)
        Sweeper(store, GRACE).sweep(OWNER, needs)
        assert contents(store) == {"shared", "of the second"}
        assert [path.name for path in (store.snapshots / OWNER).iterdir()] == [second]
        assert not list((store.snapshots / ".gone").iterdir())
        if not died:
            assert passed == kill_at - 1 > 10
            return
    raise AssertionError("it never came to its end")
