"""Roughly when those far back in line start, where playing it forward would take too long: each in its order, as room comes."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice

from himalia.gpus import Slot, SlotHealth, SlotKind

from .benches import counterpart
from .lengths import lasts, left_of
from .pool import ROUNDING, Make, make_of, makes_fit
from .words import Lengths, Room, Situation, Waiter


def in_course(situation: Situation, waiters: Sequence[Waiter], lengths: Lengths) -> dict[str, datetime]:
    """Return about when these start, who are in the order of the line."""
    courses = [Course(room, situation, lengths) for room in situation.rooms if room.open]
    found: dict[str, datetime] = {}
    for waiter in waiters:
        best = min(
            ((at, number) for number, course in enumerate(courses) if (at := course.earliest(waiter))), default=None
        )
        if best is not None:
            at, number = best
            # What is free now is kept for the first in line until that starts.
            found[waiter.id] = max(at, next(iter(found.values()), at)) if at <= situation.now else at
            until = found[waiter.id] + timedelta(seconds=lasts(waiter, lengths).seconds)
            courses[number].take(waiter, found[waiter.id], until)
    return found


class Course:
    """What becomes free on one node, and when."""

    def __init__(self, room: Room, situation: Situation, lengths: Lengths) -> None:
        now = situation.now
        self.now = now
        self.cpus_in_the_end, self.memory_in_the_end = room.cpus, room.memory_bytes  #: what is taken is given back
        self.changes: list[tuple[datetime, float, int]] = []  #: when, CPUs and memory that come or go
        self.gpus: dict[Make, list[datetime]] = {}
        for slot in room.slots:
            if slot.health is SlotHealth.OK:
                self._add(make_of(slot), self.now)
        whole_again: dict[Make, dict[str, datetime]] = {}
        for hold in situation.holds:
            if hold.node_id == room.node_id:
                at = now + timedelta(seconds=left_of(hold, now, lengths).seconds)
                insort(self.changes, (at, hold.cpus, hold.memory_bytes))
                self.cpus_in_the_end += hold.cpus
                self.memory_in_the_end += hold.memory_bytes
                for slot in hold.slots:
                    if slot.health is SlotHealth.OK:
                        self._held(slot, at, whole_again)
        for make, ends in whole_again.items():
            for free in ends.values():
                self._add(make, free)

    def _held(self, slot: Slot, until: datetime, whole_again: dict[Make, dict[str, datetime]]) -> None:
        """Note when a slot that is held is free again; of an automatic GPU also what it is then as well."""
        self._add(make_of(slot), until)
        if not slot.auto:
            return
        other = make_of(counterpart(slot))
        if slot.kind is SlotKind.GPU:
            for _ in range(slot.seats):
                self._add(other, until)
        else:
            ends = whole_again.setdefault(other, {})
            ends[slot.gpu] = max(ends.get(slot.gpu, until), until)

    def earliest(self, waiter: Waiter) -> datetime | None:
        """Return when a waiter fits here, or none when it never does."""
        gpus = self._enough_gpus(waiter)
        other = self._enough_other(waiter)
        if gpus is None or other is None:
            return None
        return max(gpus, other)

    def take(self, waiter: Waiter, at: datetime, until: datetime) -> None:
        """Let a waiter have its share for a time."""
        insort(self.changes, (at, -waiter.cpus, -waiter.memory_bytes))
        insort(self.changes, (until, waiter.cpus, waiter.memory_bytes))
        left = waiter.gpus.count
        for make in list(self.gpus):
            if left and makes_fit(make, waiter.gpus):
                ready = sum(1 for free in self.gpus[make] if free <= at)
                used = min(left, ready)
                del self.gpus[make][:used]
                for _ in range(used):
                    self._add(make, until)
                left -= used

    def _add(self, make: Make, free: datetime) -> None:
        insort(self.gpus.setdefault(make, []), free)

    def _enough_gpus(self, waiter: Waiter) -> datetime | None:
        if waiter.gpus.count == 0:
            return self.now
        fitting: list[Iterable[datetime]] = [free for make, free in self.gpus.items() if makes_fit(make, waiter.gpus)]
        return next(islice(merge(*fitting), waiter.gpus.count - 1, None), None)

    def _enough_other(self, waiter: Waiter) -> datetime | None:
        """Return from when on CPUs and memory are enough for good: looked for from the end, which is nearest for a long line."""
        cpus, memory = self.cpus_in_the_end, self.memory_in_the_end
        if waiter.cpus > cpus + ROUNDING or waiter.memory_bytes > memory:
            return None
        for at, more_cpus, more_memory in reversed(self.changes):
            cpus, memory = cpus - more_cpus, memory - more_memory
            if waiter.cpus > cpus + ROUNDING or waiter.memory_bytes > memory:
                return at
        return self.now
