"""The ways to decide that are compared: the policy with its settings, and the plain ones beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

from himalia.queueing import Queue
from himalia_jobs.policy import Rules

HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One way to decide who starts."""

    name: str
    rules: Rules = field(default_factory=Rules)
    one_line: bool = False  #: as they came, whoever they are: all are taken for one person
    strict: bool = False  #: nobody starts before somebody who came earlier
    gives_way: bool = True  #: whether preemptible jobs are taken for what they are
    idle_limit: float | None = 2 * HOUR  #: an idle notebook is stopped then, as `[idle] after` has it; none: it stays


def rules(**queue: object) -> Rules:
    """Return rules with these settings of `[queue]`."""
    return Rules(queue=Queue.model_validate(queue))


FIFO = Plan(name="FIFO", one_line=True, strict=True, gives_way=False)
FIFO_BACKFILL = Plan(name="FIFO + backfill", rules=rules(backfill=True), one_line=True, gives_way=False)
TURNS = Plan(name="Himalia: turns", rules=rules(backfill=False))
TURNS_BACKFILL = Plan(name="Himalia: turns + backfill", rules=rules(backfill=True))
USAGE = Plan(name="Himalia: GPU hours", rules=rules(backfill=False, fair_share="usage"))
USAGE_BACKFILL = Plan(name="Himalia: GPU hours + backfill", rules=rules(backfill=True, fair_share="usage"))

PLANS = (FIFO, FIFO_BACKFILL, TURNS, TURNS_BACKFILL, USAGE, USAGE_BACKFILL)
