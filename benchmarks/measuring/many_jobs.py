"""A database with many jobs: copies of one that really ran, with its attempt, its lease and its snapshot."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from himalia.ids import attempt_id, new_id

BATCH = 5_000
Row = dict[str, Any]


def add_jobs(file: Path, count: int, *, whole: bool = True) -> None:
    """Add so many copies of the last job to a database that nobody has open; each as it would be after a run of its own.

    Not `whole`: the jobs' own rows alone, where only these are read.
    """
    with closing(sqlite3.connect(file)) as db:
        db.row_factory = sqlite3.Row
        for pragma in ("synchronous=OFF", "cache_size=-200000", "foreign_keys=OFF"):
            db.execute(f"PRAGMA {pragma}")
        job = dict(db.execute("SELECT * FROM jobs ORDER BY number DESC LIMIT 1").fetchone())
        attempt = dict(db.execute("SELECT * FROM attempts WHERE job_id = ?", (job["id"],)).fetchone())
        lease = dict(db.execute("SELECT * FROM leases WHERE id = ?", (attempt["lease_id"],)).fetchone())
        found = db.execute("SELECT * FROM snapshots WHERE id = ?", (job["snapshot_id"],)).fetchone()
        first = {"job": int(job["number"]), "lease": int(lease["number"])}
        for begin in range(0, count, BATCH):
            ids = [(new_id(), new_id(), new_id()) for _ in range(min(BATCH, count - begin))]
            numbers = range(begin + 1, begin + len(ids) + 1)
            if whole and found is not None:
                _insert(db, "snapshots", dict(found), ({"id": snapshot} for _, _, snapshot in ids))
            _insert(db, "jobs", job, _jobs(ids, numbers, first["job"], whole and found is not None))
            if whole:
                _insert(db, "leases", lease, _leases(ids, numbers, first["lease"]))
                _insert(db, "attempts", attempt, _attempts(ids))
            db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


Ids = list[tuple[str, str, str]]


def _jobs(ids: Ids, numbers: range, first: int, has_snapshot: bool) -> Iterator[Row]:
    for number, (job, _, snapshot) in zip(numbers, ids, strict=True):
        own = {"id": job, "number": first + number, "idempotency_key": None}
        yield own | ({"snapshot_id": snapshot} if has_snapshot else {})


def _leases(ids: Ids, numbers: range, first: int) -> Iterator[Row]:
    for number, (job, lease, _) in zip(numbers, ids, strict=True):
        yield {"id": lease, "number": first + number, "holder": attempt_id(job, 1), "spawn_id": None}


def _attempts(ids: Ids) -> Iterator[Row]:
    for job, lease, _ in ids:
        yield {"id": attempt_id(job, 1), "job_id": job, "number": 1, "lease_id": lease}


def _insert(db: sqlite3.Connection, table: str, like: Row, rows: Iterator[Row]) -> None:
    # The names are the table's own; the values are bound.
    names = ", ".join(f'"{name}"' for name in like)
    marks = ", ".join(f":{name}" for name in like)
    db.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", (like | row for row in rows))
