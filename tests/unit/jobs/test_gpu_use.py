"""Who is on the GPUs: a real sampler on pretended hardware, real processes, and an Engine that lists what a test says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import docker
import pytest

from himalia.container import Label
from himalia.gpus import SlotHealth
from himalia.units import GiB
from himalia_gpus.supervisor import Sampler
from himalia_jobs.bootclock import BootClock
from himalia_jobs.engines.base import Node, Usage
from himalia_jobs.engines.errors import EngineError, NotSent
from himalia_jobs.engines.gpu_use import MachineGPUs
from himalia_jobs.engines.gpus import GPUHolder

pytestmark = pytest.mark.asyncio

FIRST, SECOND = (f"GPU-0000000{number}-0000-0000-0000-000000000000" for number in range(2))
OURS, THEIRS = "a" * 64, "b" * 64


class EngineOfTests:
    """Lists and inspects containers as the Docker Engine does."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.inspected: dict[str, Any] = {}
        self.asked: list[str] = []
        self.answers = True

    def has(self, container: str, name: str, *, slots: str = "", state: str = "running", **host: Any) -> None:
        """Let there be a container: ours with slots, somebody else's with what its HostConfig says."""
        labels = {Label.INSTALLATION: "abc", Label.SLOTS: slots, Label.LEASE: f"lease-{name}"} if slots else {}
        self.rows.append({"Id": container, "Names": [f"/{name}"], "State": state, "Labels": labels})
        self.inspected[container] = {"HostConfig": host, "Config": {"Env": host.pop("Env", [])}}

    async def __call__(self, method: str, *args: Any, **_: Any) -> Any:
        self.asked.append(method)
        if not self.answers:
            raise NotSent("the Docker Engine does not answer")
        return list(self.rows) if method == "containers" else self.inspected[args[0]]


@contextlib.asynccontextmanager
async def watched(nvml: Any, engine: EngineOfTests, **options: Any) -> AsyncIterator[MachineGPUs]:
    """Watch the hardware as the engine of a service does."""
    times = {"period_seconds": 0.05, "silence_seconds": 1.0, "rest_seconds": 0.05, "processes_every_seconds": 3600}
    watch = Sampler(environment=nvml.environment, **times)
    changes: asyncio.Queue[bool] = asyncio.Queue()
    gpus = MachineGPUs(engine, "abc", watch, BootClock(), **options)  # type: ignore[arg-type]  # a fake of DockerCalls
    async with asyncio.timeout(60):
        await gpus.open(changes.put_nowait)
        gpus.changes = changes  # type: ignore[attr-defined]  # for tests
        try:
            yield gpus
        finally:
            await gpus.close()


