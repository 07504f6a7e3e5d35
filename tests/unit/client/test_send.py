"""Sending: a few packs at once, on after a cut, and never a word too much."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from job_bodies import unpack

from himalia.errors import Busy, HimaliaError, LocalError, NotFound, Unavailable
from himalia.models import Manifest, SnapshotView
from himalia.snapshot import Packed, pack, scan, send
from himalia.snapshot.wire import PLAIN, SQUEEZED, can_squeeze
from himalia.units import MiB

sending = import_module("himalia.snapshot.send")  # the package has a function of that name
OWNER = "user:ada"


class Service:
    """Takes packs in. What happens to one is said by `before`, called with its number and its bytes before each piece is taken."""

    def __init__(self, **told: object) -> None:
        self.told = told
        self.known: dict[str, SnapshotView] = {}
        self.contents: dict[str, bytes] = {}
        self.manifests: list[Manifest] = []
        self.packs: list[bytes] = []
        self.urls: list[str | None] = []
        self.at_once = self.most_at_once = 0
        self.before: Callable[[int, int], None] = lambda number, count: None
        self.asked: list[str] = []
        self._lock = threading.Lock()

    def find_snapshot(self, owner: str, digest: str) -> SnapshotView:
        self.asked.append(digest)
        if digest not in self.known:
            raise NotFound("There is no such snapshot.")
        return self.known[digest]

    def open_snapshot(self, owner: str, manifest: Manifest) -> SnapshotView:
        self.manifests.append(manifest)
        return self._view()

    def put_contents(
        self, snapshot_id: str, chunks: Iterator[bytes], url: str | None = None, length: int | None = None
    ) -> SnapshotView:
        with self._lock:
            number = len(self.packs)
            self.packs.append(b"")
            self.urls.append(url)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        taken = bytearray()
        try:
            for chunk in chunks:
                self.before(number, len(taken) + len(chunk))
                taken += chunk
        except Unavailable:
            self._keep_what_is_whole(bytes(taken))
            raise
        finally:
            with self._lock:
                self.at_once -= 1
        assert length in (len(taken), None)
        self.packs[number] = bytes(taken)
        self.contents.update(unpack(bytes(taken)))
        return self._view()

    def commit_snapshot(self, snapshot_id: str) -> SnapshotView:
        view = self._view()
        if view.missing:
            raise Busy("1 contents are still missing. Send them, then commit again.")
        return view.model_copy(update={"committed": True})

    def _view(self) -> SnapshotView:
        wanted = {chunk for entry in self.manifests[-1].entries for chunk in entry.chunks}
        return SnapshotView(
            id="snapshot",
            owner=OWNER,
            digest="0" * 64,
            committed=False,
            missing=tuple(sorted(wanted - self.contents.keys())),
            file_count=0,
            size_bytes=0,
            **self.told,
        )

    def _keep_what_is_whole(self, taken: bytes) -> None:
        rest = taken[len(PLAIN) :]
        while len(rest) >= 40 and len(rest) >= 40 + int.from_bytes(rest[32:40], "big"):
            length = int.from_bytes(rest[32:40], "big")
            self.contents[rest[:32].hex()] = rest[40 : 40 + length]
            rest = rest[40 + length :]


@pytest.fixture
def large(tmp_path) -> Packed:
    """What is worth three packs: 30 contents of a megabyte."""
    noise = random.Random(7)
    for number in range(30):
        (tmp_path / f"{number:02}").write_bytes(noise.randbytes(MiB))
    return pack(scan(tmp_path))


def test_what_is_large_goes_in_three_packs_at_once_each_content_in_one(large):
    service, together = Service(), threading.Barrier(3, timeout=20)
    begun: set[int] = set()

    def before(number: int, count: int) -> None:
        if number not in begun:
            begun.add(number)
            together.wait()

    service.before = before

    snapshot = send(service, OWNER, large)

    assert snapshot.committed
    assert (len(service.packs), service.most_at_once) == (3, 3)
    assert [len(unpack(taken)) for taken in service.packs] == [10, 10, 10]
    assert service.contents.keys() == large.sources.keys()


def test_what_is_small_goes_in_one_pack(tmp_path):
    for number in range(50):
        (tmp_path / str(number)).write_text(str(number))
    service = Service()

    send(service, OWNER, pack(scan(tmp_path)))

    assert len(service.packs) == 1


def cut_at(megabytes: int, *numbers: int) -> Callable[[int, int], None]:
    """Cut the packs of these numbers after so many bytes."""

    def before(number: int, count: int) -> None:
        if number in numbers and count > megabytes * MiB:
            raise Unavailable("The connection broke. Try again.")

    return before


@pytest.mark.fault(66)
def test_when_one_pack_is_cut_the_others_arrive_and_only_its_rest_is_sent_again(large):
    service = Service()
    service.before = cut_at(6, 1)

    assert send(service, OWNER, large).committed

    assert [len(unpack(taken)) for taken in service.packs if taken] == [10, 10, 5]
    assert len(service.packs) == 4


@pytest.mark.fault(66)
def test_an_upload_goes_on_over_any_number_of_cuts_as_long_as_something_gets_through(large):
    service = Service()
    service.before = cut_at(2, *range(100))

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(sending, "PACKS_AT_ONCE", 1)
        assert send(service, OWNER, large).committed

    assert len(service.packs) > 10


def test_an_upload_of_which_nothing_gets_through_ends_with_why(large):
    service = Service()
    service.before = cut_at(0, *range(100))

    with pytest.raises(Unavailable, match="The connection broke"):
        send(service, OWNER, large)

    assert len(service.manifests) == 5


@pytest.mark.fault(72)
def test_a_file_that_changed_is_named_and_ends_the_other_packs(large):
    service, changed = Service(), threading.Event()
    file = large.root / "29"
    file.write_bytes(b"shorter")

    def before(number: int, count: int) -> None:
        if number < 2 and count > MiB:  # the others wait in the middle until the third has failed
            changed.wait(0.05)

    service.before = before
    with pytest.raises(LocalError, match="29 changed while it was sent"):
        send(service, OWNER, large)

    assert len(service.manifests) == 1
    assert not any(service.packs)


def test_progress_is_told_by_one_at_a_time_and_ends_with_all_of_it(large):
    told: list[tuple[object, ...]] = []
    telling = threading.Lock()

    def progress(*news: object) -> None:
        assert telling.acquire(blocking=False), "two at once"
        told.append(news)
        telling.release()

    send(Service(), OWNER, large, progress)

    assert [news[3] for news in told] == sorted(int(str(news[3])) for news in told)
    assert told[-1] == ("sending", 0, 30, 30 * MiB, 30 * MiB)


def test_who_ends_a_submission_by_its_progress_ends_all_packs(large):
    class Cancelled(HimaliaError):
        """The submission was cancelled."""

    def progress(*news: object) -> None:
        if int(str(news[3])) > 9 * MiB:
            raise Cancelled("The submission was cancelled.")

    service = Service()
    with pytest.raises(Cancelled):
        send(service, OWNER, large, progress)

    assert not any(service.packs)


def test_a_pack_is_squeezed_and_goes_elsewhere_where_the_service_says_so(tmp_path):
    (tmp_path / "code.py").write_text("print(1)\n" * 1000)
    service = Service(squeeze=True, upload_url="https://upload.example.org/services/jobs/api")

    send(service, OWNER, pack(scan(tmp_path)))

    assert service.packs[0].startswith(SQUEEZED if can_squeeze() else PLAIN)
    assert (len(service.packs[0]) < 1000) == can_squeeze()
    assert service.urls == ["https://upload.example.org/services/jobs/api"]


def many(folder: Path) -> Packed:
    for number in range(600):
        (folder / str(number)).write_text("x")
    return pack(scan(folder))


def test_the_list_of_many_files_is_not_sent_when_the_service_has_all_of_them(tmp_path):
    packed, service = many(tmp_path), Service()
    service.manifests = [packed.manifest]
    service.known[packed.digest] = service._view().model_copy(update={"committed": True, "missing": ()})
    service.manifests = []

    assert send(service, OWNER, packed).committed
    assert (service.manifests, service.packs) == ([], [])


def test_the_list_of_many_files_is_sent_when_the_service_does_not_have_all_of_them(tmp_path):
    packed, service = many(tmp_path), Service()

    assert send(service, OWNER, packed).committed
    assert service.asked == [packed.digest]
    assert len(service.manifests) == 1


def test_the_list_of_many_files_is_sent_at_once_where_a_few_of_them_have_changed(tmp_path):
    packed, service = replace(many(tmp_path), is_new=True), Service()

    assert send(service, OWNER, packed).committed
    assert (service.asked, len(service.manifests)) == ([], 1)


def test_what_the_last_pack_has_committed_is_not_committed_again(large, monkeypatch):
    service = Service()
    view = service._view

    def committing() -> SnapshotView:
        return view().model_copy(update={"committed": not view().missing})

    def refuse(snapshot_id: str) -> None:
        raise AssertionError("it was committed again")

    monkeypatch.setattr(service, "_view", committing)
    monkeypatch.setattr(service, "commit_snapshot", refuse)

    assert send(service, OWNER, large).committed
    assert len(service.packs) == 3


def test_the_list_of_a_few_files_is_sent_at_once(tmp_path):
    (tmp_path / "train.py").write_text("print(1)")
    service = Service()

    send(service, OWNER, pack(scan(tmp_path)))

    assert service.asked == []
