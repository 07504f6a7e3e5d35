"""Whose the processes on a GPU are, with real containers: their ids on this machine, and the Engine's names for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import pytest_asyncio
from live_platform import IMAGE
from nvml_hardware import nvml as nvml
from nvml_hardware import nvml_library as nvml_library

from himalia.container import Label
from himalia.ids import new_id
from himalia.units import GiB
from himalia_gpus.supervisor import Sampler
from himalia_jobs.bootclock import BootClock
from himalia_jobs.engines.calls import DockerCalls
from himalia_jobs.engines.gpu_use import MachineGPUs

pytestmark = pytest.mark.asyncio

FIRST = "GPU-00000000-0000-0000-0000-000000000000"


@pytest.fixture
def installation() -> str:
    """The id of an installation of the test's own."""
    return new_id()


@pytest.fixture
def containers(installation: str) -> Iterator[dict[str, Any]]:
    """Two containers that run: one of the installation, one of somebody else."""
    client = docker.from_env()
    labels = {Label.INSTALLATION: installation, Label.LEASE: "lease", Label.SLOTS: FIRST}
    kinds = {f"gpu-ours-{installation}": labels, f"gpu-theirs-{installation}": {}}
    started = {
        name: client.containers.run(IMAGE, ["600"], entrypoint="sleep", name=name, labels=told, detach=True)
        for name, told in kinds.items()
    }
    yield {name: client.api.inspect_container(found.id)["State"]["Pid"] for name, found in started.items()}
    for found in started.values():
        found.remove(force=True)
    client.close()


@pytest_asyncio.fixture
async def gpus(nvml: Any, installation: str, tmp_path: Path) -> AsyncIterator[MachineGPUs]:
    """A watch on pretended hardware, beside the real Engine."""
    nvml.set(nvml.gpu(0))
    watch = Sampler(environment=nvml.environment, period_seconds=0.1)
    calls = DockerCalls(None)
    watched = MachineGPUs(calls, installation, watch, BootClock())
    async with asyncio.timeout(60):
        await watched.open(lambda others: None)
    yield watched
    await watched.close()
    calls.close()


async def test_a_process_is_told_by_its_container_ours_and_theirs(nvml, gpus, containers, installation):
    used = [{"pid": pid, "used": GiB} for pid in containers.values()]
    nvml.set(nvml.gpu(0, processes=used))

    use = await gpus.use(fresh=True)

    found = {user.container: (user.pid, user.ours) for user in use.gpus[0].users}
    assert found == {name: (pid, "ours" in name) for name, pid in containers.items()}
    assert all("sleep 600" in user.command for user in use.gpus[0].users)
    assert [(holder.name, holder.lease_id) for holder in use.holders if FIRST in holder.uuids] == [
        (f"gpu-ours-{installation}", "lease")
    ]
