"""The engine's own journal: what it was about to do and what it saw. On disk before the step it announces (I2, I3, I9)."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from himalia.errors import Unavailable

from .base import Exit, ExitReason, LaunchSpec, Mode, Observed
from .errors import Conflict, Finished, StaleEpoch

WHOLLY, NEARLY = 1, 2  #: how far an attempt is forgotten
KEPT_SECONDS = 30 * 86400  #: a message is never delayed longer than this

SCHEMA = """
CREATE TABLE IF NOT EXISTS attempts (
    id TEXT PRIMARY KEY,
    digest TEXT NOT NULL DEFAULT '',
    intent_at REAL,
    started_at REAL,
    started_clock REAL,
    boot_id TEXT NOT NULL DEFAULT '',
    stop_why TEXT,
    exit TEXT,
    collected TEXT,
    forgotten INTEGER NOT NULL DEFAULT 0,
    changed_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the journal knows of an attempt."""

    id: str
    digest: str
    started: bool
    started_clock: float | None  #: CLOCK_BOOTTIME just before the start
    boot_id: str
    stop_why: str | None
    exit: Exit | None
    collected: dict[str, Any] | None
    forgotten: bool


class Journal:
    """One file, one connection, one lock; every write is on disk when it returns."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            _check_integrity(file)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=30)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(SCHEMA)
        if "started_clock" not in {row[1] for row in self._db.execute("PRAGMA table_info(attempts)")}:
            self._db.execute("ALTER TABLE attempts ADD COLUMN started_clock REAL")  # made by an older service

    def take_over(self, epoch: int) -> None:
        """Note the epoch of the service; raise StaleEpoch when a newer one was here."""
        with self._transaction():
            highest = self._highest()
            if epoch < highest:
                raise StaleEpoch(f"service {epoch} was replaced by service {highest}; it must not change anything")
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('epoch', ?)", (str(epoch),))
            self._db.execute(
                "DELETE FROM attempts WHERE changed_at < ? AND forgotten = ?", (time.time() - KEPT_SECONDS, WHOLLY)
            )

    def check_epoch(self, epoch: int) -> None:
        """Raise StaleEpoch when a newer service has taken over."""
        with self._lock:
            if epoch < self._highest():
                raise StaleEpoch("a newer service has taken over; this one must not change anything")

    def look(self, epoch: int, attempt: str) -> Entry | None:
        """Return what is known of an attempt; raise StaleEpoch when a newer service has taken over."""
        self.check_epoch(epoch)
        return self.find(attempt)

    def mode(self) -> Mode:
        """Return whether this machine takes new containers: ready, cordoned or draining."""
        return cast(Mode, self.noted("mode") or "ready")

    def set_mode(self, mode: Mode) -> None:
        """Note whether this machine takes new containers."""
        self.note("mode", mode)

    def noted(self, key: str) -> str:
        """Return what was noted of the machine; empty when nothing was."""
        with self._lock:
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else ""

    def note(self, key: str, value: str) -> None:
        """Note something of the machine."""
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def find(self, attempt: str) -> Entry | None:
        """Return what is known of an attempt."""
        with self._lock:
            row = self._db.execute(
                "SELECT id, digest, started_at, boot_id, stop_why, exit, collected, forgotten, started_clock "
                "FROM attempts WHERE id = ?",
                (attempt,),
            ).fetchone()
        if row is None:
            return None
        return Entry(
            id=row[0],
            digest=row[1],
            started=row[2] is not None,
            started_clock=row[8],
            boot_id=row[3],
            stop_why=row[4],
            exit=_exit_of(row[5]),
            collected=json.loads(row[6]) if row[6] else None,
            forgotten=bool(row[7]),
        )

    def intend(self, attempt: str, digest: str, boot_id: str) -> None:
        """Note that an attempt is about to be created."""
        self._write(attempt, digest=digest, intent_at=time.time(), boot_id=boot_id)

    def started(self, attempt: str, clock: float | None = None) -> None:
        """Note that an attempt is about to be started: from now on it may have run. Without a clock it was started before."""
        self._write(attempt, started_at=time.time(), **({} if clock is None else {"started_clock": clock}))

    def stopping(self, attempt: str, why: str) -> None:
        """Note that an attempt is to be stopped; one that was not seen yet will never start."""
        self._write(attempt, stop_why=why)

    def ended(self, attempt: str, exit: Exit) -> Exit:
        """Note how an attempt ended, and return what counts: the first word."""
        entry = self.find(attempt)
        if entry is not None and entry.exit is not None:
            return entry.exit
        self._write(attempt, exit=_exit_text(exit))
        return exit

    def collected(self, attempt: str, what: dict[str, Any]) -> None:
        """Note what was sealed."""
        self._write(attempt, collected=json.dumps(what))

    def forgotten(self, attempt: str, *, wholly: bool = True) -> None:
        """Note that only the tombstone is left; not `wholly`: and what `remains` names."""
        self._write(attempt, forgotten=WHOLLY if wholly else NEARLY)

    def remains(self) -> list[str]:
        """Return the attempts of which something is left that nobody waits for."""
        with self._lock:
            rows = self._db.execute("SELECT id FROM attempts WHERE forgotten = ?", (NEARLY,)).fetchall()
        return [row[0] for row in rows]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _write(self, attempt: str, **values: Any) -> None:
        values["changed_at"] = time.time()
        names = ", ".join(values)
        changes = ", ".join(f"{name} = excluded.{name}" for name in values)
        marks = ", ".join("?" for _ in values)
        # The names are this module's own; the values are bound.
        statement = f"INSERT INTO attempts (id, {names}) VALUES (?, {marks}) ON CONFLICT (id) DO UPDATE SET {changes}"
        with self._lock:
            self._db.execute(statement, (attempt, *values.values()))

    def _highest(self) -> int:
        row = self._db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        return int(row[0]) if row else 0

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise


def _check_integrity(file: Path) -> None:
    """Raise Unavailable, with what to do, for a journal that is damaged; it is only read."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=30)) as connection:
            verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        raise Unavailable(
            f"The engine's journal {file} is damaged ({verdict}). Nothing was changed; what runs goes on. Put a backup in "
            "its place, or move it away: what runs is found by its containers then, and jobs whose end was written in "
            "the journal alone are told as vanished."
        )


def _exit_text(exit: Exit) -> str:
    return json.dumps(
        {
            "code": exit.code,
            "signal": exit.signal,
            "oom": exit.oom,
            "reason": exit.reason,
            "detail": exit.detail,
            "finished_at": exit.finished_at.isoformat() if exit.finished_at else None,
        }
    )


def _exit_of(text: str | None) -> Exit | None:
    if text is None:
        return None
    plain = json.loads(text)
    finished = plain["finished_at"]
    return Exit(
        code=plain["code"],
        signal=plain["signal"],
        oom=plain["oom"],
        reason=ExitReason(plain["reason"]),
        detail=plain["detail"],
        finished_at=datetime.fromisoformat(finished) if finished else None,
    )


def must_be_new_or_same(entry: Entry | None, observed: Observed, spec: LaunchSpec) -> None:
    """Raise Finished for an attempt that has ended, Conflict for one of another specification."""
    must_be_unfinished(entry, spec.attempt)
    known = {entry.digest if entry is not None else "", observed.spec_digest} - {""}
    if known - {spec.digest()}:
        raise Conflict(f"{spec.attempt} was launched before with another specification")


def must_be_unfinished(entry: Entry | None, attempt: str) -> None:
    """Raise Finished for an attempt that has ended."""
    if entry is not None and (entry.exit is not None or entry.forgotten):
        ended = entry.exit or Exit(code=None, reason=ExitReason.STOPPED)
        raise Finished(f"{attempt} has ended before; it is never started again", ended)
