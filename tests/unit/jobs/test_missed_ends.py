"""An Engine that missed an end calls its container running for ever: the job ends all the same, and no live one ever does so."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from docker_api import Container, FakeDockerAPI, _error

from himalia.container import Label, container_name
from himalia.site import Gpus, Site
from himalia_gpus.supervisor import watch_for
from himalia_jobs.bootclock import BootClock
from himalia_jobs.engines.base import Exit, ExitReason, Phase
from himalia_jobs.engines.docker import LocalEngine
from himalia_jobs.engines.errors import EngineError, Refused, Unknown
from himalia_jobs.engines.pulse import GONE_SECONDS, GONE_WITHOUT_WORD_SECONDS
from himalia_jobs.layout import DataLayout

pytestmark = pytest.mark.asyncio

INSTALLATION, ATTEMPT = "i" * 12, "jobjobjobjob.1"


class ClockOfTests(BootClock):
    """A clock that moves when it is told."""

    seconds = 0.0

    def now(self) -> float:
        """Return the seconds that were let pass."""
        return self.seconds


@dataclass
class Scene:
    """A container that the Engine calls running for ever, and the processes of a machine of the test's own."""

    engine: LocalEngine
    docker: FakeDockerAPI
    container: Container
    proc: Path
    clock: ClockOfTests

    def process(self, pid: int, container: str) -> None:
        """Let a process of a container be there."""
        (self.proc / str(pid)).mkdir()
        (self.proc / str(pid) / "cgroup").write_text(f"9:devices:/docker/{container}\n0::/\n")

    def ends(self, pid: int) -> None:
        """Let a process end."""
        (self.proc / str(pid) / "cgroup").unlink()
        (self.proc / str(pid)).rmdir()

    def record(self, **changes: object) -> None:
        """Write an exit record as the launcher does."""
        run = self.engine.layout.attempt(ATTEMPT) / "run"
        run.mkdir(parents=True, exist_ok=True)
        whole = {"code": 0, "signal": None, "stopped": False, "dropped_bytes": 0} | changes
        (run / "exit.json").write_text(json.dumps(whole))

    async def end_after(self, seconds: float) -> Exit | None:
        """Look now, and again that much later; return the end that is told then."""
        assert (await self.engine.status(ATTEMPT)).phase is Phase.RUNNING
        self.clock.seconds += seconds
        return (await self.engine.status(ATTEMPT)).exit


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """A job that runs, and is seen to."""
    site = Site(gpus=Gpus(simulate=0))
    layout = DataLayout(data=tmp_path / "data")
    trees: Any = None
    engine = LocalEngine(site, INSTALLATION, layout, trees, watch_for(site.gpus, INSTALLATION))
    docker: Any = FakeDockerAPI()
    engine.docker._client = docker
    labels = {Label.INSTALLATION: INSTALLATION, Label.KIND: "job", Label.ATTEMPT: ATTEMPT}
    container = docker.add(container_name(INSTALLATION, ATTEMPT), labels=labels, status="running")
    container.pid = 77
    proc, clock = tmp_path / "proc", ClockOfTests()
    (proc / "self" / "ns").mkdir(parents=True)
    (proc / "self" / "ns" / "pid").symlink_to("pid:[4026531836]")
    engine._pulse.sightings.proc, engine._pulse.sightings.now = proc, clock.now
    scene = Scene(engine, docker, container, proc, clock)
    scene.process(77, container.id)
    assert (await engine.status(ATTEMPT)).phase is Phase.RUNNING
    yield scene
    await engine.close()
    docker.close()


@pytest.mark.fault(25)
@pytest.mark.parametrize("code", [0, 3])
async def test_a_job_whose_end_the_engine_missed_ends_as_its_launcher_wrote_and_leaves_no_container(scene, code):
    scene.ends(77)
    scene.record(code=code)

    exit = await scene.end_after(GONE_SECONDS)

    assert (exit.code, exit.reason) == (code, ExitReason.EXITED)
    await scene.engine.collect(ATTEMPT)
    await scene.engine.forget(ATTEMPT)
    assert scene.docker.containers_by_id == {}
    assert (await scene.engine.status(ATTEMPT)).exit == exit


async def test_a_job_whose_end_nobody_saw_or_wrote_is_told_as_one_that_the_engine_lost(scene):
    scene.ends(77)

    assert await scene.end_after(GONE_WITHOUT_WORD_SECONDS - 1) is None
    assert (await scene.end_after(1)).reason is ExitReason.ENGINE_STOPPED


