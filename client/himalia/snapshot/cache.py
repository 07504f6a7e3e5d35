"""Remembers the digests of files that have not changed. Whatever is wrong with it, files are hashed again."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

from .found import State

MOST_ROWS = 2_000_000
#: A clock ticks in steps (a file system's of up to two seconds): what changed this late could change again unseen.
SETTLED_NS = 2_500_000_000
DIGEST_BYTES = 32
AT_ONCE = 500
TABLE = """
CREATE TABLE IF NOT EXISTS files (
  device INTEGER, inode INTEGER, size INTEGER, modified INTEGER, changed INTEGER, digests BLOB, sum INTEGER,
  PRIMARY KEY (device, inode)
) WITHOUT ROWID
"""
#: Of a whole tree, by a digest of all that was found in it and in which state, the digest of its snapshot.
TREES = "CREATE TABLE IF NOT EXISTS trees (seen BLOB PRIMARY KEY, digest BLOB, sum INTEGER) WITHOUT ROWID"
MOST_TREES = 1000
Chunks = tuple[str, ...]


class HashCache:
    """A small database: of each file (device, inode) its size, mtime, ctime and digests. A rewrite that restores mtime still changes ctime.

    Files that changed a moment ago are not remembered: another change within the same tick would show nowhere. A row whose
    sum is wrong (a damaged disk, another program) is as good as none; so is a database that cannot be opened or is locked.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._new: list[tuple[Any, ...]] = []
        self._db = _opened(file)

    def find(self, states: Sequence[State]) -> list[Chunks | None]:
        """Return the digests of files in these states, in their order."""
        if self._db is None:
            return [None] * len(states)
        rows: dict[tuple[int, int], tuple[Any, ...]] = {}
        try:
            for device in {state.device for state in states}:
                inodes = sorted({state.inode for state in states if state.device == device})
                rows.update(_rows(self._db, device, inodes))
        except sqlite3.Error:
            self._give_up()
        return [_digests(rows.get((state.device, state.inode)), state) for state in states]

    def put(self, state: State, chunks: Chunks, read_at_ns: int) -> bool:
        """Remember the digests of a file in this state, unless it had just changed when it was read; tell whether it is so."""
        if read_at_ns - state.changed_ns < SETTLED_NS:
            return False
        key = state[1:]
        digests = bytes.fromhex("".join(chunks))
        self._new.append((*key, digests, _sum(digests, key)))
        return True

    def find_tree(self, seen: bytes) -> str | None:
        """Return the digest of the snapshot of a tree in which just this was found."""
        if self._db is None:
            return None
        try:
            row = self._db.execute("SELECT digest, sum FROM trees WHERE seen = ?", (seen,)).fetchone()
        except sqlite3.Error:
            self._give_up()
            return None
        if row is None or not isinstance(row[0], bytes) or row[1] != crc32(row[0], crc32(seen)):
            return None
        return row[0].hex()

    def put_tree(self, seen: bytes, digest: str) -> None:
        """Remember the digest of a tree, of whose files each is remembered in the state in which it was found."""
        if self._db is None:
            return
        named = bytes.fromhex(digest)
        try:
            if self._db.execute("SELECT COUNT(*) FROM trees").fetchone()[0] >= MOST_TREES:
                self._db.execute("DELETE FROM trees")
            row = (seen, named, crc32(named, crc32(seen)))
            self._db.execute("INSERT OR REPLACE INTO trees VALUES (?, ?, ?)", row)
        except sqlite3.Error:
            self._give_up()

    def flush(self) -> None:
        """Write what is new."""
        if self._db is not None and self._new:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", self._new)
                if self._db.execute("SELECT COUNT(*) FROM files").fetchone()[0] > MOST_ROWS:
                    self._db.execute("DELETE FROM files")
                self._db.execute("COMMIT")
            except sqlite3.Error:
                self._give_up()
        self._new.clear()

    def close(self) -> None:
        """Write what is new and close the file."""
        self.flush()
        self._give_up()

    def _give_up(self) -> None:
        """Ask no more: a database that is locked keeps each question waiting."""
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None


def _opened(file: Path) -> sqlite3.Connection | None:
    """Return the database, made anew where it is damaged; None where it cannot be had."""
    for again in (True, False):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(file, timeout=1, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error):
            return None
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=OFF")  # what a power cut leaves of it is looked at before it is believed
            db.execute("DROP TABLE IF EXISTS digests")  # of an earlier version
            db.execute(TABLE)
            db.execute(TREES)
            db.execute("SELECT device, inode, size, modified, changed, digests, sum FROM files LIMIT 1").fetchone()
            return db
        except sqlite3.OperationalError as error:
            db.close()
            if "no such column" not in str(error):
                return None  # locked, or not to be written
        except sqlite3.DatabaseError:
            db.close()
        if again:
            for name in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
                with contextlib.suppress(OSError):
                    name.unlink()
    return None


def _rows(
    db: sqlite3.Connection, device: int, inodes: Sequence[int]
) -> Iterator[tuple[tuple[int, int], tuple[Any, ...]]]:
    for start in range(0, len(inodes), AT_ONCE):
        some = inodes[start : start + AT_ONCE]
        marks = ",".join("?" * len(some))
        asked = (
            f"SELECT size, modified, changed, digests, sum, inode FROM files WHERE device = ? AND inode IN ({marks})"
        )
        for row in db.execute(asked, (device, *some)):
            yield (device, row[5]), row


def _digests(row: tuple[Any, ...] | None, state: State) -> Chunks | None:
    """Return the digests of a row, where it is of this state and whole."""
    if row is None:
        return None
    size, modified, changed, digests, told, inode = row
    if (size, modified, changed) != state[3:]:
        return None
    if not isinstance(digests, bytes) or len(digests) % DIGEST_BYTES:
        return None
    if told != _sum(digests, state[1:]):
        return None
    text = digests.hex()
    if len(digests) == DIGEST_BYTES:
        return (text,)
    return tuple(text[at : at + 2 * DIGEST_BYTES] for at in range(0, len(text), 2 * DIGEST_BYTES))


def _sum(digests: bytes, key: tuple[int, ...]) -> int:
    # Numbers, unlike texts, have the same hash in every process. Another version of Python may have another: it hashes again.
    return crc32(digests, hash(key) & 0xFFFFFFFF)
