"""The engine contract: what runs containers, on one machine today and on several later.

An *attempt* (`<job id>.<n>`) is unique for ever and bound to one node before `launch`. The invariants:

I1   One node per attempt; an attempt is never sent elsewhere.
I2   At most one live start per attempt, for ever: intent on disk, create (the name is the attempt), start, started on disk.
     A repeated `launch` answers with what is there; another specification is a `Conflict`; an ended attempt is `Finished`.
I3   Tombstones outlive messages: `stop` of an attempt not seen yet writes one, and a launch that arrives later starts nothing.
I4   A service with an older epoch changes nothing (`StaleEpoch`).
I5   A time-out is `Unknown`, not failed.
I8   A complete listing is the truth, an event a hint: `absent` may only be concluded from a complete listing.
I9   The exit is in the journal before the container is removed; code, signal and out-of-memory are told apart.
I10  The log is the bytes of one file; an offset never changes its meaning; it is readable while running and after the end.
     Of one that is longer than its limit the middle is left out: its offsets stay, and reading goes on behind it.
I11  Containers that carry our label but are not known are reported; those without it are never touched.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol

from himalia.gpus import Slot, SlotHealth

from .disk import NO_LIMIT, DiskLimit, DiskPlace, DiskUse
from .gpus import GPUUse

LOCAL = "local"
Cursor = Mapping[str, int]
Mode = Literal["ready", "cordoned", "draining"]  #: whether a node takes new containers


class Phase(StrEnum):
    """Where a container is."""

    ABSENT = "absent"
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


class ExitReason(StrEnum):
    """How a container ended."""

    EXITED = "exited"  #: by itself
    STOPPED = "stopped"  #: by `stop`
    START_FAILED = "start_failed"  #: never ran
    NODE_REBOOTED = "node_rebooted"  #: the machine restarted under it
    ENGINE_STOPPED = "engine_stopped"  #: the container engine was stopped under it
    VANISHED = "vanished"  #: somebody removed it


@dataclass(frozen=True, kw_only=True)
class Node:
    """A machine that runs containers, and what it has."""

    node_id: str
    name: str
    boot_id: str
    state: Literal["ready", "cordoned", "draining", "unreachable", "gone"] = "ready"
    cpus: float
    memory_bytes: int
    disk_free_bytes: int = 0
    slots: tuple[Slot, ...] = ()
    unlisted: tuple[SlotHealth, str] = (SlotHealth.GONE, "The GPU is not there any more.")  #: of slots not listed
    engine_version: str = ""
    features: frozenset[str] = frozenset()  #: cdi, nvidia, overlay, live_restore, cgroup2 …
    note: str = ""  #: a sentence for the operator


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image as the node has it."""

    reference: str
    image_id: str  #: sha256:…
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class StorageMount:
    """A storage that the container sees; the engine resolves it to a directory of its node."""

    kind: Literal["storage", "team", "site"]
    name: str  #: internal id of the user or team; the host path of a site mount
    target: str
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class LaunchSpec:
    """Everything an attempt's container is made of. Its digest is a label, compared when a launch is repeated."""

    attempt: str
    job_id: str
    node_id: str = LOCAL
    owner: str  #: `user:NAME` or `team:NAME`, for the label
    user: str  #: whose identity the container runs with
    lease_id: str
    image_id: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""  #: relative to the workspace
    workspace_path: str = "/workspace"
    workspace_owner: str = ""  #: internal id of the snapshot's owner
    workspace_digest: str = ""  #: digest of the snapshot; empty: an empty workspace
    cpus: float
    memory_bytes: int
    slots: tuple[Slot, ...] = ()
    mounts: tuple[StorageMount, ...] = ()
    grace_seconds: float = 10.0
    log_limit_bytes: int = 0  #: of the log of one attempt; 0: none
    disk: DiskLimit = NO_LIMIT  #: of all else that the attempt writes to the node's disk
    internet: bool = True

    def digest(self) -> str:
        """Return the digest of the specification's canonical form."""
        plain = asdict(self) | {"slots": [slot.uuid for slot in self.slots]}
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a container ended. Code and out-of-memory are independent: 0 and `oom` together happen."""

    code: int | None
    signal: int | None = None
    oom: bool = False
    reason: ExitReason = ExitReason.EXITED
    detail: str = ""
    finished_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A container as its node sees it; `kind` is server for those the spawner made."""

    attempt: str  #: empty for a server
    kind: Literal["job", "server"] = "job"
    node_id: str = LOCAL
    phase: Phase
    handle: str = ""  #: opaque
    lease_id: str = ""
    name: str = ""  #: of the container
    slots: tuple[str, ...] = ()  #: UUIDs
    owner: str = ""
    user: str = ""
    spec_digest: str = ""
    started_at: datetime | None = None
    started_clock: float | None = (
        None  #: CLOCK_BOOTTIME of its node just before the start, if it has not restarted since
    )
    exit: Exit | None = None
    log_bytes: int = 0
    cpus: float = 0.0
    memory_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All containers of this installation on a node; only a complete one proves absence."""

    node_id: str
    complete: bool
    containers: tuple[Observed, ...]
    cursor: int = 0


class EngineEventKind(StrEnum):
    """What an engine's event hints at."""

    STARTED = "started"
    EXITED = "exited"
    REMOVED = "removed"
    INVENTORY = "inventory"
    IMAGES = "images"
    NODE = "node"


