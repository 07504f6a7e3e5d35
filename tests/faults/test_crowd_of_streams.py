"""A thousand who follow all events at once, half of whom take nothing of what they are sent; each side is a process of its own."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from crowd_of_streams import PATIENCE_SECONDS, Crowd
from docker_engine import FakeDockerEngine
from live_platform import eventually, run
from own_service import SETTINGS, OwnService

from himalia.models import EventKind
from himalia.states import JobState
from himalia.units import KiB
from himalia_jobs.store.clock import now_text

READERS = SILENT = 500
LINES, LINE = 200, "x" * 2_000  #: more than service and kernel hold for anybody who takes nothing
MOST_BYTES = 64 * KiB  #: that service and kernel may each hold for a stream
STALLED_SECONDS = 10
USUAL_FILES = "1024:4096"  #: that a process may open unless it asks for more, and at most
IMPATIENT = f"import himalia_jobs.api.base as b, himalia_jobs.app as a; b.STALLED_SECONDS = {STALLED_SECONDS}; a.main()"


@pytest.fixture
def own(tmp_path):
    """A service with little patience, on a Docker Engine in memory."""
    engine = FakeDockerEngine()
    service = OwnService(tmp_path, settings=SETTINGS)
    service.program = ("prlimit", f"--nofile={USUAL_FILES}", sys.executable, "-c", IMPATIENT)
    service.environment = {"DOCKER_HOST": engine.host}
    try:
        service.start()
        yield service
    finally:
        service.end()
        engine.close()


def submitted(own: OwnService, name: str) -> JobState:
    """Let somebody's job run; return how it ended."""
    return run(own.client(name), ["run", "0", "0"], profile="tiny").state


def something_happens(own: OwnService) -> None:
    """Write what ada is told of; everybody looks as soon as somebody submits."""
    with closing(sqlite3.connect(own.data / "himalia.sqlite", timeout=30)) as db, db:
        (ada,) = db.execute("SELECT owner_id FROM jobs WHERE user = 'ada'").fetchone()
        row = (now_text(), str(EventKind.INTERVENTION), ada, LINE)
        db.executemany("INSERT INTO events (at, kind, owner_id, detail) VALUES (?, ?, ?, ?)", [row] * LINES)


def resident(pid: int) -> int:
    """Return the bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def sent_and_not_taken(port: int) -> int:
    """Return the bytes that the kernel holds for those who are connected to a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[4].partition(":")[0], 16) for row in rows if row[1].endswith(f":{port:04X}"))


@pytest.mark.timeout(2 * PATIENCE_SECONDS)
@pytest.mark.fault(93)
def test_of_a_thousand_who_listen_those_who_take_nothing_cost_little_memory_and_are_let_go(own):
    """Of a thousand who listen, those who take nothing cost little memory and are let go; the others hear all, others' work goes on."""
    assert own.process is not None
    assert [submitted(own, name) for name in ("ada", "bob")] == [JobState.SUCCEEDED] * 2
    before = resident(own.process.pid)
    text = hashlib.sha256((LINE * LINES).encode()).hexdigest()
    with Crowd(own.url, "ada-token", readers=READERS, silent=SILENT) as crowd:
        something_happens(own)

        assert submitted(own, "bob") is JobState.SUCCEEDED
        answers = []
        while crowd.look()["least"] < LINES:
            answers.append(own.client("bob").me().name)
            time.sleep(0.05)
        grown, held = resident(own.process.pid) - before, sent_and_not_taken(own.port)
        told = eventually(
            lambda: (found := crowd.look())["silent_gone"] == SILENT and found, STALLED_SECONDS + PATIENCE_SECONDS
        )
        grown_after = resident(own.process.pid) - before
        silent = crowd.drain()

        assert set(answers) <= {"bob"}
        assert (told["least"], told["most"], told["readers_gone"]) == (LINES, LINES, 0)
        assert told["digests"] == [text]
        assert {one["over"] for one in silent} == {"reset"}
        assert max(one["heard"] for one in silent) < LINES
        assert max(grown, grown_after) < (READERS + SILENT) * MOST_BYTES, f"{grown / 2**20:.0f} MiB"
        assert held < SILENT * MOST_BYTES, f"{held / 2**20:.0f} MiB"
    print(f"{grown / 2**20:.0f} MiB, after {grown_after / 2**20:.0f} MiB; the kernel {held / 2**20:.0f} MiB")
    slow = min(silent, key=lambda one: one["heard"])
    with Crowd(own.url, "ada-token", readers=1, last=slow["last"]) as again:  # nothing is lost to who was let go
        eventually(lambda: again.look()["least"] == LINES - slow["heard"])
    assert submitted(own, "bob") is JobState.SUCCEEDED
