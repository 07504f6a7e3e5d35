"""The words of the queue's policy: who waits, who holds what, what is free, and what was decided.

Frozen data that comes in and goes out. Nothing here knows a clock, a database or Docker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from himalia.gpus import Slot
from himalia.reasons import Reason, Sure
from himalia_gpus.request import GPURequest

Kind = Literal["job", "server"]


@dataclass(frozen=True, kw_only=True)
class Waiter:
    """Somebody's wish for a share of a node."""

    id: str  #: of the job or the lease
    kind: Kind
    user_id: str
    since: datetime  #: order among equals
    cpus: float
    memory_bytes: int
    gpus: GPURequest
    user: str = ""
    teams: frozenset[str] = frozenset()  #: names, as quotas and reservations have them
    team_ids: frozenset[str] = frozenset()  #: whose members may read who it is
    profile: str = ""
    project_id: str = ""
    owner_id: str = ""  #: whose project it is: a person's or a team's; none: a server's
    limit_seconds: float | None = None  #: it is ended after so long; none: it stays as long as it likes
    preemptible: bool = False  #: it gives way to those who are not
    own_rank: int = 0  #: among those of the same person and priority; the lower the earlier


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A share of a node that somebody has."""

    lease_id: str
    kind: Kind
    user_id: str
    node_id: str
    cpus: float
    memory_bytes: int
    since: datetime
    slots: tuple[Slot, ...] = ()
    user: str = ""
    teams: frozenset[str] = frozenset()
    team_ids: frozenset[str] = frozenset()  #: whose members may read who it is
    job_id: str = ""
    profile: str = ""
    project_id: str = ""
    ends_at: datetime | None = None  #: it has given everything back by then; none: nobody knows
    idle_since: datetime | None = None  #: as far as it is known
    preemptible: bool = False  #: it gives way to those who are not
    warned: bool = False  #: it was told to give way
    stopping: bool = False  #: it is being stopped


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a node has free."""

    node_id: str
    cpus: float
    memory_bytes: int
    slots: tuple[Slot, ...]
    open: bool = True  #: whether new containers may start there
    sitting: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    """Who has seats of which GPU: the person, and the memory that is theirs."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """Everything that a round is decided from."""

    now: datetime
    rooms: tuple[Room, ...]
    waiters: tuple[Waiter, ...]
    holds: tuple[Hold, ...] = ()
    closed: tuple[Reason, str] | None = None  #: why nothing may start at all
    full: Mapping[str, str] = field(default_factory=dict)
    """Whose storage is full, of people and teams, in words: what they submit, and what is in their projects, does not start."""
    usage: Mapping[str, float] = field(default_factory=dict)  #: GPU hours of each person, older ones counting less
    last_starts: Mapping[tuple[str, bool], datetime] = field(default_factory=dict)  #: of a person, with GPUs or without

    @property
    def holding(self) -> Counter[str]:
        """How many leases each person has."""
        return Counter(hold.user_id for hold in self.holds)


@dataclass(frozen=True, kw_only=True)
class Start:
    """A waiter that starts now, and what it gets."""

    waiter: Waiter
    node_id: str
    slots: tuple[Slot, ...]
    backfilled: bool = False  #: it uses what is set aside for the first in line, and is gone before that can start


@dataclass(frozen=True, kw_only=True)
class Lack:
    """What a waiter waits for; those who ask for the same share it."""

    reason: Reason
    text: str = ""  #: where no holder is named: the whole sentence
    nameless: str = ""  #: for those who may not read whose it is; empty: the same
    need: int = 0  #: GPUs asked for
    thing: str = "GPU"  #: or seat, or slice
    special: str = ""  #: the request, where it says more than how many
    free: int = 0  #: of the GPUs that fit, on the node that has most of them free
    ill: int = 0  #: of those that fit, how many are out of order
    holds: tuple[tuple[Slot, Hold], ...] = ()  #: GPUs that fit, and who has them; the first to end first


@dataclass(frozen=True, kw_only=True)
class Wait:
    """A waiter that waits, where it stands in line (from 1), and why."""

    waiter: Waiter
    position: int
    lack: Lack

    @property
    def reason(self) -> Reason:
        """Why it waits."""
        return self.lack.reason


@dataclass(frozen=True, kw_only=True)
class GiveWay:
    """A preemptible job that is to give way, and to whom."""

    hold: Hold
    to: Waiter


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What one round decides. Every waiter is in it once, as a start or as a wait."""

    starts: tuple[Start, ...] = ()
    waits: tuple[Wait, ...] = ()
    gives_way: tuple[GiveWay, ...] = ()  #: those told before as well, as long as it is needed


#: How many seconds containers of a (kind, whose, profile) ran, the newest first: of a project, for servers of a person;
#: with nobody's name all of the profile.
Lengths = Mapping[tuple[str, str, str], Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """When something is expected to start."""

    at: datetime
    sure: Sure


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who reads a sentence: whose names they may see."""

    user_id: str = ""
    team_ids: frozenset[str] = field(default_factory=frozenset)
    sees_all: bool = False

    def may_read(self, hold: Hold | Waiter) -> bool:
        """Tell whether they may read who holds something, or waits."""
        return self.sees_all or (hold.user_id == self.user_id != "") or bool(self.team_ids & hold.team_ids)
