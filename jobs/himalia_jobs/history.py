"""What happened before: how long things ran, which estimates are made of, and who used how much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from math import exp, log
from statistics import median

from sqlalchemy import Connection

from .policy import Length, Lengths
from .store import grants, jobs
from .store.clock import from_text, to_text

LOOKED_AT = 2000  #: attempts that ended last
HALF_LIVES = 10  #: what is older counts less than a thousandth
OF_EACH = 30  #: of one project and profile


def read_lengths(db: Connection) -> Lengths:
    """Return how long jobs ran, by project and profile, and by profile alone."""
    return lengths_of(jobs.past_lengths(db, LOOKED_AT))


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


def lengths_of(ran: Iterable[tuple[str, str, float]]) -> Lengths:
    """Return the usual lengths of (project, profile, seconds), the newest first."""
    seconds: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for project, profile, length in ran:
        for key in (("job", project, profile), ("job", "", profile)):
            if len(seconds[key]) < OF_EACH:
                seconds[key].append(max(length, 1.0))
    return {key: Length(seconds=median(found), runs=len(found)) for key, found in seconds.items()}
