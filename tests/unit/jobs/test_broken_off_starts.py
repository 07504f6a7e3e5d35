"""An Engine that was stopped in the middle of a start, or was away at an end: nothing begins twice, each end is the true one."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mortal_service import ENDS, running, ticks

from himalia.states import JobState
from himalia_jobs.engines.base import ExitReason
from himalia_jobs.engines.errors import StartLost
from himalia_jobs.engines.leftovers import end_processes, lift_cpu_limit
from himalia_jobs.engines.runfiles import has_begun
from himalia_jobs.engines.seen import exit_of

CONTAINER = "c" * 64


def ended(code: int) -> dict[str, object]:
    """Return a container's state as the Engine tells it."""
    return {"Status": "exited", "ExitCode": code, "FinishedAt": datetime.now(UTC).isoformat(), "Error": ""}


def record(own: Path, **changes: object) -> None:
    """Write an exit record as the launcher does."""
    (own / "run").mkdir()
    whole = {"code": 0, "signal": None, "stopped": False, "dropped_bytes": 0} | changes
    (own / "run" / "exit.json").write_text(json.dumps(whole))


@pytest.mark.parametrize("code", [0, 3])
def test_an_end_while_the_engine_was_away_is_the_one_that_the_launcher_wrote(tmp_path, code):
    record(tmp_path, code=code)

    exit = exit_of(ended(255), tmp_path, None, "boot")

    assert (exit.code, exit.reason) == (code, ExitReason.EXITED)


def test_an_end_that_nobody_wrote_is_the_engines(tmp_path):
    assert exit_of(ended(255), tmp_path, None, "boot").reason is ExitReason.ENGINE_STOPPED


def test_a_record_changes_no_code_that_the_engine_knows(tmp_path):
    record(tmp_path, code=0)

    assert exit_of(ended(3), tmp_path, None, "boot").code == 3


@pytest.mark.fault(33)
@pytest.mark.parametrize(("told", "counted", "oom"), [(False, 0, False), (False, 2, True), (True, 0, True)])
def test_a_child_that_was_killed_for_want_of_memory_is_known_from_the_engine_or_from_the_launchers_count(
    tmp_path, told, counted, oom
):
    record(tmp_path, oom_kills=counted)

    exit = exit_of(ended(0) | {"OOMKilled": told}, tmp_path, None, "boot")

    assert (exit.code, exit.oom) == (0, oom)


def test_a_command_has_begun_when_its_launcher_made_its_log(tmp_path):
    assert not has_begun(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log").symlink_to("/nowhere")

    assert has_begun(tmp_path)


def test_processes_of_one_container_are_ended_and_no_others(tmp_path):
    with subprocess.Popen(["sleep", "600"]) as ours, subprocess.Popen(["sleep", "600"]) as other:
        for process, container in ((ours, CONTAINER), (other, "d" * 64)):
            folder = tmp_path / str(process.pid)
            folder.mkdir()
            (folder / "cgroup").write_text(f"9:devices:/docker/{container}\n0::/\n")
        (tmp_path / "1").mkdir()  # one that has ended meanwhile

        assert end_processes(CONTAINER, tmp_path) == [ours.pid]

        assert ours.wait(20) == -9
        assert other.poll() is None
        other.kill()


@pytest.mark.fault(35)
@pytest.mark.parametrize(
    ("line", "file", "limit", "unlimited"),
    [
        (f"4:cpu:/docker/{CONTAINER}", f"cpu/docker/{CONTAINER}/cpu.cfs_quota_us", "10000", "-1"),
        (f"4:cpu,cpuacct:/docker/{CONTAINER}", f"cpu/docker/{CONTAINER}/cpu.cfs_quota_us", "10000", "-1"),
        (
            f"0::/system.slice/docker-{CONTAINER}.scope",
            f"system.slice/docker-{CONTAINER}.scope/cpu.max",
            "10000 100000",
            "max",
        ),
    ],
    ids=["version 1", "version 1, together", "version 2"],
)
def test_who_is_killed_gets_the_cpu_to_die(tmp_path, line, file, limit, unlimited):
    (tmp_path / "9").mkdir()
    (tmp_path / "9" / "cgroup").write_text(f"9:cpuset:/docker/{CONTAINER}\n{line}\n")
    written = tmp_path / "cgroups" / file
    written.parent.mkdir(parents=True)
    written.write_text(limit)

    assert lift_cpu_limit(9, tmp_path, tmp_path / "cgroups")

    assert written.read_text().startswith(unlimited)


def test_who_has_ended_or_is_in_no_container_has_no_limit_to_lift(tmp_path):
    (tmp_path / "9").mkdir()
    (tmp_path / "9" / "cgroup").write_text("4:cpu:/\n0::/\n")

    assert not lift_cpu_limit(9, tmp_path, tmp_path)
    assert not lift_cpu_limit(10, tmp_path, tmp_path)


@pytest.mark.asyncio
async def test_a_job_whose_start_an_engine_lost_gets_another_attempt_and_runs_once(service, add_job):
    job = add_job(**running(ENDS))
    await service.start()
    launch = service.engine.launch

    async def is_lost(spec, *, timeout_seconds):
        service.engine.launch = launch
        raise StartLost("The Docker Engine was stopped while it started this.")

    service.engine.launch = is_lost

    await ticks(service)

    ended = service.job(job.id)
    assert (ended.state, ended.attempt_count, len(service.machine.starts)) == (JobState.SUCCEEDED, 2, 1)
    service.check_the_end()
