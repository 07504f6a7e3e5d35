"""The words of giving back: what is known of a lease, what holds for it, and what is decided. Frozen data, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Then = Literal["stop", "restart"]


class End(StrEnum):
    """Why a server is ended."""

    IDLE = "idle"
    MAX_AGE = "max_age"
    RELEASED = "released"  #: its holder gave it back


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What holds for a lease: the settings, with its profile's own."""

    idle_after: float | None  #: seconds; none: it may be idle for ever
    warning: float
    keep_for: float
    keeps: int  #: how often in a row
    max_age: float | None = None
    then: Then = "stop"
    ends: bool = True  #: whether idleness ends it; else it is only told


@dataclass(frozen=True, kw_only=True)
class Use:
    """How long nothing has used the GPUs of a lease, as far as somebody watched; by a clock that nobody can set."""

    idle_seconds: float = 0.0
    clock: float = 0.0  #: of the last look
    boot_id: str = ""
    stamp: str = ""  #: what its kernels said of their last activity


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A lease as it stands."""

    lease_id: str
    terms: Terms
    idle_seconds: float
    age_seconds: float
    warned_idle: float | None = None  #: how long it had been idle when its owner was told
    warned_age: float | None = None  #: how old it was when its owner was told
    kept: int = 0  #: how often in a row its owner kept it
    kept_until: float = 0.0  #: it may be idle for so long, because it was kept
    ending: bool = False  #: its end is decided


class Do(StrEnum):
    """What is to be done about a lease."""

    WARN_IDLE = "warn_idle"  #: tell that it ends unless it is used
    TAKE_BACK = "take_back"  #: it is used again: what was told holds no longer
    END_IDLE = "end_idle"
    WARN_AGE = "warn_age"
    END_AGE = "end_age"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do about one lease."""

    lease_id: str
    do: Do
    left_seconds: float = 0.0  #: with a warning: until the end, at the earliest
