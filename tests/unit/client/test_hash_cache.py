"""Remembered digests: fast where nothing changed, and never wrong where something did."""

from __future__ import annotations

import os
import sqlite3
import time
from importlib import import_module
from pathlib import Path

import pytest

from himalia.snapshot import pack, scan
from himalia.snapshot.cache import HashCache

packing = import_module("himalia.snapshot.pack")  # the package has a function of that name


@pytest.fixture
def settled(monkeypatch):
    """A clock that is ahead, so that files written a moment ago count as old."""
    real = time.time_ns
    monkeypatch.setattr(packing.time, "time_ns", lambda: real() + 10_000_000_000)


@pytest.fixture
def reads(monkeypatch):
    """Which files were read."""
    real, seen = packing._digests, []

    def digests(descriptor: int, size: int):
        seen.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        return real(descriptor, size)

    monkeypatch.setattr(packing, "_digests", digests)
    return seen


def digest_of(folder: Path, cache: Path) -> str:
    hashes = HashCache(cache)
    try:
        return pack(scan(folder), cache=hashes).digest
    finally:
        hashes.close()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "a").write_bytes(b"aaaa")
    (folder / "b").write_bytes(b"bbbb")
    return folder


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "hashes.sqlite"


def test_a_file_that_has_not_changed_is_not_read_again(folder, cache, settled, reads):
    first = digest_of(folder, cache)

    assert digest_of(folder, cache) == first
    assert sorted(reads) == ["a", "b"]


def test_other_content_of_the_same_size_and_time_is_seen(folder, cache, settled, reads):
    first = digest_of(folder, cache)
    before = (folder / "a").stat()
    (folder / "a").write_bytes(b"AAAA")
    os.utime(folder / "a", ns=(before.st_atime_ns, before.st_mtime_ns))

    assert digest_of(folder, cache) != first
    assert sorted(reads) == ["a", "a", "b"]


def test_a_file_that_has_just_changed_is_not_remembered_for_the_clock_may_not_have_ticked(folder, cache, reads):
    digest_of(folder, cache)
    digest_of(folder, cache)

    assert sorted(reads) == ["a", "a", "b", "b"]


def test_what_stores_to_a_mapped_page_is_seen(folder, cache, settled):
    import mmap

    with (folder / "a").open("r+b") as file, mmap.mmap(file.fileno(), 4) as page:
        page[0:4] = b"1111"
        page.flush()
        first = digest_of(folder, cache)
        page[0:4] = b"2222"

        assert digest_of(folder, cache) != first


def test_stores_to_a_page_that_was_not_written_back_yet_are_seen(folder, cache, settled):
    import mmap

    with (folder / "a").open("r+b") as file, mmap.mmap(file.fileno(), 4) as page:
        page[0:4] = b"1111"
        first = digest_of(folder, cache)
        page[0:4] = b"2222"

        assert digest_of(folder, cache) != first


def test_what_is_known_is_not_written_back_again(folder, cache, settled, monkeypatch):
    first = digest_of(folder, cache)
    monkeypatch.delattr(packing.os, "fdatasync")
    monkeypatch.delattr(packing.os, "fsync")

    assert digest_of(folder, cache) == first


def test_another_file_moved_to_the_name_is_seen(folder, cache, settled):
    first = digest_of(folder, cache)
    (folder / "c").write_bytes(b"cccc")
    os.replace(folder / "c", folder / "a")

    assert digest_of(folder, cache) != first


@pytest.mark.parametrize("broken", [b"this is no database", b""])
def test_a_broken_cache_is_as_good_as_none(folder, cache, settled, broken):
    first = pack(scan(folder)).digest
    cache.parent.mkdir()
    cache.write_bytes(broken)

    assert digest_of(folder, cache) == first


def test_a_cache_that_cannot_be_written_is_as_good_as_none(folder, tmp_path, settled):
    (tmp_path / "file").write_text("")

    assert digest_of(folder, tmp_path / "file" / "hashes.sqlite") == pack(scan(folder)).digest


def test_remembered_nonsense_is_not_believed(folder, cache, settled):
    first = digest_of(folder, cache)
    with sqlite3.connect(cache) as db:
        db.execute("UPDATE digests SET chunks = 'aa bb cc'")
    db.close()

    assert digest_of(folder, cache) == first


def test_a_full_cache_starts_anew(folder, cache, settled, monkeypatch, reads):
    monkeypatch.setattr("himalia.snapshot.cache.MOST_ROWS", 1)
    first = digest_of(folder, cache)

    assert digest_of(folder, cache) == first
    assert sorted(reads) == ["a", "a", "b", "b"]
