"""Which contents are missing: found quickly, and by what the list itself says."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from himalia.models import Entry, EntryType, Manifest
from himalia_jobs.contents import ContentStore, files

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


def test_a_name_or_link_that_looks_like_a_content_is_not_asked_for(tmp_path):
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


def test_contents_are_missing_in_the_order_of_the_list(tmp_path):
    contents = [os.urandom(8) for _ in range(20)]
    entries = tuple(
        Entry(path=f"{number:02}", type=EntryType.FILE, size_bytes=8, chunks=(blake3(content).hexdigest(),))
        for number, content in enumerate(contents)
    )
    store = ContentStore(tmp_path)
    accepted = store.accept(OWNER, Manifest(entries=entries))

    assert store.missing_of(OWNER, accepted.digest) == [entry.chunks[0] for entry in entries]