@pytest.fixture
def engine() -> EngineOfTests:
    """An Engine without containers."""
    return EngineOfTests()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A real process."""
    started = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield started
    started.communicate()


def in_container(monkeypatch: pytest.MonkeyPatch, gpus: MachineGPUs, container: str) -> None:
    """Let the processes that are read from now on be in a container: this machine has none."""
    watch = gpus._watch
    real = watch.after

    async def after(reading: Any) -> Any:
        return _inside(await real(reading), container)

    monkeypatch.setattr(watch, "after", after)


def _inside(reading: Any, container: str) -> Any:
    samples = [
        sample.model_copy(
            update={"processes": tuple(p.model_copy(update={"container": container}) for p in sample.processes or ())}
        )
        for sample in reading.samples
    ]
    return reading.model_copy(update={"samples": tuple(samples)})


async def test_a_process_of_the_machine_is_told_with_its_user_and_its_memory(nvml: Any, engine, process) -> None:
    nvml.set(nvml.gpu(0, processes=[{"pid": process.pid, "used": 3 * GiB}]), nvml.gpu(1))
    async with watched(nvml, engine) as gpus:
        use = await gpus.use(fresh=True)

    (user,) = use.gpus[0].users
    assert (user.pid, user.memory_bytes, user.container, user.ours) == (process.pid, 3 * GiB, "", False)
    assert "sys.stdin.read()" in user.command
    assert use.gpus[0].memory_used_bytes == 3 * GiB
    assert use.gpus[1].users == ()
    assert use.clock <= use.now


@pytest.mark.parametrize(
    ("container", "name", "ours"), [(OURS, "job-1", True), (THEIRS, "theirs", False), ("c" * 64, "c" * 12, False)]
)
async def test_a_process_is_told_by_its_container(
    nvml: Any, engine, process, monkeypatch, container, name, ours
) -> None:
    engine.has(OURS, "job-1", slots=FIRST)
    engine.has(THEIRS, "theirs")
    nvml.set(nvml.gpu(0, processes=[{"pid": process.pid, "used": 1}]))
    async with watched(nvml, engine) as gpus:
        in_container(monkeypatch, gpus, container)
        use = await gpus.use(fresh=True)

    assert [(user.container, user.ours) for user in use.gpus[0].users] == [(name, ours)]


async def test_a_process_that_has_ended_meanwhile_is_left_out(nvml: Any, engine) -> None:
    nvml.set(nvml.gpu(0, processes=[{"pid": 2**22 + 1, "used": 1}]))
    async with watched(nvml, engine) as gpus:
        assert (await gpus.use(fresh=True)).gpus[0].users == ()


async def test_a_fresh_look_is_newer_than_the_question(nvml: Any, engine) -> None:
    nvml.set(nvml.gpu(0))
    async with watched(nvml, engine) as gpus:
        first = await gpus.use()
        asked = BootClock().now()
        second = await gpus.use(fresh=True)

    assert first.clock < asked <= second.clock


async def test_a_driver_that_hangs_holds_up_no_look(nvml: Any, engine, monkeypatch) -> None:
    monkeypatch.setattr("himalia_jobs.engines.gpu_use.ANSWER_SECONDS", 0.1)
    nvml.set(nvml.gpu(0))
    async with watched(nvml, engine) as gpus:
        await gpus.use(fresh=True)
        nvml.set(nvml.gpu(0, delay_ms={"*": 3_600_000}))
        asked = BootClock().now()

        use = await gpus.use(fresh=True)

    assert use.clock < asked


async def test_running_containers_with_gpus_are_holders_ours_by_their_label(nvml: Any, engine) -> None:
    nvml.set(nvml.gpu(0), nvml.gpu(1))
    engine.has(OURS, "job-1", slots=f"{FIRST},{SECOND}")
    engine.has("d" * 64, "ended", slots=SECOND, state="exited")
    engine.has(THEIRS, "theirs", DeviceRequests=[{"Driver": "", "Count": 1, "Capabilities": [["gpu"]]}])
    engine.has("e" * 64, "postgres")
    engine.has("f" * 64, "my-dcgm-exporter", DeviceRequests=[{"Count": -1, "Capabilities": [["gpu"]]}])
    async with watched(nvml, engine, monitors=("*dcgm*",)) as gpus:
        use = await gpus.use()
        await gpus.use()

    assert use.holders == (
        GPUHolder(name="job-1", uuids=(FIRST, SECOND), lease_id="lease-job-1"),
        GPUHolder(name="theirs", uuids=(FIRST,), ours=False),
    )
    # What others' containers were made with never changes: each is looked at once.
    assert engine.asked.count("inspect_container") == 2


async def test_an_engine_that_does_not_answer_is_no_empty_machine(nvml: Any, engine) -> None:
    nvml.set(nvml.gpu(0))
    async with watched(nvml, engine) as gpus:
        engine.answers = False
        with pytest.raises(EngineError):
            await gpus.use()


async def test_the_machine_has_the_slots_that_were_read_last_and_changes_are_told(nvml: Any, engine) -> None:
    machine = Node(node_id="local", name="here", boot_id="1", cpus=1, memory_bytes=1)
    nvml.set(nvml.gpu(0), nvml.gpu(1))
    async with watched(nvml, engine) as gpus:
        assert [slot.uuid for slot in gpus.on(machine).slots] == [FIRST, SECOND] == gpus.real
        assert await gpus.changes.get() is True

        nvml.set(nvml.gpu(0), nvml.gpu(1, lost=True))
        assert await gpus.changes.get() is False

        lost = gpus.on(machine)
        assert [slot.health for slot in lost.slots] == [SlotHealth.OK, SlotHealth.SUSPECT]
        assert "fallen off the bus" in lost.note


async def test_a_sampler_that_is_killed_costs_nothing_but_trust_until_the_next_one(nvml: Any, engine) -> None:
    machine = Node(node_id="local", name="here", boot_id="1", cpus=1, memory_bytes=1)
    nvml.set(nvml.gpu(0))
    async with watched(nvml, engine) as gpus:
        (pid,) = {int(line.split()[0]) for line in nvml.log.read_text().splitlines()}
        os.kill(pid, signal.SIGKILL)
        seen = []
        while SlotHealth.OK not in seen[1:]:
            await gpus.changes.get()
            seen.append(gpus.on(machine).slots[0].health)

    assert SlotHealth.SUSPECT in seen


async def test_the_service_itself_never_loads_the_drivers_library(nvml: Any, engine) -> None:
    nvml.set(nvml.gpu(0))
    async with watched(nvml, engine) as gpus:
        await gpus.use(fresh=True)

    callers = {int(line.split()[0]) for line in nvml.log.read_text().splitlines()}
    assert callers
    assert os.getpid() not in callers


async def test_simulated_gpus_are_nobodys_to_look_at(engine) -> None:
    from himalia.site import Gpus
    from himalia_gpus.supervisor import watch_for

    engine.has(THEIRS, "theirs", DeviceRequests=[{"Count": -1, "Capabilities": [["gpu"]]}])
    gpus = MachineGPUs(engine, "abc", watch_for(Gpus(simulate=2), "abc"), BootClock())  # type: ignore[arg-type]
    await gpus.open(lambda others: None)
    use = await gpus.use(fresh=True)
    await gpus.close()

    assert (use.holders, use.gpus, gpus.real) == ((), (), [])


async def test_an_answer_of_the_engine_that_is_an_error_is_told(nvml: Any, engine, monkeypatch) -> None:
    async def refuse(*_: Any, **__: Any) -> Any:
        raise docker.errors.APIError("server error")

    nvml.set(nvml.gpu(0))
    async with watched(nvml, engine) as gpus:
        monkeypatch.setattr(gpus, "_docker", refuse)
        with pytest.raises(EngineError):
            await gpus.use()


async def test_what_attempts_use_is_told_with_what_their_gpus_do(nvml: Any, engine) -> None:
    busy = [nvml.gpu(n, util_gpu=30 + n, memory_used=(n + 1) * GiB) for n in range(2)]
    nvml.set(*busy)
    usage = [Usage(attempt=name, at=datetime.now(UTC), cpu_percent=5.0) for name in ("both", "one", "none", "gone")]
    slots = {"both": (FIRST, SECOND), "one": (SECOND,), "gone": ("GPU-that-is-lost",)}

    async with watched(nvml, engine) as gpus:
        found = {one.attempt: one for one in gpus.beside(usage, slots)}

    assert (found["both"].gpu_percent, found["both"].gpu_memory_bytes) == (61.0, 3 * GiB)
    assert (found["one"].gpu_percent, found["one"].gpu_memory_bytes) == (31.0, 2 * GiB)
    assert {(found[name].gpu_percent, found[name].gpu_memory_bytes) for name in ("none", "gone")} == {(None, None)}
    assert {one.cpu_percent for one in found.values()} == {5.0}
