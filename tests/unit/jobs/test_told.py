"""What the Engine's events told of an attempt is not asked for again; where they may not tell all, the Engine is asked."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from docker_engine import Container, FakeDockerEngine

from himalia.container import Label, container_name
from himalia.ids import new_id
from himalia.site import Site
from himalia.units import MiB
from himalia_gpus.supervisor import watch_for
from himalia_jobs.engines.base import EngineEvent, EngineEventKind, Exit, ExitReason, LaunchSpec, Phase
from himalia_jobs.engines.docker import LocalEngine
from himalia_jobs.engines.told import Lives
from himalia_jobs.layout import DataLayout

pytestmark = [
    pytest.mark.asyncio,
    # The Docker SDK leaves its sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]
INSTALLATION, ATTEMPT = "i" * 12, "aaaaaaaaaaaa.1"


class NoTrees:
    def materialize(self, owner_id, digest):
        raise AssertionError("nothing was submitted")


class Watched:
    """An engine whose events are followed, and what it asks."""

    def __init__(self, machine: FakeDockerEngine, data: Path) -> None:
        site = Site()
        watch = watch_for(site.gpus, INSTALLATION)
        trees: Any = NoTrees()
        self.machine = machine
        self.engine = LocalEngine(
            site, INSTALLATION, DataLayout(data=data), trees, watch, docker_host=machine.host, launcher=None
        )
        self.engine._images.seen["sha256:1"] = float("inf")  # no look is needed
        self.engine._packages.note = lambda spec: None  # type: ignore[method-assign]  # nobody reads them here
        self.asked: list[str] = []
        self.heard: asyncio.Queue[EngineEvent] = asyncio.Queue()
        call = self.engine.docker._call

        def noted(method: str, args: Any, kwargs: Any) -> Any:
            self.asked.append(method)
            return call(method, args, kwargs)

        self.engine.docker._call = noted  # type: ignore[method-assign]

    async def listen(self) -> None:
        """Put down what the engine hints at."""
        async for event in self.engine.watch():
            self.heard.put_nowait(event)

    async def hears(self, kind: EngineEventKind) -> None:
        """Wait for an event."""
        async with asyncio.timeout(30):
            while (await self.heard.get()).kind is not kind:
                pass

    async def run(self, *command: str) -> None:
        """Launch a command, and wait until its end was told."""
        spec = LaunchSpec(
            attempt=ATTEMPT,
            job_id=ATTEMPT[:12],
            owner="user:ada",
            user="ada",
            lease_id=new_id(),
            image_id="sha256:1",
            argv=command,
            cpus=0.5,
            memory_bytes=64 * MiB,
        )
        await self.engine.prepare(spec)
        launched, seen = await self.engine.launch(spec, timeout_seconds=60), await self.engine.status(ATTEMPT)
        assert {launched.phase, seen.phase} <= {Phase.RUNNING, Phase.EXITED}
        await self.hears(EngineEventKind.EXITED)

    async def end(self) -> Exit:
        """Return how the attempt ended."""
        exit = (await self.engine.status(ATTEMPT)).exit
        assert exit is not None
        return exit

    @property
    def container(self) -> Container:
        """The attempt's container."""
        return self.machine.containers[container_name(INSTALLATION, ATTEMPT)]


@pytest.fixture
def machine():
    found = FakeDockerEngine()
    yield found
    found.close()


@pytest_asyncio.fixture
async def watched(machine: FakeDockerEngine, tmp_path: Path) -> AsyncIterator[Watched]:
    found = Watched(machine, tmp_path)
    listening = asyncio.create_task(found.listen())
    async with asyncio.timeout(30):
        while not (found.engine._events.lives.complete and machine._listeners):
            await asyncio.sleep(0.01)
    yield found
    found.engine._events.close()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    found.engine._logs.close()
    found.engine.docker.close()
    found.engine._files.shutdown()
    found.engine._journal.close()


@pytest.mark.parametrize("code", [0, 3])
async def test_an_attempt_is_begun_seen_to_end_and_forgotten_without_a_look_at_its_container(
    watched, monkeypatch, code
):
    monkeypatch.setattr("himalia_jobs.engines.told.NEW_SECONDS", 60.0)
    watched.engine._pulse.sightings.sees = True
    await watched.run("run", "0.1", str(code))

    end = await watched.end()
    await watched.engine.forget(ATTEMPT)
    await watched.engine._remains.close()

    assert (end.code, end.signal, end.oom, end.reason) == (code, None, False, ExitReason.EXITED)
    assert watched.asked == ["create_container_from_config", "start", "remove_container", "remove_volume"]
    assert (await watched.end()) == end
    assert watched.machine.containers == {}


@pytest.mark.fault(25)
async def test_the_first_attempt_is_looked_at_while_it_runs_where_no_process_of_any_was_seen(watched, monkeypatch):
    monkeypatch.setattr("himalia_jobs.engines.told.NEW_SECONDS", 60.0)
    await watched.run("run", "0.1", "0")
    await watched.engine.forget(ATTEMPT)
    await watched.engine._remains.close()

    begun = ["create_container_from_config", "start", "inspect_container"]
    assert watched.asked == [*begun, "remove_container", "remove_volume"]


