"""The power fails under a stream of jobs: all that was said to be taken is there afterwards, and no attempt runs a second time.

The cut is emulated: the file system under database, journal and contents lets go without writing anything more. That the
disk itself keeps what it said it kept is not shown. `make campaign` cuts more often.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
from cut_disk import CutDisk
from docker_engine import FakeDockerEngine
from figures_told import tell_figure
from job_stream import JobStream, left_over, untruths
from live_platform import eventually
from own_service import SETTINGS, OwnService

pytestmark = pytest.mark.fault(11)

LAUNCHER = Path(__file__).parents[2] / "build" / "launcher" / "himalia-launcher"
LONG = bool(os.environ.get("HIMALIA_CAMPAIGN"))
CUTS = int(os.environ.get("HIMALIA_CAMPAIGN_CUTS", "24" if LONG else "2"))
SEED = int(os.environ.get("HIMALIA_CAMPAIGN_SEED") or (random.SystemRandom().randrange(10**6) if LONG else 7))


@pytest.fixture
def disk(tmp_path):
    """A disk whose power can be cut."""
    disk = CutDisk(tmp_path)
    try:
        yield disk
    finally:
        disk.end()


@pytest.mark.timeout(300 + 60 * CUTS)
def test_what_was_taken_is_there_after_the_power_failed_and_no_attempt_runs_again(disk, tmp_path):
    draw = random.Random(f"cuts {SEED}")
    engine = FakeDockerEngine()
    service = OwnService(tmp_path, disk.path / "data", settings=SETTINGS)
    service.environment = {"DOCKER_HOST": engine.host}
    stream = JobStream(service, tmp_path, SEED)
    print(f"\nHIMALIA_CAMPAIGN_SEED={SEED}: {CUTS} power cuts")
    try:
        service.start()
        for _ in range(CUTS):
            stream.start()
            Event().wait(draw.uniform(0.5, 4))
            power_fails(disk, service, engine, stream)
            stream.stop()
            disk.come_back()
            service.start()
            assert (stream.wrong, engine.wrong) == ([], []), f"seed {SEED}"
        stream.come_to_rest()

        assert untruths(stream, engine, power=True) == [], f"seed {SEED}"
        assert engine.wrong == [], f"seed {SEED}"
        eventually(lambda: not left_over(service, engine), 60)
        assert {sound(service.data / name) for name in ("himalia.sqlite", "engine/journal.sqlite")} == {"ok"}
    finally:
        stream.close()
        service.end()
        engine.close()
    assert stream.taken
    tell_figure(
        f"{CUTS} emulated power cuts, seed {SEED}",
        f"{len(stream.taken)} jobs taken, {sum(engine.starts.values())} containers started: 0 lost, 0 twice, 0 left over",
    )


def power_fails(disk: CutDisk, service: OwnService, engine: FakeDockerEngine, stream: JobStream) -> None:
    """Cut the power of everything: what was promised until then, counts."""
    with stream.lock:
        disk.cut()
        stream.give_up()
    service.stop(signal.SIGKILL)
    engine.lose_power()


def sound(file) -> str:
    """Return what SQLite says of a database: ok, or what is wrong."""
    with closing(sqlite3.connect(file)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def test_a_cut_loses_what_was_not_synchronised_and_nothing_else(disk):
    (disk.path / "lost").write_text("x")
    with (disk.path / "kept").open("w") as kept:
        kept.write("x")
        kept.flush()
        os.fsync(kept.fileno())

    disk.cut()

    with pytest.raises(OSError):
        (disk.path / "later").write_text("x")
    disk.come_back()
    assert (disk.path / "kept").read_text() == "x"
    assert not (disk.path / "lost").exists() or (disk.path / "lost").read_text() == ""


def test_the_end_that_a_launcher_wrote_is_there_after_the_power_failed(disk):
    run = disk.path / "run"
    run.mkdir()
    words = ["--log", run / "log", "--exit", run / "exit.json", "--", "sh", "-c", "exit 5"]

    ended = subprocess.run([LAUNCHER, *words], check=False)
    disk.cut()
    disk.come_back()

    assert ended.returncode == 5
    assert '"code":5' in (run / "exit.json").read_text()
