"""The line played forward: round after round of the same policy, with what is expected to end in between.

Not played: who comes later, and who gave way and comes again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush

from himalia.reasons import Sure

from .afterwards import afterwards
from .benches import given_back
from .lengths import lasts, left_of
from .round import decide
from .rules import Rules
from .words import Decision, Estimate, GiveWay, Hold, Lengths, Situation, Start

MOST_LOOKED_AT = 20_000  #: waiters, and GPUs several times, in all rounds together: a few tenths of a second
A_GPU, A_ROUND = 4, 40  #: what takes as long as so many waiters
ORDER = (Sure.AT_LATEST, Sure.LIKELY, Sure.GUESS)


@dataclass(frozen=True, kw_only=True)
class Played:
    """How far it was played, and what happened."""

    starts: dict[str, Estimate]
    left: Situation  #: as it is then


def play(situation: Situation, rules: Rules, lengths: Lengths) -> Played:
    """Return when those who wait start, until all have or it was enough."""
    return _Game(situation, rules, lengths).played()


class _Game:
    def __init__(self, situation: Situation, rules: Rules, lengths: Lengths) -> None:
        self.situation, self.rules, self.lengths = situation, rules, lengths
        self.began = situation.now
        self._giving_way = rules.queue.preempt_warning + rules.queue.preempt_grace
        self.starts: dict[str, Estimate] = {}
        self.sure: dict[str, Sure] = {}  #: how sure the end of each holder is
        self.sure_of_gpu: dict[str, Sure] = {}  #: how sure it is that a GPU is free
        self.ends: list[tuple[datetime, str]] = []  #: of holders; without a name: a date of the calendar
        for hold in situation.holds:
            left = left_of(hold, situation.now, lengths)
            gives_way = hold.warned and self._giving_way < left.seconds
            sure = Sure.AT_LATEST if left.by_limit else Sure.LIKELY if left.steady else Sure.GUESS
            self.sure[hold.lease_id] = Sure.LIKELY if gives_way else sure
            seconds = self._giving_way if gives_way else left.seconds
            self.ends.append((situation.now + timedelta(seconds=seconds), hold.lease_id))
        self.ends += [(one.end, "") for one in (*rules.reservations, *rules.maintenance) if one.end > situation.now]
        heapify(self.ends)

    def played(self) -> Played:
        looked_at = 0
        over: list[Hold] = []
        while True:
            looked_at += self._size()
            self._carry_out(decide(self.situation, self.rules, told_why=False), over)
            if not self.situation.waiters or not self.ends or looked_at > MOST_LOOKED_AT:
                return Played(starts=self.starts, left=self.situation)
            over = self._next()

    def _size(self) -> int:
        gpus = sum(len(room.slots) for room in self.situation.rooms)
        gpus += sum(len(hold.slots) for hold in self.situation.holds)
        return A_ROUND + A_GPU * gpus + len(self.situation.waiters)

    def _next(self) -> list[Hold]:
        """Go on to the next moment at which something ends; return what does."""
        at = self.ends[0][0]
        names = set()
        while self.ends and self.ends[0][0] <= at:
            names.add(heappop(self.ends)[1])
        over = [hold for hold in self.situation.holds if hold.lease_id in names]
        for hold in over:
            for slot in hold.slots:
                self.sure_of_gpu[slot.gpu] = self.sure[hold.lease_id]
        self.situation = replace(
            self.situation,
            now=max(at, self.situation.now),
            rooms=tuple(
                given_back(
                    room,
                    sum(hold.cpus for hold in here),
                    sum(hold.memory_bytes for hold in here),
                    [(hold.user_id, slot) for hold in here for slot in hold.slots],
                )
                if (here := [hold for hold in over if hold.node_id == room.node_id])
                else room
                for room in self.situation.rooms
            ),
            holds=tuple(hold for hold in self.situation.holds if hold.lease_id not in names),
            usage=self._usage(over, at),
        )
        return over

    def _usage(self, over: Iterable[Hold], at: datetime) -> dict[str, float]:
        usage = dict(self.situation.usage)
        for hold in over:
            hours = (at - max(hold.since, self.began)).total_seconds() / 3600
            usage[hold.user_id] = usage.get(hold.user_id, 0.0) + hours * sum(slot.part for slot in hold.slots)
        return usage

    def _carry_out(self, decision: Decision, over: Iterable[Hold]) -> None:
        now = self.situation.now
        caused = [self.sure[hold.lease_id] for hold in over] or [Sure.GUESS]
        for start in decision.starts:
            name, sure, left = start.waiter.id, self._sure(start, caused), lasts(start.waiter, self.lengths)
            self.starts[name] = Estimate(at=now, sure=sure)
            # Its end hangs on a start that is expected itself: by limits, or it is a guess.
            self.sure[name] = sure if left.by_limit and sure is Sure.AT_LATEST else Sure.GUESS
            heappush(self.ends, (now + timedelta(seconds=left.seconds), name))
        self.situation = afterwards(self.situation, decision, self.rules)
        self._give_way(decision.gives_way)

    def _sure(self, start: Start, caused: Iterable[Sure]) -> Sure:
        found = [*caused, *(self.sure_of_gpu.get(slot.gpu, Sure.AT_LATEST) for slot in start.slots)]
        return max(found, key=ORDER.index)

    def _give_way(self, gives_way: Iterable[GiveWay]) -> None:
        told = {one.hold.lease_id for one in gives_way if not one.hold.warned}
        if told:
            gone = self.situation.now + timedelta(seconds=self._giving_way)
            for lease_id in told:
                heappush(self.ends, (gone, lease_id))
                self.sure[lease_id] = Sure.LIKELY
            self.situation = replace(
                self.situation,
                holds=tuple(
                    replace(hold, warned=True) if hold.lease_id in told else hold for hold in self.situation.holds
                ),
            )
