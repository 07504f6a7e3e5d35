"""Which contents are missing: found quickly, and by what the list itself says."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from himalia.errors import FieldError, NotFound
from himalia.models import Entry, EntryType, Manifest
from himalia_jobs.contents import ContentStore, files, manifests, recent
from himalia_jobs.contents.recent import RecentLengths

OWNER = "a" * 12
DIGESTS = st.sets(st.integers(0, 300).map(lambda number: blake3(b"%d" % number).hexdigest()), max_size=60)


@settings(max_examples=40, deadline=None)
@given(there=DIGESTS, asked=DIGESTS, least=st.integers(1, 4), listed=st.sampled_from([0, 1000]))
def test_what_is_absent_is_what_is_not_there_however_it_is_looked_for(there, asked, least, listed):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(files, "LISTED_FROM", least)
        monkeypatch.setattr(files, "LISTED_BYTES", listed)
        for name in there:
            Path(folder, name[:2]).mkdir(exist_ok=True)
            Path(folder, name[:2], name).touch()

        assert sorted(files.absent(Path(folder), asked)) == sorted(asked - there)


@pytest.mark.parametrize("most_contents", [0, 20_000])
def test_a_name_or_link_that_looks_like_a_content_is_not_asked_for(tmp_path, monkeypatch, most_contents):
    monkeypatch.setattr(recent, "MOST_CONTENTS", most_contents)
    digest = blake3(b"content").hexdigest()
    name, target = blake3(b"name").hexdigest(), blake3(b"target").hexdigest()
    manifest = Manifest(
        entries=(
            Entry(path=name, type=EntryType.FILE, size_bytes=7, chunks=(digest,)),
            Entry(path="link", type=EntryType.SYMLINK, mode=0o777, target=target),
        )
    )
    store = ContentStore(tmp_path)
    accepted = store.accept(OWNER, manifest)

    assert store.missing_of(OWNER, accepted.digest) == [digest]
    store.blob(OWNER, digest).parent.mkdir(parents=True)
    store.blob(OWNER, digest).write_bytes(b"content")
    assert store.missing_of(OWNER, accepted.digest) == []


@pytest.mark.parametrize("most_contents", [0, 20_000])
def test_contents_are_missing_in_the_order_of_the_list(tmp_path, monkeypatch, most_contents):
    monkeypatch.setattr(recent, "MOST_CONTENTS", most_contents)
    contents = [os.urandom(8) for _ in range(20)]
    entries = tuple(
        Entry(path=f"{number:02}", type=EntryType.FILE, size_bytes=8, chunks=(blake3(content).hexdigest(),))
        for number, content in enumerate(contents)
    )
    store = ContentStore(tmp_path)
    accepted = store.accept(OWNER, Manifest(entries=entries))

    assert store.missing_of(OWNER, accepted.digest) == [entry.chunks[0] for entry in entries]


def test_between_two_requests_of_a_sender_the_list_is_not_read_again(tmp_path, monkeypatch):
    digest = blake3(b"content").hexdigest()
    entry = Entry(path="a", type=EntryType.FILE, size_bytes=7, chunks=(digest,))
    store = ContentStore(tmp_path)
    accepted = store.accept(OWNER, Manifest(entries=(entry,)))

    def refuse(*_: object) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(ContentStore, "manifest", refuse)
    monkeypatch.setattr(ContentStore, "_named", refuse)

    assert store.missing_of(OWNER, accepted.digest) == [digest]
    store.receive(OWNER, accepted.digest).close()


def test_nothing_is_taken_in_for_a_snapshot_that_is_gone(tmp_path):
    digest = blake3(b"content").hexdigest()
    entry = Entry(path="a", type=EntryType.FILE, size_bytes=7, chunks=(digest,))
    store = ContentStore(tmp_path)
    accepted = store.accept(OWNER, Manifest(entries=(entry,)))
    (store.snapshots / OWNER / accepted.digest / "manifest.json").unlink()

    for ask in (store.missing_of, store.receive):
        with pytest.raises(NotFound):
            ask(OWNER, accepted.digest)


def test_of_what_is_kept_in_memory_what_was_used_least_lately_goes(monkeypatch):
    monkeypatch.setattr(recent, "MOST_CONTENTS", 5)
    kept = RecentLengths()
    kept.keep(OWNER, "first", {"a": 1, "b": 1})
    kept.keep(OWNER, "second", {"c": 1, "d": 1})
    kept.of(OWNER, "first")

    kept.keep(OWNER, "third", {"e": 1, "f": 1})
    kept.keep(OWNER, "large", {str(number): 1 for number in range(6)})

    found = {digest: kept.of(OWNER, digest) for digest in ("first", "second", "third", "large")}
    assert found == {"first": {"a": 1, "b": 1}, "second": None, "third": {"e": 1, "f": 1}, "large": None}
    assert kept.of("b" * 12, "first") is None


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from([".", "..", "", "a", "a.", ".a", "...", "\0", "\n", "é", "a" * 255, "a" * 256]), max_size=300
    )
)
def test_what_passes_for_a_plain_path_has_nothing_wrong_with_it(parts):
    path = "/".join(parts)
    entry = Entry(path=path, type=EntryType.DIR)

    def is_right() -> bool:
        try:
            manifests._check_path(entry)
        except FieldError:
            return False
        return True

    is_plain = len(path) <= manifests.LONGEST_PATH_BYTES and manifests.PLAIN_PATH.fullmatch(path) is not None
    assert is_plain == (is_right() and path.isascii())
