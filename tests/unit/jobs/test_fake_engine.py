"""FakeEngine keeps the contract of all engines, and its faults are what their names say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from engine_bench import BROKEN, LASTS, PRINTS, TOO_LARGE, launch, spec_of
from engine_images import ImagesContract
from engine_life import LifeContract
from engine_truth import TruthContract

from himalia_jobs.engines.base import ExitReason, LaunchSpec, Phase
from himalia_jobs.engines.errors import NoSpace, NotSent, StaleEpoch, StartFailed, Unknown
from himalia_jobs.engines.fake import FakeEngine, FakeMachine, Fault, Faults, Program

IMAGE, IMAGE_ID = "himalia/server:dev", "sha256:1"


class TooLargeForTheDisk(FakeMachine):
    """A machine whose disk has no room for one snapshot."""

    def prepare(self, spec: LaunchSpec) -> None:
        """Refuse that one."""
        if spec.workspace_digest == TOO_LARGE:
            raise NoSpace("the data disk is full")
        super().prepare(spec)


class FakeBench:
    """A machine in memory, and one service."""

    image, image_id = IMAGE, IMAGE_ID

    def __init__(self) -> None:
        self.machine = TooLargeForTheDisk()
        self.machine.broken_snapshots.add(BROKEN)
        self.engine = FakeEngine(self.machine)

    def plays(self, argv: tuple[str, ...], program: Program) -> None:
        """Say what a command does."""
        self.machine.programs[argv] = program

    async def another_service(self, epoch: int) -> FakeEngine:
        """Return the engine of a service that took over."""
        engine = FakeEngine(self.machine)
        await engine.open(epoch)
        return engine

    async def let_pass(self) -> None:
        """Let a second pass."""
        self.machine.advance(1)

    @asynccontextmanager
    async def cut_off(self) -> AsyncIterator[None]:
        """Keep the engine from its machine."""
        self.machine.reachable = False
        yield
        self.machine.reachable = True

    def lose_the_answer_to_a_launch(self) -> None:
        """Let the next launch take effect without an answer."""
        self.engine.faults.plan["launch"].append(Fault.UNANSWERED)

    def break_off_after(self, step: str) -> None:
        """Let the next launch break off."""
        self.machine.interrupt = step

    async def change_image(self, reference: str, *, there: bool) -> None:
        """Give the image another name, or take it away."""
        self.machine.change_image(reference, self.image_id if there else None)

    async def remove_by_hand(self, attempt: str) -> None:
        """Remove a container past the engine."""
        self.machine.remove_by_hand(attempt)

    async def run_server(self, lease_id: str) -> str:
        """Run a server."""
        self.machine.run_server("jupyter-ada", lease_id=lease_id)
        return "jupyter-ada"

    async def run_foreign(self) -> str:
        """Run a container of somebody else."""
        self.machine.run_server("postgres", lease_id="", ours=False)
        return "postgres"

    async def alive(self, name: str) -> bool:
        """Tell whether a container runs."""
        found = self.machine.containers.get(name)
        return found is not None and found.seen.phase is Phase.RUNNING

    def starts(self, attempt: str) -> int:
        """Return how often an attempt began."""
        return self.machine.starts.count(attempt)


@pytest_asyncio.fixture
async def bench() -> FakeBench:
    """A machine in memory, with a service of epoch 1."""
    bench = FakeBench()
    await bench.engine.open(1)
    return bench


class TestLife(LifeContract):
    """An attempt starts once, and stops for good."""


class TestImages(ImagesContract):
    """A name means what it means now."""


class TestTruth(TruthContract):
    """What is told is true, and is kept."""


@pytest.mark.asyncio
class TestFaults:
    """What can be made to go wrong."""

    async def test_a_lost_launch_never_starts(self, bench):
        bench.engine.faults.plan["launch"].append(Fault.LOST)
        spec = spec_of(bench, LASTS)

        with pytest.raises(Unknown):
            await launch(bench.engine, spec)

        assert bench.starts(spec.attempt) == 0

    async def test_a_delayed_launch_starts_when_it_arrives(self, bench):
        bench.engine.faults.plan["launch"].append(Fault.DELAYED)
        spec = spec_of(bench, LASTS)
        with pytest.raises(Unknown):
            await launch(bench.engine, spec)
        assert bench.starts(spec.attempt) == 0

        bench.machine.deliver()

        assert await bench.alive(spec.attempt)

    async def test_a_doubled_launch_starts_once(self, bench):
        bench.engine.faults.plan["launch"].append(Fault.DOUBLED)
        spec = spec_of(bench, PRINTS)
        await launch(bench.engine, spec)
        await bench.engine.forget(spec.attempt)

        bench.machine.deliver()

        assert bench.starts(spec.attempt) == 1
        assert not bench.machine.containers

    async def test_a_message_of_a_service_that_was_replaced_does_nothing_when_it_arrives(self, bench):
        bench.engine.faults.plan["launch"].append(Fault.DELAYED)
        spec = spec_of(bench, LASTS)
        with pytest.raises(Unknown):
            await launch(bench.engine, spec)
        await bench.another_service(2)

        bench.machine.deliver()

        assert bench.starts(spec.attempt) == 0

    async def test_a_refused_message_does_nothing(self, bench):
        bench.engine.faults.plan["stop"].append(Fault.REFUSED)
        spec = spec_of(bench, LASTS)
        await launch(bench.engine, spec)

        with pytest.raises(NotSent):
            await bench.engine.stop(spec.attempt, grace_seconds=0, why="cancelled")

        assert await bench.alive(spec.attempt)

    async def test_a_restart_of_the_machine_ends_all_and_says_so(self, bench):
        spec = spec_of(bench, LASTS)
        await launch(bench.engine, spec)

        bench.machine.reboot()

        end = (await bench.engine.status(spec.attempt)).exit
        assert (end.code, end.reason) == (None, ExitReason.NODE_REBOOTED)
        assert bench.starts(spec.attempt) == 1

    async def test_an_engine_that_is_stopped_ends_all_and_says_so(self, bench):
        spec = spec_of(bench, LASTS)
        await launch(bench.engine, spec)

        bench.machine.stop_engine()

        assert (await bench.engine.status(spec.attempt)).exit.reason is ExitReason.ENGINE_STOPPED

    async def test_a_container_that_cannot_be_started_is_told_and_leaves_nothing(self, bench):
        spec = spec_of(bench, PRINTS)
        bench.plays(spec.argv, Program(start_error="no such device"))

        with pytest.raises(StartFailed, match="no such device"):
            await launch(bench.engine, spec)

        assert (await bench.engine.status(spec.attempt)).exit.reason is ExitReason.START_FAILED
        assert not bench.machine.containers

    async def test_chance_is_the_same_for_the_same_seed(self, bench):
        def drawn(seed: int) -> list[Fault | None]:
            faults = Faults(seed=seed, chance=0.5)
            return [faults.of("launch", question=False) for _ in range(50)]

        assert drawn(7) == drawn(7)
        assert set(drawn(7)) == {None, *Fault}
        assert drawn(7) != drawn(8)

    async def test_an_older_service_cannot_come_back(self, bench):
        await bench.another_service(2)

        with pytest.raises(StaleEpoch):
            await bench.engine.open(1)
