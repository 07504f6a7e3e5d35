"""One round: who starts where now, and what the others wait for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from himalia.gpus import Slot
from himalia.reasons import Reason

from .benches import weights
from .calendar import Calendar
from .giving_way import Giving, give_way
from .horizon import Promise, Release, promise, releases_of
from .lacking import Lacks
from .line import in_line
from .pool import Floor, Pool
from .quotas import Quotas
from .rules import Rules
from .words import Decision, Lack, Situation, Start, Wait, Waiter

NONE = Rules()
NO_ROOM = "The storage of who submitted it, or of its team, is full."
JUST_WAITS = Lack(reason=Reason.IN_LINE)


def decide(situation: Situation, rules: Rules = NONE, *, told_why: bool = True) -> Decision:
    """Decide one round.

    What the first in line lacks is set aside for it, so that those behind take only what it cannot use: nobody starves.
    The others who lack GPUs keep those that are free for them and no more, so that a long line for GPUs does not hold up
    those who need none. Who is at a limit holds up nobody. Not `told_why`, those who wait for room just wait in line: that
    is quicker, and the same starts.
    """
    return _Round(situation, rules).decided(told_why=told_why)


class _Round:
    def __init__(self, situation: Situation, rules: Rules) -> None:
        self.situation = situation
        self.rules = rules
        self.quotas = Quotas(rules.quotas, situation.holds, weights(situation))
        self.calendar = Calendar(situation, rules)
        self.floor = Floor(situation.rooms)  #: free, less what is set aside
        self.really = Floor(situation.rooms)  #: free
        self.starts: list[Start] = []
        self.waiting: list[tuple[Waiter, Lack | None]] = []  #: none: what it lacks is found out in the end
        self.first: Waiter | None = None  #: the first in line that waits for room
        self.promise: Promise | None = None  #: when that starts at the latest
        self.giving: Giving | None = None

    def decided(self, *, told_why: bool) -> Decision:
        closed = self.situation.closed
        common = Lack(reason=closed[0], text=closed[1]) if closed else None
        for waiter in in_line(self.situation, self.rules):
            lack = common or self._full(waiter) or self.quotas.lack(waiter) or self.calendar.in_the_way(waiter)
            if lack is None:
                lack, started = self._spare(waiter) if waiter.preemptible else self._room(waiter)
                if started:
                    continue
            self.waiting.append((waiter, lack))
        gives_way = () if closed else tuple(self._give_way().gives_way)
        lacks = Lacks(self.really.pools, self.situation)
        waits = (
            Wait(waiter=waiter, position=position, lack=lack or (lacks.of(waiter) if told_why else JUST_WAITS))
            for position, (waiter, lack) in enumerate(self.waiting, start=1)
        )
        return Decision(starts=tuple(self.starts), waits=tuple(waits), gives_way=gives_way)

    def _full(self, waiter: Waiter) -> Lack | None:
        """Return why a job has no room to write; servers start, for that is where people delete."""
        if waiter.kind != "job":
            return None
        said = self.situation.full.get(waiter.user_id) or self.situation.full.get(waiter.owner_id)
        return Lack(reason=Reason.WAITS_FOR_DISK, text=said, nameless=NO_ROOM) if said else None

    def _room(self, waiter: Waiter) -> tuple[Lack | None, bool]:
        """Start a waiter where there is room for it; else return why not, where that is known, and set aside what it needs."""
        barred, others = self.calendar.barred(waiter), self.calendar.others(waiter)
        place = (self.floor.place(waiter, others) if others else None) or self.floor.place(waiter, barred)
        if place is not None:
            self._start(waiter, *place)
            return None, True
        if barred and self.floor.place(waiter) is not None:
            return self.calendar.reserved(waiter), False
        if self.promise and waiter.limit_seconds is not None and self.calendar.ends(waiter) <= self.promise.at:
            before = self.really.place(waiter, barred)
            if before is not None:
                self._backfill(waiter, *before)
                return None, True
        self._set_aside(waiter)
        return None, False

    def _spare(self, waiter: Waiter) -> tuple[Lack | None, bool]:
        """Start a preemptible waiter on anything that is free, set aside or not: it gives way when that is needed."""
        spare = self._give_way().spare
        barred = self.calendar.barred(waiter)
        place = spare.place(waiter, barred)
        if place is None:
            if barred and spare.place(waiter) is not None:
                return self.calendar.reserved(waiter), False
            spare.set_aside(waiter)
            return None, False
        self._start(waiter, *place)
        return None, True

    def _give_way(self) -> Giving:
        """Let preemptible jobs give way to those who wait; found out once all of these are known."""
        if self.giving is None:
            lacking = [
                waiter
                for waiter, lack in self.waiting
                if lack is None and not waiter.preemptible and not self.calendar.barred(waiter)
            ]
            self.giving = give_way(lacking, [pool.room() for pool in self.really.pools], self.situation.holds)
        return self.giving

    def _start(self, waiter: Waiter, pool: Pool, slots: tuple[Slot, ...]) -> None:
        self.starts.append(Start(waiter=waiter, node_id=pool.node_id, slots=slots))
        self.quotas.count(waiter)
        pool.take(waiter, slots)
        self.really.pool(pool.node_id).take(waiter, slots)

    def _backfill(self, waiter: Waiter, pool: Pool, slots: tuple[Slot, ...]) -> None:
        """Start one that is gone before the first in line can start: it takes what is free, set aside or not."""
        self.starts.append(Start(waiter=waiter, node_id=pool.node_id, slots=slots, backfilled=True))
        self.quotas.count(waiter)
        pool.take(waiter, slots)
        others = self.floor.pool(pool.node_id)
        others.take_slots(slots, waiter.user_id)
        others.leave(pool.cpus, pool.memory_bytes)

    def _releases(self) -> Iterator[Release]:
        """Yield what is given back, and when at the latest: of those who hold something, and of those who start now."""
        yield from releases_of(self.situation.holds)
        for start in self.starts:
            if start.waiter.limit_seconds is not None:
                yield Release(
                    at=self.situation.now + timedelta(seconds=start.waiter.limit_seconds + self.rules.ending_seconds),
                    node_id=start.node_id,
                    cpus=start.waiter.cpus,
                    memory_bytes=start.waiter.memory_bytes,
                    slots=start.slots,
                    user_id=start.waiter.user_id,
                )

    def _set_aside(self, waiter: Waiter) -> None:
        """Set aside what a waiter needs: for the first what it is promised, or all that it could use."""
        first, self.first = self.first is None, self.first or waiter
        if first and self.rules.queue.backfill:
            self.promise = promise(waiter, self.really.pools, self._releases())
        if first and self.promise:
            pool = self.floor.pool(self.promise.node_id)
            pool.take_slots(self.promise.slots, waiter.user_id)
            pool.leave(self.promise.cpus_over, self.promise.memory_over)
            return
        self.floor.set_aside(waiter, whole=first)
