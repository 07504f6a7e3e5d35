"""Rows as frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from sqlalchemy import RowMapping

from himalia.gpus import SEAT_MARK, SlotHealth, SlotHold, SlotKind
from himalia.models import Outcome
from himalia.reasons import Reason
from himalia.states import JobState, LeaseState


class Record:
    """A row of a table, column by column."""

    __dataclass_fields__: ClassVar[dict[str, Any]]  # subclasses are dataclasses

    @classmethod
    def of(cls, row: RowMapping) -> Self:
        """Build the record of a row; columns the record does not name are left out."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True)
class JobRecord(Record):
    """A job."""

    number: int
    id: str
    seq: int
    project_id: str
    owner_id: str
    owner: str
    user_id: str
    user: str
    project: str
    experiment: str | None
    name: str
    state: JobState
    reason: Reason | None
    detail: str
    cancel_requested: bool
    cancelled_by: str | None
    preemptible: bool
    preemptions: int
    own_rank: int
    profile: str
    image: str
    image_id: str
    cpus: float
    memory_bytes: int
    disk_bytes: int | None
    gpus: str
    timeout_seconds: int
    warn_seconds: int | None
    retries: int
    retry_on: str
    retry_at: str | None
    spec: dict[str, Any]
    teams: dict[str, str]
    snapshot_id: str | None
    snapshot_owner_id: str | None
    snapshot_digest: str | None
    source: dict[str, Any] | None
    diff_digest: str | None
    attempt_count: int
    exit_code: int | None
    rerun_of: str | None
    idempotency_key: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", JobState(self.state))
        object.__setattr__(self, "reason", self.reason and Reason(self.reason))


@dataclass(frozen=True, kw_only=True)
class AttemptRecord(Record):
    """One run of a job."""

    id: str
    job_id: str
    number: int
    node_id: str
    lease_id: str
    spec_digest: str
    slots: list[dict[str, Any]]
    created_at: str
    started_at: str | None
    started_clock: float | None
    boot_id: str | None
    finished_at: str | None
    stop_reason: str | None
    over_by: float | None
    stuck_at: str | None
    give_way_at: str | None
    warned_at: str | None
    warned_clock: float | None
    exit_code: int | None
    signal: int | None
    oom: bool
    reason: Reason | None
    detail: str
    label: str | None
    log_bytes: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", self.reason and Reason(self.reason))


@dataclass(frozen=True, kw_only=True)
class LeaseRecord(Record):
    """A share of a node, or the wish for one."""

    number: int
    id: str
    kind: str
    state: LeaseState
    node_id: str
    user_id: str
    user: str
    holder: str
    spawn_id: str | None
    profile: str
    image: str
    image_id: str
    cpus: float
    memory_bytes: int
    gpus: str
    teams: dict[str, str]
    container: str | None
    created_at: str
    changed_at: str
    lasting: bool
    options: dict[str, Any]
    meanwhile: bool
    beside: str | None
    restart_wanted: bool
    outcome: Outcome | None
    outcome_detail: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", LeaseState(self.state))
        object.__setattr__(self, "outcome", Outcome(self.outcome) if self.outcome else None)


@dataclass(frozen=True, kw_only=True)
class NoticeRecord(Record):
    """Something that a person is told in Lab, and may answer."""

    id: str
    key: str
    user_id: str
    kind: str
    sentence: str
    actions: dict[str, str]
    lease_id: str | None
    job_id: str | None
    created_at: str
    expires_at: str | None
    answer: str | None
    answered_at: str | None
    withdrawn_at: str | None


@dataclass(frozen=True, kw_only=True)
class UserRecord(Record):
    """A user: a name, and when the hub first saw it."""

    id: str
    name: str
    hub_created: str


@dataclass(frozen=True, kw_only=True)
class SlotRecord(Record):
    """A slot as the ledger keeps it: what the machine says of it, and why the ledger keeps it back."""

    node_id: str
    uuid: str
    index: int
    model: str
    simulated: bool
    kind: SlotKind
    parent: str
    auto: bool
    health: SlotHealth
    hold: SlotHold | None
    hold_detail: str
    hold_clock: float | None
    hold_boot: str | None
    returned_clock: float | None
    returned_boot: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", SlotKind(self.kind))
        object.__setattr__(self, "health", SlotHealth(self.health))
        object.__setattr__(self, "hold", self.hold and SlotHold(self.hold))

    @property
    def gpu(self) -> str:
        """UUID of the GPU that it is, or is a part of."""
        return self.parent or self.uuid.partition(SEAT_MARK)[0]

    @property
    def is_seat(self) -> bool:
        """Whether it is one of several on its GPU."""
        return self.kind is SlotKind.SEAT

    @property
    def device(self) -> str:
        """UUID of what a container gets for it."""
        return self.uuid.partition(SEAT_MARK)[0]


@dataclass(frozen=True, kw_only=True)
class ProjectRecord(Record):
    """A project."""

    id: str
    owner_id: str
    owner: str
    name: str
    description: str
    created_at: str


@dataclass(frozen=True, kw_only=True)
class SnapshotRecord(Record):
    """A snapshot, open until it is committed."""

    id: str
    owner_id: str
    owner: str
    user_id: str
    digest: str
    file_count: int
    size_bytes: int
    committed: bool
    created_at: str
    asked_at: str | None


@dataclass(frozen=True, kw_only=True)
class GrantRecord(Record):
    """A slot that somebody had for a time."""

    number: int
    lease_id: str
    node_id: str
    uuid: str
    part: float
    kind: str
    user_id: str
    user: str
    teams: dict[str, str]
    owner_id: str
    owner: str
    project: str
    started_at: str
    ended_at: str | None
