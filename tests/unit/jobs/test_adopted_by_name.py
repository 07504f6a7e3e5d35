"""A container that is there though the journal knows nothing of it is found by its name, and never begun twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from docker_engine import FakeDockerEngine

from himalia.ids import new_id
from himalia.site import Site
from himalia.units import MiB
from himalia_gpus.supervisor import watch_for
from himalia_jobs.engines.base import LaunchSpec, Phase
from himalia_jobs.engines.docker import LocalEngine
from himalia_jobs.engines.errors import Conflict
from himalia_jobs.layout import DataLayout

pytestmark = [
    pytest.mark.asyncio,
    # The Docker SDK leaves its sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]
INSTALLATION = "i" * 12


class NoTrees:
    def materialize(self, owner_id, digest):
        raise AssertionError("nothing was submitted")


def spec(attempt: str, **changes) -> LaunchSpec:
    values = {"attempt": attempt, "job_id": attempt[:12], "owner": "user:ada", "user": "ada", "lease_id": new_id()}
    values |= {"image_id": "sha256:1", "argv": ("run", "60", "0"), "cpus": 0.5, "memory_bytes": 64 * MiB}
    return LaunchSpec(**(values | changes))


@pytest.fixture
def machine():
    found = FakeDockerEngine()
    yield found
    found.close()


@pytest_asyncio.fixture
async def engine(machine: FakeDockerEngine, tmp_path: Path) -> AsyncIterator[LocalEngine]:
    site = Site()
    watch = watch_for(site.gpus, INSTALLATION)
    found = LocalEngine(site, INSTALLATION, DataLayout(data=tmp_path), NoTrees(), watch, docker_host=machine.host)
    found._images.seen["sha256:1"] = float("inf")  # no look is needed
    found._packages.note = lambda spec: None  # type: ignore[method-assign]  # nobody reads them here
    yield found
    found._logs.close()
    found.docker.close()
    found._files.shutdown()
    found._journal.close()


async def made_by_somebody(engine: LocalEngine, wanted: LaunchSpec) -> None:
    """Make the attempt's container as a service does whose journal is lost afterwards."""
    engine._maker.prepare(wanted)
    assert await engine._maker.create(wanted, devices=(), ulimits=(), timeout_seconds=60)


async def test_one_that_runs_is_left_alone(engine, machine):
    wanted = spec("aaaaaaaaaaaa.1")
    await made_by_somebody(engine, wanted)
    await engine._maker.start(wanted.attempt, timeout_seconds=60)

    observed = await engine.launch(wanted, timeout_seconds=60)

    assert observed.phase is Phase.RUNNING
    assert machine.starts == {wanted.attempt: 1}
    assert machine.wrong == []


async def test_one_that_was_never_started_is_started_once(engine, machine):
    wanted = spec("aaaaaaaaaaaa.1")
    await made_by_somebody(engine, wanted)

    observed = await engine.launch(wanted, timeout_seconds=60)

    assert observed.phase is Phase.RUNNING
    assert machine.starts == {wanted.attempt: 1}
    assert len(machine.containers) == 1


async def test_one_of_another_specification_is_not_touched(engine, machine):
    await made_by_somebody(engine, spec("aaaaaaaaaaaa.1"))

    with pytest.raises(Conflict):
        await engine.launch(spec("aaaaaaaaaaaa.1", argv=("run", "60", "1")), timeout_seconds=60)

    assert machine.starts == {}


async def test_a_new_attempt_needs_no_look_at_the_machine(engine, machine, monkeypatch):
    wanted, asked = spec("aaaaaaaaaaaa.1"), []
    call = type(engine.docker).__call__

    async def noted(self, method, *args, **options):
        asked.append(method)
        return await call(self, method, *args, **options)

    monkeypatch.setattr(type(engine.docker), "__call__", noted)
    await engine.prepare(wanted)
    await engine.launch(wanted, timeout_seconds=60)

    assert asked == ["create_container_from_config", "start", "inspect_container"]
