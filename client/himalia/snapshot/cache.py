"""Remembers the digests of files that have not changed. Whatever is wrong with it, files are hashed again."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

MOST_ROWS = 2_000_000
#: A clock ticks in steps (a file system's of up to two seconds): what changed this late could change again unseen.
SETTLED_NS = 2_500_000_000


class HashCache:
    """A small database keyed by (device, inode, size, mtime, ctime): a rewrite that restores mtime still changes ctime.

    Files that changed a moment ago are not remembered: another change within the same tick would show nowhere.
    """

    def __init__(self, file: Path) -> None:
        self._new: dict[str, str] = {}
        self._db: sqlite3.Connection | None = None
        with contextlib.suppress(OSError, sqlite3.Error):
            file.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(file, timeout=1, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS digests (key TEXT PRIMARY KEY, chunks TEXT NOT NULL) WITHOUT ROWID"
            )

    def get(self, state: os.stat_result) -> tuple[str, ...] | None:
        """Return the digests of a file in this state."""
        key = _key(state)
        if key in self._new:
            return tuple(self._new[key].split())
        if self._db is None:
            return None
        try:
            row = self._db.execute("SELECT chunks FROM digests WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error:
            return None
        return tuple(row[0].split()) if row else None

    def put(self, state: os.stat_result, chunks: tuple[str, ...], read_at_ns: int) -> None:
        """Remember the digests of a file in this state, unless it had just changed when it was read."""
        if read_at_ns - state.st_ctime_ns < SETTLED_NS:
            return
        self._new[_key(state)] = " ".join(chunks)

    def flush(self) -> None:
        """Write what is new."""
        if self._db is not None and self._new:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("BEGIN")
                self._db.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?)", self._new.items())
                if self._db.execute("SELECT COUNT(*) FROM digests").fetchone()[0] > MOST_ROWS:
                    self._db.execute("DELETE FROM digests")
                self._db.execute("COMMIT")
        self._new.clear()

    def close(self) -> None:
        """Write what is new and close the file."""
        self.flush()
        if self._db is not None:
            self._db.close()
            self._db = None


def _key(state: os.stat_result) -> str:
    return f"{state.st_dev}:{state.st_ino}:{state.st_size}:{state.st_mtime_ns}:{state.st_ctime_ns}"
