"""Lives of the service that end in the middle of something, and what the next one makes of it; the Docker Engine is one in memory."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from docker_engine import FakeDockerEngine
from live_platform import eventually, output, run, state
from own_service import SETTINGS, OwnService

from himalia.states import JobState

ENDED, RUNNING = 1000, 100
READY_SECONDS = 3.0  #: that so many jobs may cost a start, in CPU seconds
LASTS = ["run", "3600", "0"]


@pytest.fixture
def engine():
    """A Docker Engine in memory."""
    engine = FakeDockerEngine()
    yield engine
    engine.close()


@pytest.fixture
def own(tmp_path, engine):
    """A service on that Engine."""
    service = OwnService(tmp_path, settings=SETTINGS)
    service.environment = {"DOCKER_HOST": engine.host}
    try:
        service.start()
        yield service
    finally:
        service.end()


@pytest.mark.fault(2)
def test_a_submit_whose_answer_never_came_is_the_same_job_when_it_is_asked_again(own, engine):
    ada = own.client()
    body = {"project": "work", "command": ["run", "0", "0"], "profile": "tiny", "idempotency_key": "once"}
    with socket.create_connection(("127.0.0.1", own.port)) as asking:
        content = json.dumps(body)
        head = f"POST /services/jobs/api/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {own.hub.hub.knows('ada')}"
        asking.sendall(f"{head}\r\nContent-Length: {len(content)}\r\n\r\n{content}".encode())
        eventually(lambda: rows(own, "SELECT id FROM jobs"))
        own.stop(signal.SIGKILL)
    own.start()

    again = ada.http.json("POST", "jobs", body=body)

    ((only,),) = rows(own, "SELECT id FROM jobs")
    assert again["id"] == only
    eventually(lambda: ada.job(only).state is JobState.SUCCEEDED)
    assert dict(engine.starts) == {f"{only}.1": 1}


@pytest.mark.fault(18)
def test_a_service_with_many_jobs_is_ready_soon_and_all_that_ran_run_on(own, engine):
    ada = own.client()
    first = run(ada, ["run", "0", "0"], profile="tiny")
    own.stop()
    own.start()
    alone = cpu_seconds(own)
    running = [run(ada, LASTS, profile="tiny", wait=False) for _ in range(RUNNING)]
    eventually(lambda: len(engine.running()) == RUNNING)
    own.stop()
    copy_job(own, first.id, ENDED - 1)

    own.start()

    cost = cpu_seconds(own) - alone
    assert cost < READY_SECONDS
    eventually(lambda: len(list(ada.jobs(state="running"))) == RUNNING)
    assert len(engine.running()) == sum(engine.starts.values()) - 1 == RUNNING
    assert rows(own, "SELECT count(*) FROM jobs") == [(ENDED + RUNNING,)]
    assert output(first) == f"{first.id}.1\n".encode()
    running[0].cancel()
    eventually(lambda: state(running[0]).state is JobState.CANCELLED)


def rows(own: OwnService, query: str) -> list[tuple[object, ...]]:
    """Return what the service's database has."""
    with closing(sqlite3.connect(own.data / "himalia.sqlite")) as db:
        return db.execute(query).fetchall()


def copy_job(own: OwnService, job_id: str, times: int) -> None:
    """Let there be more jobs that have ended as one did."""
    with closing(sqlite3.connect(own.data / "himalia.sqlite")) as db:
        names = [str(row[1]) for row in db.execute("PRAGMA table_info(jobs)")]
        columns = ", ".join(f'"{name}"' for name in names if name not in ("id", "seq", "number", "idempotency_key"))
        db.executemany(
            f"INSERT INTO jobs (id, seq, {columns}) "
            f"SELECT ?, (SELECT max(seq) + 1 FROM jobs), {columns} FROM jobs WHERE id = ?",
            [(f"copy{number:08}", job_id) for number in range(times)],
        )
        db.commit()


def cpu_seconds(own: OwnService) -> float:
    """Return how long the service's process has computed since it began."""
    assert own.process is not None
    fields = Path(f"/proc/{own.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
