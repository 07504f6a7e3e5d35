"""How long somebody's first job waits though somebody else has queued a thousand before it: G22."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from measuring import Bound, Report, main, own_service, places

import himalia

if TYPE_CHECKING:
    from own_service import OwnService

QUEUED, PLACES = 1_000, 4
SECONDS = "0.5"
MOST_BEFORE = 1


def measure(rounds: int, scale: float = 1.0) -> Report:
    """Measure whom the queue lets start between somebody's first submit and its start: each round is somebody new."""
    count = max(20, round(QUEUED * scale))
    report = Report(title=f"One job behind {count:,} of somebody else, {PLACES} places")
    before, waited = [], []
    with own_service(places(PLACES, cpus=0.25, memory_mib=64)) as service:
        crowd = service.client("ada")
        for _ in range(count):
            himalia.submit(None, command=["sleep", SECONDS], project="many", client=crowd)
        for number in range(rounds):
            job = himalia.submit(None, command=["true"], project="one", client=service.client(f"person{number}"))
            job.wait(120)
            between, seconds = in_between(service, job)
            before.append(float(between))
            waited.append(seconds)
        left = sum(1 for _ in crowd.jobs(state="queued", limit=100))
    assert left, "the line was empty before the last round"
    report.judge("G22", "jobs of the crowd that start before it", "", before, bound=Bound(limit=MOST_BEFORE))
    report.add("submit to the start of its container's making", "s", waited)
    report.notes.append(f"{left:,} of {count:,} still waited after the last round; each sleeps {SECONDS} s")
    return report


def in_between(service: OwnService, job: himalia.Job) -> tuple[int, float]:
    """Return how many of the crowd's jobs were let start after a job was submitted and before it was, and how long it waited."""
    with closing(sqlite3.connect(f"file:{service.data}/himalia.sqlite?mode=ro", uri=True)) as db:
        (submitted,) = db.execute("SELECT created_at FROM jobs WHERE id = ?", (job.id,)).fetchone()
        (granted,) = db.execute("SELECT granted_at FROM leases WHERE holder = ?", (f"{job.id}.1",)).fetchone()
        query = "SELECT count(*) FROM leases WHERE user = 'ada' AND granted_at > ? AND granted_at < ?"
        (between,) = db.execute(query, (submitted, granted)).fetchone()
        query = "SELECT (julianday(?) - julianday(?)) * 86400"
        (seconds,) = db.execute(query, (granted, submitted)).fetchone()
    return int(between), float(seconds)


if __name__ == "__main__":
    main(measure, rounds=9, sized=True)
