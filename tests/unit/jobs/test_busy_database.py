"""Somebody else holds the database's lock for longer than the service waits: nothing is lost, and everybody is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from mortal_service import ENDS, MortalService, running
from service_at_work import at_work

from himalia.errors import Unavailable
from himalia.states import JobState
from himalia_jobs.store import Database, database

pytestmark = [pytest.mark.asyncio, pytest.mark.fault(16)]


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a database's lock, as a backup or an administrator's program may."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_who_submits_is_asked_to_come_again_and_who_reads_is_answered(tmp_path):
    async with at_work(tmp_path / "data") as work:
        before = await work.submit()
        wish = {"project": "work", "command": "true", "idempotency_key": "once"}
        with locked(work.service.db.file):
            refused = [await work.ask("POST", "jobs", json=wish) for _ in range(3)]
            read = await work.ask("GET", f"jobs/{before['id']}")

        taken = [await work.ask("POST", "jobs", json=wish) for _ in range(2)]

        assert {answer.status_code for answer in refused} == {503}
        assert {answer.headers["Retry-After"] for answer in refused} == {"5"}
        assert "busy. Try again in a moment" in refused[0].json()["error"]["message"]
        assert read.status_code == 200
        assert len({answer.json()["id"] for answer in taken}) == 1
        assert len((await work.ask("GET", "jobs")).json()["jobs"]) == 2


async def test_a_job_whose_step_could_not_be_written_goes_on_where_it_was_and_runs_once(tmp_path, db, add_job, machine):
    job = add_job(**running(ENDS))
    busy = Database(db.file)
    service = MortalService(busy, machine, tmp_path)
    await service.start()
    await service.turn()
    for moment in (JobState.STARTING, JobState.RUNNING, JobState.COLLECTING):
        service.let_pass(1)
        with locked(db.file):
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await service.runner.step(job.id)
        assert service.job(job.id).state is moment
        await service.runner.step(job.id)

    assert service.job(job.id).state is JobState.SUCCEEDED
    assert machine.starts == [f"{job.id}.1"]
    service.check_the_end()
    busy.close()