@dataclass(frozen=True, kw_only=True)
class EngineEvent:
    """A hint that something changed; at least once, in order for each node."""

    node_id: str
    seq: int
    kind: EngineEventKind
    attempt: str = ""
    lease_id: str = ""


@dataclass(frozen=True, kw_only=True)
class LogChunk:
    """Bytes of a log from an offset, or from the end of what is left out where it lies there."""

    data: bytes
    next_offset: int
    ended: bool  #: nothing will be added any more
    size_bytes: int = 0  #: of the log so far, with what is left out
    left_out: tuple[int, int] | None = None  #: from where to where; of a log with a limit also before it is reached

    @property
    def begins(self) -> int:
        """The offset of the first byte."""
        return self.next_offset - len(self.data)


@dataclass(frozen=True, kw_only=True)
class LogTime:
    """When a log's bytes came: those from this offset on within a second from this moment, up to the next entry's."""

    offset: int
    at: datetime


class ArtifactEntry(NamedTuple):
    """One thing in an attempt's `/artifacts`; symbolic links are data, never followed. There may be a million of them."""

    path: str
    type: Literal["file", "dir", "symlink", "other"]
    size_bytes: int
    modified_ms: int  #: milliseconds since 1970

    @property
    def modified_at(self) -> datetime:
        """When it was changed last."""
        return datetime.fromtimestamp(self.modified_ms / 1000, UTC)


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What `collect` sealed."""

    artifact_count: int
    artifact_bytes: int
    log_bytes: int
    log_sha256: str


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What an attempt uses now."""

    attempt: str
    at: datetime
    cpu_percent: float | None = None  #: 100 is one CPU
    memory_bytes: int | None = None
    gpu_percent: float | None = None  #: 100 is one GPU
    gpu_memory_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Door:
    """Where a running server listens, and the token that it knows itself by: it opens nothing else."""

    lease_id: str
    url: str  #: ends in a slash
    token: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class EngineHealth:
    """How the engine is, in words for the operator."""

    ok: bool
    sentences: tuple[str, ...] = ()


