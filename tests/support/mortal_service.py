"""The job service's own loops over a machine in memory, without their clocks: a service that can be killed at any step.

After every change of the database or the machine is a *step boundary*; a `Fuse` kills at one of them. (Before the next
change nothing is different.) What the service knew is gone then; database and machine are as they were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import event

from himalia.gpu_modes import GPUModeSetting
from himalia.gpus import Slot
from himalia.ids import split_attempt
from himalia.queueing import Queue
from himalia.reasons import SENTENCES, Reason
from himalia.site import Limits, Site
from himalia.states import FINAL_STATES, JobState
from himalia.units import GiB
from himalia_jobs.bootclock import BootClock
from himalia_jobs.engines.base import Node
from himalia_jobs.engines.errors import EngineError
from himalia_jobs.engines.fake import BEGINNING, FakeEngine, FakeMachine, Faults
from himalia_jobs.gpu_modes import GPUModes, write_node
from himalia_jobs.layout import DataLayout
from himalia_jobs.reconcile import Reconciler
from himalia_jobs.rulebook import rules_of
from himalia_jobs.runner import Runner
from himalia_jobs.serving import Serving
from himalia_jobs.store import Database, jobs, leases, meta
from himalia_jobs.store.records import JobRecord
from himalia_jobs.turn import take_turn

LASTS, ENDS = ("lasts",), ("ends",)  #: commands that the fixture `machine` knows
SHORT_PAUSES = Queue(retry_pause="2s")
STEPS_AT_ONCE = 10  #: a job that wants more steps in a row than this goes round in circles


class Killed(BaseException):
    """The service was killed here."""


class Fuse:
    """Counts step boundaries, and kills at one of them; `steps` are the names of what was done before each."""

    def __init__(self, kill_at: int = 0) -> None:
        self.kill_at = kill_at
        self.steps: list[str] = []

    @property
    def passed(self) -> int:
        """How many boundaries were passed."""
        return len(self.steps)

    def boundary(self, step: str) -> None:
        """Pass a boundary, or die at it."""
        self.steps.append(step)
        if self.passed == self.kill_at:
            raise Killed


class ClockOfTests(BootClock):
    """A clock that moves when it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def now(self) -> float:
        """Return the seconds that were let pass."""
        return self.seconds

    def wall(self) -> datetime:
        """Return the machine's time."""
        return BEGINNING + timedelta(seconds=self.seconds)


class DatabaseThatDies:
    """A database whose writer dies after a write; all in one thread, so that a seed is a run."""

    def __init__(self, db: Database, fuse: Fuse) -> None:
        self.db, self.fuse = db, fuse

    async def read(self, query: Callable[[Any], Any]) -> Any:
        """Read."""
        return self.db.read_now(query)

    async def write(self, change: Callable[[Any], Any]) -> Any:
        """Write, and pass a boundary."""
        result = self.db.write_now(change)
        self.fuse.boundary(f"database: {_writer(change)}")
        return result


class EngineThatDies(FakeEngine):
    """An engine whose caller dies after a call that changed something."""

    def __init__(self, machine: FakeMachine, faults: Faults, fuse: Fuse) -> None:
        super().__init__(machine, faults)
        self.fuse = fuse

    async def _change(self, method: str, call: Callable[[], Any]) -> Any:
        result = await super()._change(method, call)
        self.fuse.boundary(f"engine: {method}")
        return result


