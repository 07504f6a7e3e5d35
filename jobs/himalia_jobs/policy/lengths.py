"""How much longer something is expected to run, by how long such things ran before.

People's time limits are poor predictions; what the same project ran last is a better one (Tsafrir, Etsion, Feitelson:
Backfilling Using System-Generated Predictions Rather than User Runtime Estimates, IEEE TPDS 18(6), 2007), and what ran
alike in other ways stands in where that is little (Smith, Foster, Taylor: Predicting Application Run Times Using
Historical Information, JSSPP 1998). Of these only those count that ran longer than this one has run by now, and what
outlived them all is expected to run for as long again (Harchol-Balter, Downey: Exploiting Process Lifetime
Distributions for Dynamic Load Balancing, ACM TOCS 15(3), 1997). Limits stay the bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .words import Hold, Lengths, Waiter

OWN = 10  #: runs of the same project, or of the same person's notebooks, that are looked at
FADING = 0.8  #: what each of them counts less than the one after it; all runs of the profile count one together
FEW_RUNS = 3
SERVER_SECONDS = 8 * 3600.0  #: a notebook of which nothing is known
SHORTEST_LEFT_SECONDS = 60.0
WIDE = 2.0  #: from a quarter of the runs to three quarters of them, each with …
SLACK_SECONDS = 300.0  #: … this added

Weighted = list[tuple[float, float]]  #: seconds, and what they count; in order


@dataclass(frozen=True, kw_only=True)
class Left:
    """How much longer something is expected to run."""

    seconds: float
    by_limit: bool = False  #: nothing like it ran before: it is gone by then, and may be any time before
    steady: bool = False  #: such things ran alike


def left_of(hold: Hold, now: datetime, lengths: Lengths) -> Left:
    """Return how much longer a holder is expected to hold what it has."""
    bound = None if hold.ends_at is None else max((hold.ends_at - now).total_seconds(), 0.0)
    elapsed = max((now - hold.since).total_seconds(), 0.0)
    return _left(lengths, (hold.kind, hold.project_id or hold.user_id, hold.profile), elapsed, bound)


def lasts(waiter: Waiter, lengths: Lengths) -> Left:
    """Return how long a waiter is expected to run."""
    whose = (waiter.kind, waiter.project_id or waiter.user_id, waiter.profile)
    return _left(lengths, whose, 0.0, waiter.limit_seconds)


def _left(lengths: Lengths, whose: tuple[str, str, str], elapsed: float, bound: float | None) -> Left:
    kind, _, profile = whose
    alike = lengths.get((kind, "", profile), ())
    own = lengths.get(whose, ())[:OWN]
    longer = sorted(
        [(ran - elapsed, FADING**age) for age, ran in enumerate(own) if ran > elapsed]
        + [(ran - elapsed, 1 / len(alike)) for ran in alike if ran > elapsed]
    )
    if longer:
        seconds = _reached(longer, 0.5)
        short, long = (SLACK_SECONDS + _reached(longer, part) for part in (0.25, 0.75))
        steady = sum(ran > elapsed for ran in alike) >= FEW_RUNS and long <= WIDE * short
    elif not alike and bound is not None:
        return Left(seconds=bound, by_limit=True)
    else:
        known = bool(alike) or elapsed >= SERVER_SECONDS
        seconds, steady = (elapsed if known else SERVER_SECONDS - elapsed), False
    seconds = max(seconds, SHORTEST_LEFT_SECONDS)
    return Left(seconds=seconds if bound is None else min(seconds, bound), steady=steady)


def _reached(weighted: Weighted, part: float) -> float:
    """Return what so large a part of the weight does not exceed."""
    wanted = part * sum(weight for _, weight in weighted)
    for seconds, weight in weighted:
        wanted -= weight
        if wanted <= 0:
            return seconds
    return weighted[-1][0]
