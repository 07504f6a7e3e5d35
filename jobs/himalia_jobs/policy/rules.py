"""What the operator wants of the queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from himalia.queueing import Maintenance, Queue, Quota, Reservation


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The settings that a round is decided by; without any it is first come, first served, in turns among people."""

    queue: Queue = field(default_factory=Queue)
    priorities: Mapping[str, int] = field(default_factory=dict)  #: of profiles
    ending_seconds: float = 90.0  #: at most, from a time limit until everything is free again
    quotas: tuple[Quota, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
