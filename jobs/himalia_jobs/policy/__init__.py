"""The queue's policy: pure functions of what is known now. `decide` says who starts and why others wait."""

from __future__ import annotations

from .afterwards import afterwards
from .benches import excluded, sitting_of
from .estimates import estimate
from .pool import Pool
from .quotas import why_never_allowed
from .round import decide
from .rules import Rules
from .telling import holder, placed, sentence, why
from .words import (
    Decision,
    Estimate,
    GiveWay,
    Hold,
    Lack,
    Lengths,
    Reader,
    Room,
    Situation,
    Start,
    Wait,
    Waiter,
)

__all__ = [
    "Decision",
    "Estimate",
    "GiveWay",
    "Hold",
    "Lack",
    "Lengths",
    "Pool",
    "Reader",
    "Room",
    "Rules",
    "Situation",
    "Start",
    "Wait",
    "Waiter",
    "afterwards",
    "decide",
    "estimate",
    "excluded",
    "holder",
    "placed",
    "sentence",
    "sitting_of",
    "why",
    "why_never_allowed",
]
