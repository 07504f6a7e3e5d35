"""What to do about leases, from what was seen of them: pure functions.

Idleness is counted, not computed from two times: a look adds what has passed since the look before, a minute at most. So
what happened while nobody watched (a service that was down, a driver that did not answer, a clock that was set) is no
idleness, and a lease is ended only after its owner has been told and the whole warning has been watched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from .words import Do, Standing, Step, Use

MOST_STEP_SECONDS = 60.0


def looked(use: Use, *, clock: float, boot_id: str, active: bool | None, stamp: str | None = None) -> Use:
    """Return what is known after a look: something used it, nothing did, or (none) nobody knows."""
    passed = min(max(clock - use.clock, 0.0), MOST_STEP_SECONDS) if boot_id == use.boot_id else 0.0
    idle = 0.0 if active else use.idle_seconds + (passed if active is False else 0.0)
    return replace(use, idle_seconds=idle, clock=clock, boot_id=boot_id, stamp=use.stamp if stamp is None else stamp)


def decide(standings: Iterable[Standing]) -> list[Step]:
    """Return what is to be done; the same standings always give the same steps."""
    return [step for standing in standings if not standing.ending for step in _steps(standing)]


def _steps(one: Standing) -> Iterator[Step]:
    terms = one.terms
    if terms.max_age is not None:
        if one.warned_age is None:
            left = max(terms.max_age - one.age_seconds, terms.warning)
            if one.age_seconds >= terms.max_age - terms.warning:
                yield Step(lease_id=one.lease_id, do=Do.WARN_AGE, left_seconds=left)
        elif one.age_seconds >= max(terms.max_age, one.warned_age + terms.warning):
            yield Step(lease_id=one.lease_id, do=Do.END_AGE)
            return
    yield from _idle_steps(one)


def _idle_steps(one: Standing) -> Iterator[Step]:
    terms = one.terms
    if one.warned_idle is not None:
        if terms.idle_after is None or one.idle_seconds < one.warned_idle:
            yield Step(lease_id=one.lease_id, do=Do.TAKE_BACK)
        elif terms.ends and one.idle_seconds >= one.warned_idle + terms.warning:
            yield Step(lease_id=one.lease_id, do=Do.END_IDLE)
    elif terms.idle_after is not None:
        limit = max(terms.idle_after, one.kept_until)
        if one.idle_seconds >= limit - terms.warning:
            left = max(limit - one.idle_seconds, terms.warning)
            yield Step(lease_id=one.lease_id, do=Do.WARN_IDLE, left_seconds=left)


def may_keep(one: Standing) -> bool:
    """Tell whether its owner may keep it once more."""
    return one.kept < one.terms.keeps
