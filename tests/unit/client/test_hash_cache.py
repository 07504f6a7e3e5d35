"""Remembered digests: fast where nothing changed, and never wrong where something did."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from himalia.snapshot import hashing, pack, scan
from himalia.snapshot.cache import HashCache


@pytest.fixture
def settled(monkeypatch):
    """A clock that is ahead, so that files written a moment ago count as old."""
    real = time.time_ns
    monkeypatch.setattr(hashing.time, "time_ns", lambda: real() + 10_000_000_000)


@pytest.fixture
def reads(monkeypatch):
    """Which files were read."""
    real, seen = hashing._digests, []

    def digests(descriptor: int, size: int):
        seen.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        return real(descriptor, size)

    monkeypatch.setattr(hashing, "_digests", digests)
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


@pytest.mark.fault(74)
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


@pytest.mark.fault(73)
def test_what_stores_to_a_mapped_page_is_seen(folder, cache, settled):
    import mmap

    with (folder / "a").open("r+b") as file, mmap.mmap(file.fileno(), 4) as page:
        page[0:4] = b"1111"
        page.flush()
        first = digest_of(folder, cache)
        page[0:4] = b"2222"

        assert digest_of(folder, cache) != first


@pytest.mark.fault(73)
def test_stores_to_a_page_that_was_not_written_back_yet_are_seen(folder, cache, settled):
    import mmap

    with (folder / "a").open("r+b") as file, mmap.mmap(file.fileno(), 4) as page:
        page[0:4] = b"1111"
        first = digest_of(folder, cache)
        page[0:4] = b"2222"

        assert digest_of(folder, cache) != first


def test_what_is_known_is_not_written_back_again(folder, cache, settled, monkeypatch):
    first = digest_of(folder, cache)
    monkeypatch.delattr(hashing.os, "fdatasync")
    monkeypatch.delattr(hashing.os, "fsync")

    assert digest_of(folder, cache) == first


def test_another_file_moved_to_the_name_is_seen(folder, cache, settled):
    first = digest_of(folder, cache)
    (folder / "c").write_bytes(b"cccc")
    os.replace(folder / "c", folder / "a")

    assert digest_of(folder, cache) != first


@pytest.mark.fault(75)
@pytest.mark.parametrize("broken", [b"this is no database", b"", b"SQLite format 3\0" + bytes(5000)])
def test_a_cache_that_is_broken_is_made_anew(folder, cache, settled, reads, broken):
    first = pack(scan(folder)).digest
    cache.parent.mkdir()
    cache.write_bytes(broken)
    reads.clear()

    assert [digest_of(folder, cache) for _ in range(2)] == [first, first]
    assert sorted(reads) == ["a", "b"]


@pytest.mark.fault(75)
def test_a_cache_that_is_damaged_anywhere_never_gives_another_result(folder, cache, settled):
    first = digest_of(folder, cache)
    with sqlite3.connect(cache) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    whole = cache.read_bytes()

    for place in range(0, len(whole), 7):
        cache.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        assert digest_of(folder, cache) == first, place


@pytest.mark.fault(75)
def test_a_cache_that_another_program_has_locked_is_asked_once_and_files_are_hashed(
    folder, cache, settled, monkeypatch
):
    first = digest_of(folder, cache)
    locked = sqlite3.connect(cache, isolation_level=None)
    locked.execute("PRAGMA locking_mode=EXCLUSIVE")
    locked.execute("BEGIN EXCLUSIVE")
    locked.execute("CREATE TABLE other (x)")

    assert digest_of(folder, cache) == first
    locked.close()


@pytest.mark.fault(75)
def test_a_cache_that_was_copied_from_another_machine_is_not_believed_of_other_files(
    folder, cache, settled, reads, tmp_path
):
    digest_of(folder, cache)
    there = tmp_path / "there"
    shutil.copytree(folder, there)  # the same names, sizes and times
    (there / "a").write_bytes(b"AAAA")
    shutil.copystat(folder / "a", there / "a")
    reads.clear()

    assert digest_of(there, cache) == pack(scan(there)).digest
    assert "a" in reads


@pytest.mark.fault(75)
def test_a_number_that_the_file_system_gave_to_another_file_is_no_reason_to_believe(folder, cache, settled, reads):
    first = digest_of(folder, cache)
    state = (folder / "a").stat()
    with sqlite3.connect(cache) as db:
        (other,) = db.execute("SELECT inode FROM files WHERE inode != ?", (state.st_ino,)).fetchone()
        db.execute("DELETE FROM files WHERE inode = ?", (state.st_ino,))
        db.execute("UPDATE files SET inode = ? WHERE inode = ?", (state.st_ino, other))
    db.close()

    assert digest_of(folder, cache) == first


def test_a_cache_that_cannot_be_written_is_as_good_as_none(folder, tmp_path, settled):
    (tmp_path / "file").write_text("")

    assert digest_of(folder, tmp_path / "file" / "hashes.sqlite") == pack(scan(folder)).digest


@pytest.mark.fault(75)
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE files SET digests = zeroblob(32)",
        "UPDATE files SET digests = zeroblob(31)",
        "UPDATE files SET digests = 'aa bb cc'",
        "UPDATE files SET sum = NULL",
        "DROP TABLE files",
        "ALTER TABLE files RENAME COLUMN sum TO other",
    ],
)
def test_remembered_nonsense_is_not_believed(folder, cache, settled, change):
    first = digest_of(folder, cache)
    with sqlite3.connect(cache) as db:
        db.execute(change)
    db.close()

    assert digest_of(folder, cache) == first


def test_a_full_cache_starts_anew(folder, cache, settled, monkeypatch, reads):
    monkeypatch.setattr("himalia.snapshot.cache.MOST_ROWS", 1)
    first = digest_of(folder, cache)

    assert digest_of(folder, cache) == first
    assert sorted(reads) == ["a", "a", "b", "b"]