class Engine(Protocol):
    """What runs containers. Mutating calls are idempotent; see the module for the invariants."""

    ulimits: tuple[dict[str, object], ...]  #: the most that this machine lets a container start with

    async def open(self, epoch: int) -> None:
        """Take over with this epoch: an older one is refused from now on. Makes networks and directories."""

    async def close(self) -> None:
        """Let go of everything; containers run on."""

    async def tend(self) -> None:
        """Put back what somebody took away (networks, rules of the packet filter), and remove what could not be removed before.

        Asked every minute.
        """

    async def nodes(self) -> list[Node]:
        """Return all nodes with what they have."""

    async def set_node(self, node_id: str, state: Mode, reason: str) -> Node:
        """Say whether a node takes new containers."""

    async def resolve_image(self, reference: str, node_id: str = LOCAL) -> Image:
        """Return the id of an image; raise ImageMissing."""

    async def prepare(self, spec: LaunchSpec) -> None:
        """Make sure that image, workspace tree and directories are there. Idempotent; raises ImageMissing, WorkspaceCorrupt, NoSpace."""

    async def launch(self, spec: LaunchSpec, *, timeout_seconds: float) -> Observed:
        """Create and start the attempt's container, at most once for ever (I2)."""

    async def stop(self, attempt: str, *, grace_seconds: float, why: str) -> None:
        """SIGTERM, grace, SIGKILL; return when accepted. Writes a tombstone for an attempt not seen yet (I3)."""

    async def warn(self, attempt: str) -> None:
        """Warn a running attempt that its time is nearly up: SIGUSR1 to its processes that have a handler, once however often it is asked."""

    async def status(self, attempt: str) -> Observed:
        """Return the attempt as it is now."""

    async def list(self, node_id: str = LOCAL) -> Listing:
        """Return all containers of this installation on a node, servers too."""

    def watch(self, after: Cursor | None = None) -> AsyncIterator[EngineEvent]:
        """Yield hints for ever."""

    async def read_log(self, attempt: str, offset: int, limit: int, wait_seconds: float = 0.0) -> LogChunk:
        """Return bytes of the log from an offset; empty data when there is nothing new, also after so many seconds."""

    async def log_times(
        self, attempt: str, *, since: datetime | None = None, first: int = 0, last: int = 0
    ) -> Sequence[LogTime]:
        """Return the first entry at a moment or later; without one, those that speak for the bytes `first` to `last`."""

    async def artifacts(self, attempt: str, most: int = 10_000, after: str = "") -> tuple[Sequence[ArtifactEntry], str]:
        """Return a page of what is in `/artifacts`, sorted by path, and the cursor (`after`) of the next; none: that was all."""

    async def open_artifact(self, attempt: str, path: str) -> tuple[int, ArtifactEntry]:
        """Return a descriptor (the caller closes it) of a regular file and its entry; raise FileNotFoundError for all else."""

    async def packages(self, attempt: str) -> str | None:
        """Return the Python packages that the attempt could import when it began, one a line; None where they are not known (yet)."""

    async def collect(self, attempt: str) -> Collected:
        """Seal log and artifacts after the end. Idempotent."""

    async def forget(self, attempt: str) -> None:
        """Remove container and working directories, the volume soon after; keep log, artifacts and the tombstone. Idempotent."""

    async def delete(self, attempt: str) -> None:
        """Remove log and artifacts as well; the tombstone stays. Idempotent."""

    async def usage(self, node_id: str = LOCAL) -> Sequence[Usage]:
        """Return what the running attempts use now."""

    async def disk_use(self, places: Sequence[DiskPlace], node_id: str = LOCAL) -> Sequence[DiskUse]:
        """Return what running attempts, homes and storages take of the disk; an attempt that is not known yet is left out."""

    async def gpu_use(self, node_id: str = LOCAL, *, fresh: bool = False) -> GPUUse:
        """Return who is on the GPUs of a node; with `fresh` the processes are read now, if the driver answers in time."""

    async def doors(self, node_id: str = LOCAL) -> Sequence[Door]:
        """Return where the running servers of a node listen."""

    async def health(self) -> EngineHealth:
        """Say how the engine is."""

    def server_devices(self, slots: tuple[Slot, ...]) -> tuple[dict[str, Any], ...]:
        """Return the device requests, as the Docker API takes them, of a server that holds these slots."""
