"""Dated reservations and maintenance: what may not start now because it would run into them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from himalia.gpus import Slot, SlotHealth, SlotKind
from himalia.moments import stamp
from himalia.queueing import Maintenance, Reservation
from himalia.reasons import Reason
from himalia.units import format_duration
from himalia_gpus.allocation import fits
from himalia_gpus.request import parse_request

from .benches import counterpart
from .pool import NOTHING
from .rules import Rules
from .words import Hold, Lack, Situation, Waiter

FAR = datetime.max.replace(tzinfo=UTC)
Seat = tuple[Slot, Hold | None]


class Calendar:
    """Which GPUs are kept for whom, and who would run into what, in the course of a round."""

    def __init__(self, situation: Situation, rules: Rules) -> None:
        self.now = situation.now
        self.rules = rules
        self.reservations = [one for one in rules.reservations if one.end > self.now]
        self.maintenance = sorted((one for one in rules.maintenance if one.end > self.now), key=lambda one: one.start)
        self._kept: list[frozenset[str]] = []
        self._barred: dict[tuple[int, ...], frozenset[str]] = {}
        self._all = NOTHING
        if self.reservations:
            self._keep(situation)

    def ends(self, waiter: Waiter) -> datetime:
        """Return when a waiter that starts now has given everything back."""
        lasts = self.rules.queue.server_length if waiter.limit_seconds is None else waiter.limit_seconds
        return self.now + timedelta(seconds=lasts + self.rules.ending_seconds)

    def in_the_way(self, waiter: Waiter) -> Lack | None:
        """Return which maintenance a waiter would run into; none where there is none."""
        window = next((one for one in self.maintenance if one.start < self.ends(waiter)), None)
        return (
            None
            if window is None
            else Lack(reason=Reason.WAITS_FOR_MAINTENANCE, text=self._maintenance(window, waiter))
        )

    def barred(self, waiter: Waiter) -> frozenset[str]:
        """Return the GPUs that are kept for others while a waiter would have them."""
        if not self.reservations or not waiter.gpus.count:
            return NOTHING
        ends = self.ends(waiter)
        against = tuple(
            number
            for number, one in enumerate(self.reservations)
            if one.start < ends and not one.allows(waiter.user, waiter.teams)
        )
        if against not in self._barred:
            self._barred[against] = NOTHING.union(*(self._kept[number] for number in against))
        return self._barred[against]

    def others(self, waiter: Waiter) -> frozenset[str]:
        """Return all GPUs but those that are kept for a waiter now: it takes its own first; empty where it has none."""
        own = NOTHING
        for reservation, kept in zip(self.reservations, self._kept, strict=True):
            if reservation.start <= self.now and reservation.allows(waiter.user, waiter.teams):
                own |= kept
        return self._all - own if own else own

    def reserved(self, waiter: Waiter) -> Lack:
        """Return in words which reservations keep a waiter from starting."""
        ends = self.ends(waiter)
        found = [one for one in self.reservations if not one.allows(waiter.user, waiter.teams) and one.start < ends]
        lasts = f"With {_length(waiter, self.rules)} it would run into that."
        named = [f"{one.gpus} reserved{_title(one)} {_times(one, self.now)} for {_whose(one)}" for one in found]
        plain = [f"{one.gpus} reserved {_times(one, self.now)}" for one in found]
        texts = [f"GPUs that it could use are kept: {'; '.join(each)}. {lasts}" for each in (named, plain)]
        return Lack(reason=Reason.WAITS_FOR_RESERVATION, text=texts[0], nameless=texts[1])

    def _keep(self, situation: Situation) -> None:
        """Choose the GPUs of each reservation: those of its own people, then those that are free first."""
        seats: list[Seat] = [(slot, None) for room in situation.rooms for slot in room.slots]
        seats += [(slot, hold) for hold in situation.holds for slot in hold.slots]
        seats += _whole_again(situation.holds, {slot.uuid for slot, _ in seats})
        self._all = frozenset(slot.uuid for slot, _ in seats)
        gone: set[str] = set()
        for reservation in self.reservations:
            chosen = _chosen(reservation, seats, gone, self.now)
            gone |= chosen
            self._kept.append(frozenset(chosen))

    def _maintenance(self, window: Maintenance, waiter: Waiter) -> str:
        if window.start <= self.now:
            return f"{window.text} until {stamp(window.end)}: nothing starts meanwhile."
        left = (window.start - self.now).total_seconds() - self.rules.ending_seconds
        shorter = f", or now with a time limit of {format_duration(left)} at most" if left >= 60 else ""
        return (
            f"{window.text} from {stamp(window.start)} to {stamp(window.end)}: with {_length(waiter, self.rules)} it "
            f"would run into it. It starts afterwards{shorter if waiter.limit_seconds is not None else ''}."
        )


def _chosen(reservation: Reservation, seats: Sequence[Seat], gone: set[str], now: datetime) -> set[str]:
    request = parse_request(reservation.gpus)

    def order(seat: Seat) -> tuple[datetime, str, int, str]:
        slot, hold = seat
        own = hold is None or reservation.allows(hold.user, hold.teams)
        return now if own or hold is None else hold.ends_at or FAR, slot.node_id, slot.index, slot.uuid

    usable = [
        seat
        for seat in seats
        if seat[0].health is SlotHealth.OK and seat[0].uuid not in gone and fits(seat[0], request)
    ]
    held_by_own = [seat for seat in usable if seat[1] and reservation.allows(seat[1].user, seat[1].teams)]
    rest = sorted((seat for seat in usable if seat not in held_by_own), key=order)
    chosen = [slot for slot, _ in [*sorted(held_by_own, key=order), *rest][: request.count]]
    whole_or_not = {
        slot.gpu for slot in chosen if slot.auto
    }  # kept whole it has no seats to give, and the other way round
    other = {slot.uuid for slot, _ in seats if slot.gpu in whole_or_not and slot.kind is not request.kind}
    return {slot.uuid for slot in chosen} | other


def _whole_again(holds: Iterable[Hold], known: Collection[str]) -> list[Seat]:
    """Return the automatic GPUs that are given out by seats now, each with the holder that ends last."""
    last: dict[str, Seat] = {}
    for hold in holds:
        for slot in hold.slots:
            if not slot.auto or slot.kind is not SlotKind.SEAT or slot.gpu in known:
                continue
            before = last.get(slot.gpu)
            if before is None or (hold.ends_at or FAR) > ((before[1] and before[1].ends_at) or FAR):
                last[slot.gpu] = (counterpart(slot), hold)
    return list(last.values())


def _length(waiter: Waiter, rules: Rules) -> str:
    if waiter.limit_seconds is None:
        return f"the {format_duration(rules.queue.server_length)} that a notebook is taken to stay"
    return f"its time limit of {format_duration(waiter.limit_seconds)}"


def _times(one: Reservation, now: datetime) -> str:
    return f"until {stamp(one.end)}" if one.start <= now else f"from {stamp(one.start)} to {stamp(one.end)}"


def _title(one: Reservation) -> str:
    return f" ({one.name})" if one.name else ""


def _whose(one: Reservation) -> str:
    return ", ".join([*(f"the team {team}" for team in one.teams), *one.users])
