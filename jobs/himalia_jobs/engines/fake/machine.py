"""A machine in memory: its containers, its journal and its disk. They outlive every service, as a real machine's do.

Time stands still until `advance`; commands do what `programs` says of them. What tests look at is public: `containers`
are the truth, and `starts` is every start that ever happened.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from himalia.gpus import Slot
from himalia.units import GiB

from ..base import (
    LOCAL,
    ArtifactEntry,
    Collected,
    EngineEvent,
    EngineEventKind,
    Exit,
    ExitReason,
    LaunchSpec,
    Mode,
    Node,
    Observed,
    Phase,
)
from ..disk import DiskPlace, DiskUse
from ..errors import (
    Conflict,
    Finished,
    ImageMissing,
    NodeDraining,
    NoSpace,
    Refused,
    StaleEpoch,
    StartFailed,
    Unknown,
    WorkspaceCorrupt,
)
from .containers import FakeContainer, FakeEntry, Program
from .gpus import FakeGPUs
from .logs import FakeLogs

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
TERM, KILL, SIGNALLED = 15, 9, 128


class FakeMachine:
    """The node's side of the contract (`engines.base`); a `FakeEngine` is one service's way to it."""

    def __init__(
        self,
        *,
        node_id: str = LOCAL,
        cpus: float = 8.0,
        memory_bytes: int = 32 * GiB,
        slots: tuple[Slot, ...] = (),
        images: Mapping[str, str] | None = None,
    ) -> None:
        self.node = Node(
            node_id=node_id, name=node_id, boot_id="boot-1", cpus=cpus, memory_bytes=memory_bytes, slots=slots
        )
        self.images = dict(images if images is not None else {"himalia/server:dev": "sha256:1"})
        self.programs: dict[tuple[str, ...], Program] = {}
        self.containers: dict[str, FakeContainer] = {}
        self.starts: list[str] = []
        self.warned: list[tuple[str, float]] = []  #: every warning that reached a command, and when
        self.journal: dict[str, FakeEntry] = {}
        self.logs = FakeLogs()
        self.artifacts: dict[str, dict[str, bytes | Literal["dir", "symlink", "other"]]] = {}
        self.directories: set[str] = set()  #: attempts whose working directories are there
        self.written: dict[str, tuple[int, int]] = {}  #: bytes and files, by attempt or internal id
        self.reachable = True
        self.disk_full = False
        self.broken_snapshots: set[str] = set()
        self.interrupt: Literal["intent", "create", "start"] | None = (
            None  #: the next launch breaks off after this step
        )
        self.passed: Callable[[str], None] = lambda step: None  #: told of each step of a launch, once it is done
        self.mode: Mode = "ready"
        self.mode_reason = ""
        self.epoch = 0
        self.now = 0.0
        self.gpus = FakeGPUs()
        self.late: list[Callable[[], object]] = []  #: messages that are still under way
        self.listeners: list[Callable[[EngineEvent], None]] = []
        self._numbers = itertools.count(1)

    # What tests do to it.

    def advance(self, seconds: float) -> None:
        """Let time pass: programs end, and what was told to stop is killed at the end of its grace."""
        self.now += seconds
        for container in [found for found in self.containers.values() if found.seen.phase is Phase.RUNNING]:
            program = container.program
            if container.killed_at is not None and container.killed_at <= self.now:
                self._end(container, Exit(code=SIGNALLED + KILL, signal=KILL, reason=ExitReason.STOPPED))
            elif container.ends_at is not None and container.ends_at <= self.now:
                self._end(container, Exit(code=program.code, signal=program.signal, oom=program.oom))

    def finish(self, attempt: str, code: int = 0, *, signal: int | None = None, oom: bool = False) -> None:
        """End an attempt's command."""
        self._end(self.containers[attempt], Exit(code=code, signal=signal, oom=oom))

    def let_die(self, attempt: str) -> None:
        """End what was killed and could not die: the device that it waited for answers again."""
        self._end(self.containers[attempt], Exit(code=SIGNALLED + KILL, signal=KILL, reason=ExitReason.STOPPED))

    def change_image(self, reference: str, image_id: str | None) -> None:
        """Give an image a name, as `docker tag` does, or take the name away."""
        self.images.pop(reference, None)
        if image_id is not None:
            self.images[reference] = image_id
        self._tell(EngineEventKind.IMAGES)

    def remove_by_hand(self, name: str) -> None:
        """Remove a container as an administrator would, past the engine."""
        container = self.containers.pop(name)
        self._tell(EngineEventKind.REMOVED, container.seen)

    def restart_by_hand(self, name: str) -> None:
        """Start a container that has ended once more, past the engine: it has what it was made with."""
        container = self.containers[name]
        container.ends_at = container.killed_at = None
        container.seen = replace(container.seen, phase=Phase.RUNNING, exit=None)
        self._tell(EngineEventKind.STARTED, container.seen)

    def reboot(self) -> None:
        """Restart the machine: nothing runs any more, disk and journal are as they were; messages under way are gone."""
        self.node = replace(self.node, boot_id=f"boot-{int(self.node.boot_id.partition('-')[2]) + 1}")
        self.late.clear()
        self._end_all(Exit(code=None, reason=ExitReason.NODE_REBOOTED))

    def stop_engine(self) -> None:
        """Stop the container engine, and all that runs in it."""
        self._end_all(Exit(code=SIGNALLED + TERM, signal=TERM, reason=ExitReason.ENGINE_STOPPED))

    def deliver(self, index: int = 0) -> None:
        """Let a message that was delayed or doubled arrive; nobody waits for its answer."""
        self.late.pop(index)()

    def run_server(self, name: str, *, lease_id: str, user: str = "ada", ours: bool = True, **share: object) -> None:
        """Run a server as the spawner does, or a container of somebody else; `share`: cpus, memory_bytes, slots."""
        seen = Observed(
            attempt="",
            kind="server",
            node_id=self.node.node_id,
            phase=Phase.RUNNING,
            handle=f"fake-{name}",
            lease_id=lease_id,
            name=name,
            owner=f"user:{user}",
            user=user,
            started_at=self._time(),
        )
        seen = replace(seen, **share)  # type: ignore[arg-type]  # fields of Observed
        self.containers[name] = FakeContainer(name=name, seen=seen, program=Program(seconds=None), ours=ours)
        self._tell(EngineEventKind.STARTED, seen)

    def running(self) -> list[FakeContainer]:
        """Return all containers of ours that run."""
        return [found for found in self.containers.values() if found.ours and found.seen.phase is Phase.RUNNING]

    # What the engine asks of it.

    def take_over(self, epoch: int) -> None:
        """Note the epoch of a service; an older one is refused from now on."""
        self.check(epoch)
        self.epoch = epoch

    def check(self, epoch: int) -> None:
        """Raise StaleEpoch when a newer service has taken over."""
        if epoch < self.epoch:
            raise StaleEpoch(f"service {epoch} was replaced by service {self.epoch}; it must not change anything")

    def prepare(self, spec: LaunchSpec) -> None:
        """Make sure of the image, and lay out what an attempt needs; nothing for one that has ended."""
        self._must_be_unfinished(spec.attempt)
        if spec.image_id not in self.images.values():
            raise ImageMissing("No such image.")
        if self.disk_full:
            raise NoSpace("the data disk is full")
        if spec.workspace_digest in self.broken_snapshots:
            raise WorkspaceCorrupt("the submitted files cannot be laid out")
        self.directories.add(spec.attempt)

    def launch(self, spec: LaunchSpec) -> Observed:
        """Create and start, at most once for ever."""
        self._must_be_unfinished(spec.attempt)
        entry = self.journal.get(spec.attempt)
        if entry is not None and entry.digest != spec.digest():
            raise Conflict(f"{spec.attempt} was launched before with another specification")
        container = self.containers.get(spec.attempt)
        if container is None and (entry is None or not entry.started):
            container = self._create(spec, entry)
        if container is not None and container.seen.phase is Phase.CREATED:
            self._start(container)
        return self.status(spec.attempt)

    def stop(self, attempt: str, grace_seconds: float, why: str) -> None:
        """Ask a container to end, or write the tombstone of one that never ran; an end that was is kept."""
        observed = self.status(attempt)
        if observed.exit is not None:
            return
        entry = self.journal.setdefault(attempt, FakeEntry())
        entry.stop_why = why
        container = self.containers.get(attempt)
        if container is None or container.seen.phase is Phase.CREATED:
            entry.exit = Exit(code=None, reason=ExitReason.STOPPED, finished_at=self._time())
            self.containers.pop(attempt, None)
        elif container.program.unkillable:
            pass
        elif container.program.stubborn:
            container.killed_at = container.killed_at or self.now + grace_seconds
        else:
            self._end(container, Exit(code=SIGNALLED + TERM, signal=TERM, reason=ExitReason.STOPPED))

    def warn(self, attempt: str) -> None:
        """Warn a running attempt; as the launcher does, pass on the first warning only."""
        container = self.containers.get(attempt)
        if container is not None and container.seen.phase is Phase.RUNNING and not container.warned:
            container.warned = True
            self.warned.append((attempt, self.now))

    def status(self, attempt: str) -> Observed:
        """Return an attempt as it is; its end is journalled when it is first seen."""
        entry, container = self.journal.get(attempt), self.containers.get(attempt)
        seen = container.seen if container is not None else Observed(attempt=attempt, phase=Phase.ABSENT)
        if entry is None:
            return seen
        if entry.exit is None and seen.exit is not None:
            entry.exit = seen.exit
        if entry.exit is None and container is None and entry.started:
            reason = ExitReason.VANISHED if entry.boot_id == self.node.boot_id else ExitReason.NODE_REBOOTED
            entry.exit = Exit(code=None, reason=reason, finished_at=self._time())
        if entry.exit is not None:
            return replace(seen, phase=Phase.EXITED, exit=entry.exit)
        return seen

    def collect(self, attempt: str) -> Collected:
        """Seal log and artifacts."""
        if self.status(attempt).phase is Phase.RUNNING:
            raise Refused(f"{attempt} still runs; stop it first")
        entry = self.journal.setdefault(attempt, FakeEntry())
        if entry.collected is None:
            log = self.logs.seal(attempt)
            files = [content for content in self.artifacts.get(attempt, {}).values() if isinstance(content, bytes)]
            entry.collected = Collected(
                artifact_count=len(files),
                artifact_bytes=sum(map(len, files)),
                log_bytes=len(log),
                log_sha256=hashlib.sha256(log).hexdigest(),
            )
        return entry.collected

    def forget(self, attempt: str) -> None:
        """Keep log, artifacts and the tombstone, and nothing else."""
        if self.status(attempt).phase is Phase.RUNNING:
            raise Refused(f"{attempt} still runs; stop it first")
        entry = self.journal.setdefault(attempt, FakeEntry())
        if entry.digest and not entry.forgotten:
            self.collect(attempt)
        entry.forgotten = True
        self.logs.seal(attempt)
        self.directories.discard(attempt)
        container = self.containers.pop(attempt, None)
        if container is not None:
            self._tell(EngineEventKind.REMOVED, container.seen)

    def delete(self, attempt: str) -> None:
        """Keep the tombstone alone."""
        self.forget(attempt)
        self.logs.remove(attempt)
        self.artifacts.pop(attempt, None)

    def disk_use(self, places: Sequence[DiskPlace]) -> list[DiskUse]:
        """Return what places take; an attempt that does not run takes nothing."""
        alive = {found.seen.attempt for found in self.running()}
        return [
            DiskUse(place=place, used_bytes=size, files=files, mostly="in /artifacts" if size else "")
            for place in places
            if place.kind != "attempt" or place.name in alive
            for size, files in [self.written.get(place.name, (0, 0))]
        ]

    def entries(self, attempt: str) -> list[ArtifactEntry]:
        """Return what an attempt left, sorted by path."""
        return [
            ArtifactEntry(
                path=path,
                type="file" if isinstance(content, bytes) else content,
                size_bytes=len(content) if isinstance(content, bytes) else 0,
                modified_ms=round(self._time().timestamp() * 1000),
            )
            for path, content in sorted(self.artifacts.get(attempt, {}).items())
        ]

    def _must_be_unfinished(self, attempt: str) -> None:
        entry = self.journal.get(attempt)
        if entry is not None and (entry.exit is not None or entry.forgotten):
            ended = entry.exit or Exit(code=None, reason=ExitReason.STOPPED)
            raise Finished(f"{attempt} has ended before; it is never started again", ended)

    def _create(self, spec: LaunchSpec, entry: FakeEntry | None) -> FakeContainer:
        if entry is None and self.mode != "ready":
            raise NodeDraining("this machine takes no new containers")
        entry = self.journal.setdefault(spec.attempt, FakeEntry(digest=spec.digest(), boot_id=self.node.boot_id))
        self._break_off("intent")
        if spec.image_id not in self.images.values():
            entry.exit = Exit(code=None, reason=ExitReason.START_FAILED, detail="No such image.")
            raise ImageMissing("No such image.")
        container = FakeContainer(
            name=spec.attempt,
            seen=_observed(spec),
            program=self.programs.get(spec.argv, Program()),
        )
        self.containers[spec.attempt] = container
        self._break_off("create")
        return container

    def _start(self, container: FakeContainer) -> None:
        attempt, program = container.seen.attempt, container.program
        entry = self.journal[attempt]
        entry.started, entry.boot_id = True, self.node.boot_id
        if program.start_error:
            entry.exit = Exit(code=None, reason=ExitReason.START_FAILED, detail=program.start_error)
            del self.containers[attempt]
            raise StartFailed(program.start_error)
        self.starts.append(attempt)
        container.seen = replace(container.seen, phase=Phase.RUNNING, started_at=self._time(), started_clock=self.now)
        container.ends_at = None if program.seconds is None else self.now + program.seconds
        self.logs.add(attempt, program.output, self._time())
        self.artifacts.setdefault(attempt, {}).update(program.artifacts)
        self.written[attempt] = program.writes
        self._tell(EngineEventKind.STARTED, container.seen)
        self.advance(0)
        self._break_off("start")

    def _break_off(self, step: str) -> None:
        self.passed(step)
        if self.interrupt == step:
            self.interrupt = None
            raise Unknown(f"the launch broke off after its {step}")

    def _end(self, container: FakeContainer, exit: Exit) -> None:
        exit = replace(exit, finished_at=self._time())
        container.seen = replace(container.seen, phase=Phase.EXITED, exit=exit)
        self._tell(EngineEventKind.EXITED, container.seen)

    def _end_all(self, exit: Exit) -> None:
        for container in [found for found in self.containers.values() if found.seen.phase is Phase.RUNNING]:
            self._end(container, exit)

    def _tell(self, kind: EngineEventKind, seen: Observed | None = None) -> None:
        about = {"attempt": seen.attempt, "lease_id": seen.lease_id} if seen is not None else {}
        event = EngineEvent(node_id=self.node.node_id, seq=next(self._numbers), kind=kind, **about)
        for listener in list(self.listeners):
            listener(event)

    def _time(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.now)


def _observed(spec: LaunchSpec) -> Observed:
    return Observed(
        attempt=spec.attempt,
        node_id=spec.node_id,
        phase=Phase.CREATED,
        handle=f"fake-{spec.attempt}",
        lease_id=spec.lease_id,
        name=spec.attempt,
        slots=tuple(slot.uuid for slot in spec.slots),
        owner=spec.owner,
        user=spec.user,
        spec_digest=spec.digest(),
        cpus=spec.cpus,
        memory_bytes=spec.memory_bytes,
    )
