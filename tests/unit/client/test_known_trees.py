"""Trees that are known as they stand: their digest is remembered, and only as long as nothing in them differs."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from himalia.models import EntryType
from himalia.snapshot import Packed, Scan, hashing, pack, scan
from himalia.snapshot.cache import HashCache
from himalia.snapshot.found import Found

packing = import_module("himalia.snapshot.pack")  # the package has a function of that name


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch):
    """Files that were written a moment ago count as old, and a few of them as very many."""
    real = time.time_ns
    monkeypatch.setattr(hashing.time, "time_ns", lambda: real() + 10_000_000_000)
    monkeypatch.setattr(packing, "LARGE_TREE", 3)


@pytest.fixture
def code(tmp_path):
    code = tmp_path / "code"
    (code / "pkg").mkdir(parents=True)
    for name in ("a", "b", "pkg/c"):
        (code / name).write_text(name)
    (code / "link").symlink_to("a")
    return code


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "hashes.sqlite"


def packed(code: Path, file: Path) -> Packed:
    cache = HashCache(file)
    try:
        return pack(scan(code), cache=cache)
    finally:
        cache.close()


@pytest.fixture
def known(code, cache):
    """The digest of a tree that is remembered."""
    return packed(code, cache).digest


def refuse(*_: object) -> None:
    raise AssertionError("it was asked for")


def test_of_a_tree_that_is_known_no_file_is_looked_up_and_no_list_is_made(code, cache, known, monkeypatch):
    monkeypatch.setattr(HashCache, "find", refuse)
    monkeypatch.setattr(packing, "_rows", refuse)

    assert packed(code, cache).digest == known


@pytest.mark.parametrize(("changed", "is_new"), [("", False), ("a", True), ("a b pkg/c", False)])
def test_a_tree_of_which_a_part_has_changed_is_a_new_one(code, cache, known, changed, is_new):
    for name in changed.split():
        (code / name).write_text("changed")

    assert packed(code, cache).is_new == is_new


def test_its_list_is_made_when_the_service_wants_it(code, cache, known):
    again = packed(code, cache)

    assert again.manifest == pack(scan(code)).manifest
    assert again.entry_count == len(again.rows) == 5
    assert list(again.sources) == list(pack(scan(code)).sources)


def rewrite(code: Path) -> None:
    """Give a file another content of the same size, with its times set back."""
    before = (code / "a").stat()
    (code / "a").write_text("A")
    os.utime(code / "a", ns=(before.st_atime_ns, before.st_mtime_ns))


def relink(code: Path) -> None:
    (code / "link").unlink()
    (code / "link").symlink_to("b")


def exchange(code: Path) -> None:
    (code / "a").rename(code / "x")
    (code / "b").rename(code / "a")
    (code / "x").rename(code / "b")


CHANGES: list[Callable[[Path], object]] = [
    rewrite,
    relink,
    exchange,
    lambda code: (code / "a").chmod(0o755),
    lambda code: (code / "pkg").chmod(0o700),
    lambda code: (code / "new").touch(),
    lambda code: (code / "b").unlink(),
    lambda code: (code / "pkg").rename(code / "other"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_differs_gives_another_digest(code, cache, known, change):
    change(code)

    now = packed(code, cache).digest

    assert now == pack(scan(code)).digest
    assert now != known


@pytest.mark.fault(75)
@pytest.mark.parametrize(
    "change", ["digest = zeroblob(32)", "digest = 'x'", "sum = sum + 1", "digest = NULL", "sum = NULL"]
)
def test_a_damaged_memory_of_a_tree_is_not_believed(code, cache, known, change):
    with sqlite3.connect(cache) as db:
        db.execute(f"UPDATE trees SET {change}")
    db.close()

    assert packed(code, cache).digest == known


def test_a_tree_of_which_a_file_has_just_changed_is_not_remembered(code, cache, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(packing, "LARGE_TREE", 3)
    packed(code, cache)
    packed(code, cache)

    with sqlite3.connect(cache) as db:
        assert db.execute("SELECT COUNT(*) FROM trees").fetchone() == (0,)
    db.close()


def test_a_tree_of_which_a_file_was_hashed_in_another_state_than_it_was_found_in_is_not_remembered(
    code, cache, known, monkeypatch
):
    (code / "a").write_text("1")
    scanned = scan(code)
    (code / "a").write_text("2")  # what is hashed is this, and the next walk may find what the first did
    hashes = HashCache(cache)
    digest = pack(scanned, cache=hashes).digest
    hashes.close()

    assert digest == pack(scan(code)).digest
    with sqlite3.connect(cache) as db:
        assert db.execute("SELECT COUNT(*) FROM trees").fetchone() == (1,)
    db.close()


def test_a_tree_of_which_a_file_has_no_state_is_not_remembered(code, cache, known):
    files = tuple(Found(name, EntryType.FILE, 0o644, 1) for name in ("a", "b", "c"))
    scanned = Scan(root=code / "new", others=files)
    (code / "new").mkdir()
    hashes = HashCache(cache)
    for content in ("1", "2"):
        for name in ("a", "b", "c"):
            (code / "new" / name).write_text(content)

        assert pack(scanned, cache=hashes).digest == pack(scanned).digest
    hashes.close()


def test_a_memory_that_is_full_starts_anew(code, cache, known, monkeypatch):
    monkeypatch.setattr("himalia.snapshot.cache.MOST_TREES", 1)
    (code / "new").touch()

    for _ in range(2):
        packed(code, cache)

    with sqlite3.connect(cache) as db:
        assert db.execute("SELECT COUNT(*) FROM trees").fetchone() == (1,)
    db.close()
