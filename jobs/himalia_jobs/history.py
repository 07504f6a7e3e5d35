"""What happened before: how long things ran, which estimates are made of, and who used how much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from math import exp, log

from sqlalchemy import Connection

from .policy import Lengths
from .store import grants, jobs, leases
from .store.clock import from_text, to_text

LOOKED_AT = 2000  #: attempts that ended last, and servers
HALF_LIVES = 10  #: what is older counts less than a thousandth
OF_EACH = 30  #: of one project and profile, of one person's servers, of one profile


def read_lengths(db: Connection) -> Lengths:
    """Return how long jobs ran, by project and profile, and servers, by person and profile; both by profile alone."""
    ran = [("job", *one) for one in jobs.past_lengths(db, LOOKED_AT)]
    return lengths_of([*ran, *(("server", *one) for one in leases.past_lengths(db, LOOKED_AT))])


def read_usage(db: Connection, half_life_seconds: float, now: datetime) -> dict[str, float]:
    """Return each person's GPU hours, those of a half-life ago counting half."""
    forgotten = to_text(now - timedelta(seconds=HALF_LIVES * half_life_seconds))
    hours: dict[str, float] = defaultdict(float)
    for user, gpus, start, end in grants.since(db, forgotten):
        until = now if end is None else from_text(end)
        hours[user] += gpus * decayed_seconds(from_text(start), until, now, half_life_seconds) / 3600
    return dict(hours)


def decayed_seconds(start: datetime, end: datetime, now: datetime, half_life_seconds: float) -> float:
    """Return the length of a time, each second counting half for every half-life that it is past."""
    rate = log(2) / half_life_seconds
    ages = (max((now - moment).total_seconds(), 0.0) for moment in (end, start))
    ended, begun = (exp(-rate * age) for age in ages)
    return max(ended - begun, 0.0) / rate


def lengths_of(ran: Iterable[tuple[str, str, str, float]]) -> Lengths:
    """Return the last lengths of (kind, whose, profile, seconds), the newest first."""
    seconds: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for kind, whose, profile, length in ran:
        for key in ((kind, whose, profile), (kind, "", profile)):
            if len(seconds[key]) < OF_EACH:
                seconds[key].append(max(length, 1.0))
    return dict(seconds)
