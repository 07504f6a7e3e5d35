"""When those who wait are expected to start: the line played forward as far as that is quick, and roughly beyond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from himalia.reasons import Reason, Sure

from .course import in_course
from .forward import play
from .horizon import promise, releases_of
from .pool import Pool
from .rules import Rules
from .words import Estimate, Lengths, Situation, Wait, Waiter

MOST = 300  #: how far back in line a start is estimated

#: Who waits for something else than room (a limit, a date) starts as that is played, or nobody knows when.
OF_ROOM = frozenset({Reason.IN_LINE, Reason.WAITS_FOR_GPUS, Reason.WAITS_FOR_CPUS, Reason.WAITS_FOR_MEMORY})
NO_RULES = Rules()


def estimate(
    situation: Situation, waits: Sequence[Wait], lengths: Lengths, rules: Rules = NO_RULES
) -> dict[str, Estimate]:
    """Return when those in line are expected to start, the first MOST of them; the situation is that after their round."""
    looked_at = waits[:MOST]
    if situation.closed or not looked_at:
        return {}
    played = play(replace(situation, waiters=tuple(wait.waiter for wait in looked_at)), rules, lengths)
    by_limits = {waiter_id for waiter_id, one in played.starts.items() if one.sure is Sure.AT_LATEST}
    found = {
        waiter_id: replace(one, sure=Sure.GUESS) if waiter_id in by_limits else one
        for waiter_id, one in played.starts.items()
    }
    first = next((one.waiter for one in looked_at if one.reason in OF_ROOM and not one.waiter.preemptible), None)
    latest = _latest(situation, first, rules) if first and first.id in by_limits else None
    if first and latest:
        found[first.id] = Estimate(at=latest, sure=Sure.AT_LATEST)
    rest = [wait.waiter for wait in looked_at if wait.reason in OF_ROOM and wait.waiter.id not in found]
    beyond = in_course(played.left, rest, lengths)
    return found | {waiter_id: Estimate(at=at, sure=Sure.GUESS) for waiter_id, at in beyond.items()}


def _latest(situation: Situation, first: Waiter, rules: Rules) -> datetime | None:
    """Return when the first in line starts at the latest, by limits; none where nothing is kept for it on one machine."""
    pools = [Pool(room) for room in situation.rooms if room.open]
    kept = rules.queue.backfill or len(pools) == 1
    promised = promise(first, pools, releases_of(situation.holds)) if kept else None
    return promised.at if promised else None