async def test_an_image_is_looked_for_once_until_an_event_tells_of_images(watched):
    first = [await watched.engine.resolve_image("himalia/server:dev") for _ in range(3)]

    watched.machine.change_images()
    await watched.hears(EngineEventKind.IMAGES)
    again = await watched.engine.resolve_image("himalia/server:dev")

    assert {image.image_id for image in (*first, again)} == {"sha256:1"}
    assert watched.asked == ["inspect_image", "inspect_image"]


@pytest.mark.fault(31)
async def test_after_the_events_broke_off_an_image_is_looked_for_each_time(watched):
    watched.engine._events.lives.end()

    for _ in range(2):
        await watched.engine.resolve_image("himalia/server:dev")

    assert watched.asked == ["inspect_image", "inspect_image"]


async def test_an_end_that_was_told_is_in_the_journal(watched):
    await watched.run("run", "0.1", "3")

    end = await watched.end()

    assert watched.engine._journal.find(ATTEMPT).exit == end


async def test_an_end_of_which_the_launcher_wrote_nothing_is_asked_for(watched):
    await watched.run("run", "0.1", "3")
    (watched.container.run_directory / "exit.json").unlink()

    assert (await watched.end()).code == 3
    assert "inspect_container" in watched.asked


async def test_an_end_that_the_launcher_tells_otherwise_is_asked_for_and_is_the_engines(watched):
    await watched.run("run", "0.1", "3")
    record = watched.container.run_directory / "exit.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"code": 0}))

    assert (await watched.end()).code == 3
    assert "inspect_container" in watched.asked


@pytest.mark.fault(34)
async def test_one_that_was_killed_is_asked_for_since_the_launcher_may_have_been(watched):
    await watched.run("run", "0.1", "137")

    assert (await watched.end()).code == 137
    assert "inspect_container" in watched.asked


@pytest.mark.fault(25)
async def test_after_the_events_broke_off_an_attempt_is_asked_for(watched):
    await watched.run("run", "0.1", "3")
    watched.engine._events.lives.end()

    assert (await watched.end()).code == 3
    assert "inspect_container" in watched.asked


async def test_one_that_is_no_longer_new_is_asked_for(watched, monkeypatch):
    monkeypatch.setattr("himalia_jobs.engines.told.NEW_SECONDS", 0.0)

    await watched.run("run", "0.1", "3")

    assert "inspect_container" in watched.asked


def row(action: str, **attributes: str) -> dict[str, Any]:
    """Return an event of the attempt's container as the Engine tells it."""
    actor = {"ID": "c1", "Attributes": {Label.ATTEMPT: ATTEMPT, "name": "job"} | attributes}
    return {"Type": "container", "Action": action, "Actor": actor, "timeNano": time.time_ns()}


@pytest.fixture
def lives():
    found = Lives()
    found.begin()
    return found


async def test_a_lack_of_memory_that_was_told_is_part_of_the_end(lives):
    for event in (row("start"), row("oom"), row("die", exitCode="0")):
        lives.hear(event)

    life = lives.of(ATTEMPT)
    assert (life.code, life.oom) == (0, True)


async def test_one_that_was_begun_is_known_before_its_event_comes_and_after_it(lives):
    lives.begun(ATTEMPT, {}, "job")
    assert lives.of(ATTEMPT).is_new

    lives.hear(row("start"))
    lives.hear(row("die", exitCode="3"))

    assert lives.of(ATTEMPT).code == 3


async def test_an_end_that_was_told_first_is_not_undone_by_the_answer_to_the_start(lives):
    for event in (row("start"), row("die", exitCode="3")):
        lives.hear(event)

    lives.begun(ATTEMPT, {}, "job")

    assert lives.of(ATTEMPT).code == 3


async def test_of_one_that_was_begun_while_nothing_is_heard_nothing_is_known(lives):
    lives.end()

    lives.begun(ATTEMPT, {}, "job")

    assert lives.of(ATTEMPT) is None


async def test_of_one_whose_start_was_not_told_nothing_is_known(lives):
    lives.hear(row("die", exitCode="0"))

    assert lives.of(ATTEMPT) is None


async def test_of_one_that_somebody_starts_again_nothing_is_known(lives):
    for event in (row("start"), row("die", exitCode="0"), row("start")):
        lives.hear(event)

    assert lives.of(ATTEMPT) is None


async def test_of_one_that_was_removed_nothing_is_kept(lives):
    for event in (row("start"), row("die", exitCode="0"), row("destroy")):
        lives.hear(event)

    assert lives.of(ATTEMPT) is None


async def test_an_end_without_a_code_is_no_end(lives):
    for event in (row("start"), row("die")):
        lives.hear(event)

    assert lives.of(ATTEMPT) is None
