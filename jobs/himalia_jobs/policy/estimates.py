"""When those who wait are expected to start: the line played forward, with how long such things ran before.

People's time limits are poor predictions, and what the same kind of work took before is a better one (Tsafrir, Etsion,
Feitelson: Backfilling Using System-Generated Predictions Rather than User Runtime Estimates, IEEE TPDS 18(6), 2007).
Limits stay the bound, and stand in where nothing ran before.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice

from himalia.gpus import Slot, SlotHealth, SlotKind
from himalia.reasons import Reason, Sure

from .benches import counterpart
from .pool import ROUNDING, Make, make_of, makes_fit
from .words import Estimate, Hold, Length, Lengths, Room, Situation, Wait, Waiter

MOST = 300  #: how far back in line a start is estimated
FEW_RUNS = 3
SERVER_SECONDS = 8 * 3600.0  #: a notebook of which nothing is known
SHORTEST_LEFT_SECONDS = 60.0
ORDER = (Sure.AT_LATEST, Sure.LIKELY, Sure.GUESS)

#: Who waits for something else than room (a limit, a date) starts nobody knows when.
OF_ROOM = frozenset({Reason.IN_LINE, Reason.WAITS_FOR_GPUS, Reason.WAITS_FOR_CPUS, Reason.WAITS_FOR_MEMORY})

Free = tuple[datetime, int]  #: from when on, and how sure that is: a place in ORDER


def estimate(situation: Situation, waits: Sequence[Wait], lengths: Lengths) -> dict[str, Estimate]:
    """Return when those in line are expected to start, the first MOST of them."""
    if situation.closed:
        return {}
    courses = [_Course(room, situation, lengths) for room in situation.rooms if room.open]
    found: dict[str, Estimate] = {}
    first: Free | None = None
    for wait in waits[:MOST]:
        waiter = wait.waiter
        if wait.reason not in OF_ROOM:
            continue
        best = min(
            ((*start, number) for number, course in enumerate(courses) if (start := course.earliest(waiter))),
            default=None,
        )
        if best is None:
            continue
        at, sure, number = best
        if first is None:
            first = (at, sure)
        elif at <= situation.now:  # it is free, and kept for the first in line until that starts
            at, sure = max((at, sure), first)
        lasts, known = _lasts(waiter, lengths)
        courses[number].take(waiter, at, (at + timedelta(seconds=lasts), max(sure, known)))
        found[waiter.id] = Estimate(at=at, sure=ORDER[sure])
    return found


class _Course:
    """What becomes free on one node, and when."""

    def __init__(self, room: Room, situation: Situation, lengths: Lengths) -> None:
        now = situation.now
        self.now: Free = (now, 0)
        self.cpus_in_the_end, self.memory_in_the_end = room.cpus, room.memory_bytes  #: what is taken is given back
        self.changes: list[tuple[datetime, int, float, int]] = []  #: when, how sure, CPUs and memory that come or go
        self.gpus: dict[Make, list[Free]] = {}
        for slot in room.slots:
            if slot.health is SlotHealth.OK:
                self._add(make_of(slot), self.now)
        self.loose = {make_of(slot) for slot in room.slots if slot.auto or slot.kind is SlotKind.SEAT}
        whole_again: dict[Make, dict[str, Free]] = {}
        for hold in situation.holds:
            if hold.node_id == room.node_id:
                at, sure = _ends(hold, now, lengths)
                insort(self.changes, (at, sure, hold.cpus, hold.memory_bytes))
                self.cpus_in_the_end += hold.cpus
                self.memory_in_the_end += hold.memory_bytes
                for slot in hold.slots:
                    if slot.health is SlotHealth.OK:
                        self._held(slot, (at, sure), whole_again)
        for make, ends in whole_again.items():
            for free in ends.values():
                self._add(make, free)

    def _held(self, slot: Slot, until: Free, whole_again: dict[Make, dict[str, Free]]) -> None:
        """Note when a slot that is held is free again; of an automatic GPU also what it is then as well."""
        self._add(make_of(slot), until)
        if slot.auto or slot.kind is SlotKind.SEAT:
            self.loose.add(make_of(slot))
        if not slot.auto:
            return
        other = make_of(counterpart(slot))
        self.loose.add(other)
        if slot.kind is SlotKind.GPU:
            for _ in range(slot.seats):
                self._add(other, until)
        else:
            ends = whole_again.setdefault(other, {})
            ends[slot.gpu] = max(ends.get(slot.gpu, until), until)

    def earliest(self, waiter: Waiter) -> Free | None:
        """Return when a waiter fits here, or none when it never does."""
        gpus = self._enough_gpus(waiter)
        other = self._enough_other(waiter)
        if gpus is None or other is None:
            return None
        at, sure = max(gpus, other)
        # Whether a seat has memory enough then, and whether a GPU is whole or by seats, hangs on who comes in between.
        loose = any(makes_fit(make, waiter.gpus) for make in self.loose)
        return (at, ORDER.index(Sure.GUESS)) if loose and at > self.now[0] else (at, sure)

    def take(self, waiter: Waiter, at: datetime, until: Free) -> None:
        """Let a waiter have its share for a time."""
        insort(self.changes, (at, 0, -waiter.cpus, -waiter.memory_bytes))
        insort(self.changes, (*until, waiter.cpus, waiter.memory_bytes))
        left = waiter.gpus.count
        for make in list(self.gpus):
            if left and makes_fit(make, waiter.gpus):
                ready = sum(1 for free, _ in self.gpus[make] if free <= at)
                used = min(left, ready)
                del self.gpus[make][:used]
                for _ in range(used):
                    self._add(make, until)
                left -= used

    def _add(self, make: Make, free: Free) -> None:
        insort(self.gpus.setdefault(make, []), free)

    def _enough_gpus(self, waiter: Waiter) -> Free | None:
        if waiter.gpus.count == 0:
            return self.now
        fitting: list[Iterable[Free]] = [free for make, free in self.gpus.items() if makes_fit(make, waiter.gpus)]
        return next(islice(merge(*fitting), waiter.gpus.count - 1, None), None)

    def _enough_other(self, waiter: Waiter) -> Free | None:
        """Return from when on CPUs and memory are enough for good: looked for from the end, which is nearest for a long line."""
        cpus, memory = self.cpus_in_the_end, self.memory_in_the_end
        if waiter.cpus > cpus + ROUNDING or waiter.memory_bytes > memory:
            return None
        for at, sure, more_cpus, more_memory in reversed(self.changes):
            cpus, memory = cpus - more_cpus, memory - more_memory
            if waiter.cpus > cpus + ROUNDING or waiter.memory_bytes > memory:
                return at, sure
        return self.now


def _ends(hold: Hold, now: datetime, lengths: Lengths) -> Free:
    """Return when a holder is expected to be gone."""
    elapsed = (now - hold.since).total_seconds()
    known = _known(lengths, hold.kind, hold.project_id, hold.profile)
    if known is None and hold.ends_at is not None:
        return max(hold.ends_at, now), ORDER.index(Sure.AT_LATEST)
    total = known.seconds if known else SERVER_SECONDS
    # One that ran longer than most is expected to run for as long again: nothing better is known.
    left = max(total - elapsed if elapsed < total else elapsed, SHORTEST_LEFT_SECONDS)
    at = now + timedelta(seconds=left)
    few = known is None or known.runs < FEW_RUNS or hold.ends_at is None
    sure = ORDER.index(Sure.GUESS if few else Sure.LIKELY)
    return (at, sure) if hold.ends_at is None else (min(at, max(hold.ends_at, now)), sure)


def _lasts(waiter: Waiter, lengths: Lengths) -> tuple[float, int]:
    """Return how long a waiter is expected to run, and how sure that is."""
    known = _known(lengths, waiter.kind, waiter.project_id, waiter.profile)
    limit = waiter.limit_seconds
    if known is None:
        sure = Sure.GUESS if limit is None else Sure.AT_LATEST
        return (SERVER_SECONDS if limit is None else limit), ORDER.index(sure)
    sure = Sure.GUESS if known.runs < FEW_RUNS or limit is None else Sure.LIKELY
    return (known.seconds if limit is None else min(known.seconds, limit)), ORDER.index(sure)


def _known(lengths: Lengths, kind: str, project_id: str, profile: str) -> Length | None:
    """Return how long such things ran: of the same project, else of the same profile."""
    return lengths.get((kind, project_id, profile)) or lengths.get((kind, "", profile))