@pytest.mark.fault(25)
async def test_a_job_that_writes_its_own_end_and_runs_on_is_running(scene):
    scene.record(code=0)

    assert await scene.end_after(3600) is None
    with pytest.raises(Refused):
        await scene.engine.forget(ATTEMPT)


@pytest.mark.fault(25)
async def test_a_job_of_which_one_process_is_left_is_running(scene):
    scene.ends(77)
    scene.record(code=0)
    scene.process(99, scene.container.id)

    assert await scene.end_after(3600) is None


async def test_a_process_that_has_the_number_of_the_first_one_by_now_is_another(scene):
    scene.ends(77)
    scene.record(code=0)
    scene.process(77, "d" * 64)

    assert (await scene.end_after(GONE_SECONDS)).code == 0


async def test_an_end_that_the_engine_tells_in_time_is_the_engines(scene):
    scene.ends(77)
    scene.record(code=0)
    assert await scene.end_after(GONE_SECONDS - 1) is None
    scene.docker.die(scene.container, exit_code=4)

    assert (await scene.engine.status(ATTEMPT)).exit.code == 4


async def test_a_job_that_is_seen_again_is_running_and_counts_anew(scene):
    scene.ends(77)
    scene.record(code=0)
    assert await scene.end_after(GONE_SECONDS - 1) is None
    scene.process(77, scene.container.id)
    assert await scene.end_after(GONE_SECONDS) is None
    scene.ends(77)

    assert await scene.end_after(GONE_SECONDS - 1) is None


async def test_a_service_that_sees_no_processes_of_containers_ends_no_job_for_that(scene):
    (scene.proc / "self" / "ns" / "pid").unlink()
    (scene.proc / "self" / "ns" / "pid").symlink_to("pid:[4026532000]")
    scene.engine._pulse.sightings.sees = False
    scene.ends(77)
    scene.record(code=0)

    assert await scene.end_after(3600) is None


async def test_a_service_that_was_started_since_knows_that_it_sees_processes_of_containers(scene):
    scene.engine._pulse.sightings.sees = False
    scene.ends(77)
    scene.record(code=0)

    assert (await scene.end_after(GONE_SECONDS)).code == 0


async def test_no_job_ends_while_the_engine_does_not_answer(scene):
    scene.ends(77)
    scene.record(code=0)
    assert await scene.end_after(1) is None
    scene.docker.failures["inspect_container"] = EngineError("away")
    scene.clock.seconds += 3600

    with pytest.raises(EngineError):
        await scene.engine.status(ATTEMPT)


async def test_a_removal_that_fails_leaves_nothing_at_work_for_whoever_tries_again(scene, monkeypatch):
    scene.ends(77)
    scene.record(code=0)
    assert await scene.end_after(GONE_SECONDS)
    failed, cleared = threading.Event(), []

    async def remove(attempt: str) -> None:
        asyncio.get_running_loop().call_later(0.05, failed.set)  # what is cleared meanwhile takes longer
        raise EngineError("it will not go")

    def clear(attempt: str) -> None:
        assert failed.wait(20)
        cleared.append(attempt)

    monkeypatch.setattr(scene.engine._maker, "remove_container", remove)
    monkeypatch.setattr(scene.engine, "_clear", clear)

    with pytest.raises(EngineError):
        await scene.engine.forget(ATTEMPT)

    assert cleared == [ATTEMPT]


async def test_a_job_is_not_over_while_the_engine_still_removes_its_container(scene):
    scene.ends(77)
    scene.record(code=0)
    assert await scene.end_after(GONE_SECONDS)
    scene.docker.failures["remove_container"] = _error(409, "removal is already in progress")

    with pytest.raises(Unknown):
        await scene.engine.forget(ATTEMPT)

    assert not scene.engine._journal.find(ATTEMPT).forgotten
    del scene.docker.failures["remove_container"]
    await scene.engine.forget(ATTEMPT)
    assert scene.docker.containers_by_id == {}


async def test_a_volume_that_is_still_in_use_is_not_taken_for_gone(scene, monkeypatch):
    monkeypatch.setattr("himalia_jobs.engines.remains.LATER_SECONDS", 0.0)
    scene.ends(77)
    scene.record(code=0)
    assert await scene.end_after(GONE_SECONDS)
    scene.docker.failures["remove_volume"] = _error(409, "volume is in use")

    await scene.engine.forget(ATTEMPT)
    await scene.engine._remains.close()
    assert scene.engine._journal.remains() == [ATTEMPT]

    del scene.docker.failures["remove_volume"]
    await scene.engine._remains.tend()
    await scene.engine._remains.close()
    assert scene.engine._journal.remains() == []
