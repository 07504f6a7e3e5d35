"""A snapshot of which all was there is not looked through again, and only while nothing was taken away."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sent_files import OTHER, OWNER, take

from himalia.errors import NotFound
from himalia_jobs.contents import ContentStore, Needs, Sweeper, whole
from himalia_jobs.contents.whole import WholeSnapshots

FILES = {"a": "of a", "b": "of b"}


def later() -> int:
    """Return a moment at which what was written now is old."""
    return time.time_ns() + 10 * whole.SETTLED_NS


@pytest.fixture
def code(tmp_path):
    """A directory to send."""
    code = tmp_path / "code"
    code.mkdir()
    for name, content in FILES.items():
        (code / name).write_text(content)
    return code


@pytest.fixture
def store(tmp_path):
    """A store whose contents count as old."""
    store = ContentStore(tmp_path / "data")
    store.whole = WholeSnapshots(later)
    return store


@pytest.fixture
def digest(store, code):
    """A snapshot of which all was there when it was asked for last."""
    digest = take(store, code)
    assert store.missing_of(OWNER, digest) == []
    return digest


def refuse(*_: object) -> None:
    raise AssertionError("it was looked through")


def content_of(store: ContentStore, text: str, owner: str = OWNER) -> Path:
    """Return the file in which a content lies."""
    return next(file for file in (store.blobs / owner).rglob("*") if file.is_file() and file.read_text() == text)


def test_of_a_snapshot_that_was_whole_no_content_is_looked_for(store, digest, monkeypatch):
    monkeypatch.setattr(ContentStore, "_named", refuse)
    monkeypatch.setattr(ContentStore, "missing", refuse)

    assert store.missing_of(OWNER, digest) == []


def test_it_stays_while_it_is_worked_with_all_the_same(store, digest):
    store.pins = type(store.pins)()

    store.missing_of(OWNER, digest)

    assert digest in store.pins.of(OWNER)


def test_a_content_that_anybody_took_away_is_missing(store, digest):
    gone = content_of(store, "of a")
    gone.unlink()

    assert store.missing_of(OWNER, digest) == [gone.name]


def set_back(folder: Path) -> None:
    """Give a folder the time stamp that it had an hour ago."""
    os.utime(folder, ns=(0, folder.stat().st_mtime_ns - 3600 * 10**9))


LOSSES: list[Callable[[Path], object]] = [
    lambda file: (file.unlink(), set_back(file.parent)),
    lambda file: file.rename(file.with_name("other")),
    lambda file: shutil.rmtree(file.parent),
    lambda file: file.parent.rename(file.parent.with_name("other")),
    lambda file: shutil.rmtree(file.parent.parent),
]


@pytest.mark.parametrize("lose", LOSSES)
def test_however_a_content_went_it_is_missing(store, digest, lose):
    file = content_of(store, "of b")
    lose(file)

    assert file.name in store.missing_of(OWNER, digest)


def test_a_snapshot_whose_list_is_gone_is_none(store, digest):
    (store.snapshots / OWNER / digest / "manifest.json").unlink()

    with pytest.raises(NotFound):
        store.missing_of(OWNER, digest)


@pytest.mark.parametrize(("after_ns", "is_believed"), [(-1, False), (0, True)])
def test_folders_that_changed_a_moment_ago_are_not_believed_for_the_clock_may_not_have_ticked(
    store, digest, after_ns, is_believed
):
    places = [store.blobs / OWNER, store.snapshots / OWNER / digest / "manifest.json", *(store.blobs / OWNER).iterdir()]
    newest = max(place.stat().st_ctime_ns for place in places)
    seen = WholeSnapshots(lambda: newest + whole.SETTLED_NS + after_ns)

    assert (seen.look(*places[:2]) is not None) == is_believed


def test_what_was_removed_as_unneeded_is_missing_whatever_the_clock_says(store, digest, monkeypatch):
    monkeypatch.setattr(WholeSnapshots, "look", lambda *_: b"as it always was")
    assert store.missing_of(OWNER, digest) == []
    store.pins = type(store.pins)()  # an hour later
    kept = store.manifest(OWNER, digest)

    Sweeper(store, 0.0).sweep(OWNER, Needs(rows=set(), live=set(), dropped={digest}))
    store.accept(OWNER, kept)

    assert len(store.missing_of(OWNER, digest)) == len(FILES)


def test_a_content_that_goes_while_it_is_looked_for_is_missing_the_next_time(store, code, monkeypatch):
    digest = take(store, code)
    gone = content_of(store, "of a")
    real = store.missing

    def missing(*asked: object) -> list[str]:
        found = real(*asked)
        gone.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(store, "missing", missing)
    assert store.missing_of(OWNER, digest) == []
    monkeypatch.undo()

    assert store.missing_of(OWNER, digest) == [gone.name]


@pytest.mark.fault(69)
def test_what_is_whole_for_one_is_not_there_for_another(store, digest):
    kept = store.manifest(OWNER, digest)

    with pytest.raises(NotFound):
        store.missing_of(OTHER, digest)
    store.accept(OTHER, kept)
    assert len(store.missing_of(OTHER, digest)) == len(FILES)


def test_a_service_that_starts_anew_looks_through_all(store, digest):
    content_of(store, "of a").unlink()
    again = ContentStore(store.blobs.parent)

    assert len(again.missing_of(OWNER, digest)) == 1


def test_the_memory_has_a_bound(store, digest, code, monkeypatch):
    monkeypatch.setattr(whole, "MOST_SNAPSHOTS", 1)
    (code / "c").write_text("of c")
    second = take(store, code)
    store.missing_of(OWNER, second)

    look = store.whole.look(store.blobs / OWNER, store.snapshots / OWNER / second / "manifest.json")
    assert store.whole.knows(OWNER, second, look)
    look = store.whole.look(store.blobs / OWNER, store.snapshots / OWNER / digest / "manifest.json")
    assert not store.whole.knows(OWNER, digest, look)