class MortalService:
    """Queue, runner and reconciler on one database and one machine; `start` again after `Killed`."""

    def __init__(
        self,
        db: Database,
        machine: FakeMachine,
        folder: Path,
        *,
        modes: Sequence[GPUModeSetting] = (),
        queue: Queue = SHORT_PAUSES,
        **limits: Any,
    ) -> None:
        self.db = db
        self.machine = machine
        self.clock = ClockOfTests()
        chosen = Limits(**({"memory": 30 * GiB, "stop_grace": "3s"} | limits))
        self.site = Site(limits=chosen, gpu_modes=tuple(modes), queue=queue)
        self.layout = DataLayout(data=folder)
        self.faults = Faults()
        self.lives = 0
        # A test's machine has no power cut.
        event.listen(db.engine, "checkout", lambda connection, *_: connection.execute("PRAGMA synchronous=OFF"))

    async def start(self, fuse: Fuse | None = None) -> None:
        """Begin a life: nothing is known but what is in the database and on the machine."""
        self.fuse = fuse or Fuse()
        self.machine.passed = lambda step: self.fuse.boundary(f"engine: launch, after {step}")
        self.lives += 1
        mortal: Any = DatabaseThatDies(self.db, self.fuse)
        self.engine = EngineThatDies(self.machine, self.faults, self.fuse)
        epoch = self.db.write_now(meta.next_epoch)
        self.db.write_now(partial(write_node, node=self.machine.node, settings=self.site.gpu_modes))
        while self.engine.epoch != epoch:  # the service waits until its engine answers
            try:
                await self.engine.open(epoch)
            except EngineError:
                self.machine.reachable = True
        nobody: Any = None
        serving = Serving(mortal, self.engine, self.site, nobody, self.layout, self.clock)
        self.wanted: set[str] = set()
        self.runner = Runner(mortal, self.engine, self.site, self.clock, lambda: None, lambda: None)
        self.reconciler = Reconciler(mortal, self.engine, serving, self.wanted.add)
        self.modes = GPUModes(mortal, self.site.gpu_modes)

    async def look_at_nodes(self) -> list[Node]:
        """Write what the machine has, and look at what is new before it is given out."""
        nodes, changed = await self.modes.write(await self.engine.nodes())
        if changed:
            await self.reconcile()
        return nodes

    async def turn(self) -> None:
        """Do one round of the queue."""
        closed = None
        nodes = []
        try:
            nodes = await self.look_at_nodes()
        except EngineError:
            closed = (Reason.WAITS_FOR_ENGINE, SENTENCES[Reason.WAITS_FOR_ENGINE])
        if self.clock.now() < self.runner.full_until:
            closed = (Reason.WAITS_FOR_DISK, SENTENCES[Reason.WAITS_FOR_DISK])
        decided = await self.runner.db.write(
            lambda db: take_turn(db, nodes, self.site.limits, closed, now=self.clock.wall(), rules=rules_of(self.site))
        )
        self.wanted.update(split_attempt(attempt)[0] for attempt in decided.started)
        self.wanted.update(decided.warned)

    async def step(self, job_id: str) -> None:
        """Take a job as far as it goes now."""
        for _ in range(STEPS_AT_ONCE):
            delay = await self.runner.step(job_id)
            if delay is None:
                self.wanted.discard(job_id)
            if delay != 0.0:
                return
        raise AssertionError(f"{job_id} goes round in circles")

    async def reconcile(self) -> None:
        """Bring database and containers together."""
        try:
            await self.reconciler.run()
        except EngineError:
            pass  # as the service does: the next round tries again

    async def tick(self) -> None:
        """Do everything once, and let a second pass."""
        await self.turn()
        for job_id in sorted(self.wanted):
            await self.step(job_id)
        await self.reconcile()
        self.let_pass(1)

    def let_pass(self, seconds: float) -> None:
        """Let time pass, on the machine and in the service."""
        self.clock.seconds += seconds
        self.machine.advance(seconds)

    def job(self, job_id: str) -> JobRecord:
        """Return a job as the database has it."""
        return self.db.read_now(lambda db: jobs.get(db, job_id))

    def check(self) -> None:
        """Check what must hold at every moment; containers are looked at, not the database's word for them."""
        running = self.machine.running()
        of_jobs = [found.seen for found in running if found.seen.kind == "job"]
        jobs_alive = [found.attempt.partition(".")[0] for found in of_jobs]
        assert len(jobs_alive) == len(set(jobs_alive)), "two live containers of one job"
        assert not [attempt for attempt, count in Counter(self.machine.starts).items() if count > 1], "started twice"
        slots = [uuid for found in running for uuid in found.seen.slots]
        assert len(slots) == len(set(slots)), "a slot twice"
        assert sum(found.seen.cpus for found in running) <= self.machine.node.cpus + 1e-9
        assert sum(found.seen.memory_bytes for found in running) <= self.site.limits.memory
        for job_id in jobs_alive:
            known = self.db.read_now(lambda db, job_id=job_id: jobs.find(db, job_id))
            assert known is None or known.state in RUNS, f"{job_id} runs, and is said to be {known.state}"

    def check_the_end(self) -> None:
        """Check that every job has ended in a true state, and that nothing is left over."""
        self.check()
        everything = self.db.read_now(lambda db: jobs.in_states(db, JobState))
        assert {job.state for job in everything} <= FINAL_STATES
        for job in everything:
            self._check_truth(job)
        assert not [name for name, found in self.machine.containers.items() if found.seen.kind == "job"]
        assert self.machine.directories == set()
        standing = {lease.id: lease for lease in self.db.read_now(leases.live)}
        assert [lease for lease in standing.values() if lease.kind == "job"] == []
        assert set(self.db.read_now(leases.slots_by_lease)) <= set(standing)

    def _check_truth(self, job: JobRecord) -> None:
        """Check that what is said of a job is what its last container did."""
        attempts = self.db.read_now(lambda db: jobs.attempts_of(db, job.id))
        if job.reason is Reason.CANNOT_RUN:
            assert job.state is JobState.FAILED
            return
        if not attempts or job.state is JobState.CANCELLED and attempts[-1].stop_reason != Reason.CANCELLED:
            assert job.state is JobState.CANCELLED
            assert job.cancel_requested
            return
        last = attempts[-1].id
        exit = self.machine.journal[last].exit
        ran = last in self.machine.starts
        if job.reason in NEVER_RAN:
            assert job.state is JobState.FAILED
            assert not ran
            return
        assert exit is not None
        assert job.exit_code == exit.code
        if job.state is JobState.SUCCEEDED:
            assert (ran, exit.code, exit.reason) == (True, 0, "exited")
        elif job.reason in (Reason.CANCELLED, Reason.TIMED_OUT):
            assert exit.reason == "stopped"
            assert job.cancel_requested or job.reason is Reason.TIMED_OUT
        else:
            assert (ran, job.state) == (True, JobState.FAILED)
            assert exit.reason == FROM_EXIT.get(job.reason, "exited")


def _writer(change: Callable[[Any], Any]) -> str:
    """Return the name of the step that writes."""
    inner = change.func if isinstance(change, partial) else change
    return inner.__qualname__.partition(".<locals>")[0].rpartition(".")[2].lstrip("_")


def simulated(count: int) -> tuple[Slot, ...]:
    """Return GPUs."""
    return tuple(Slot(uuid=f"GPU-{n}", index=n, model="Simulated", memory_bytes=24 * GiB) for n in range(count))


async def ticks(service: MortalService, count: int = 12) -> None:
    """Let some seconds pass, and check all along."""
    for _ in range(count):
        await service.tick()
        service.check()


def running(argv: tuple[str, ...] = LASTS, **changes: Any) -> dict[str, Any]:
    """Return the columns of a job with a command."""
    return {"spec": {"command": list(argv)}} | changes


RUNS = (JobState.STARTING, JobState.RUNNING)
NEVER_RAN = (Reason.IMAGE_MISSING, Reason.START_FAILED, Reason.WORKSPACE_BROKEN)
FROM_EXIT = {reason: str(reason) for reason in (Reason.NODE_REBOOTED, Reason.ENGINE_STOPPED, Reason.VANISHED)}
