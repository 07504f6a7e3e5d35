"""Shared GPUs in the course of a round: who sits where, and how much memory is left for others.

A *bench* is a GPU that is given out by seats. An *automatic* one is given out whole or by seats, as its first lease has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from himalia.gpus import SEAT_MARK, Slot, SlotKind
from himalia_gpus.allocation import budget_of, fits, part_of
from himalia_gpus.request import GPURequest

from .words import Hold, Room, Situation

Sitter = tuple[str, int]  #: whose seat, and the memory that is theirs
Sitting = Mapping[str, tuple[Sitter, ...]]  #: by the GPU


class Bench:
    """One shared GPU: its free seats, and who sits there."""

    def __init__(self, seats: Sequence[Slot], sitting: Iterable[Sitter] = ()) -> None:
        first = seats[0]
        self.gpu, self.index, self.auto, self.memory_bytes = first.gpu, first.index, first.auto, first.memory_bytes
        self.seats = list(seats)
        self.sitting = list(sitting)
        self._left_bytes = first.memory_bytes - sum(memory for _, memory in self.sitting)

    def seat(self, request: GPURequest, barred: frozenset[str] = frozenset()) -> Slot | None:
        """Return the seat that a request would get, with its memory; none where there is no room for it."""
        free = next((slot for slot in self.seats if slot.uuid not in barred), None)
        if free is None or not fits(free, request):
            return None
        budget = budget_of(free, request)
        return free.model_copy(update={"budget_bytes": budget}) if budget <= self._left_bytes else None

    def count(self, request: GPURequest) -> int:
        """Return how many seats of this request's size there is room for."""
        if not self.seats or not fits(self.seats[0], request):
            return 0
        budget = budget_of(self.seats[0], request)
        return min(len(self.seats), self._left_bytes // budget if budget else len(self.seats))

    def rank(self, user_id: str) -> tuple[bool, bool, bool, int, int, str]:
        """Return the order in which GPUs are filled: none where the same person sits, then those in use, the fullest first."""
        own = any(user == user_id for user, _ in self.sitting)
        return own, not self.sitting, self.auto and not self.sitting, self._left_bytes, self.index, self.gpu

    def sit(self, slot: Slot, user_id: str) -> None:
        """Take a seat; one that is not free stays as it is."""
        left = [seat for seat in self.seats if seat.uuid != slot.uuid]
        if len(left) < len(self.seats):
            self.seats = left
            self.sitting.append((user_id, slot.share_bytes))
            self._left_bytes -= slot.share_bytes


def sitting_of(held: Iterable[tuple[str, Slot]]) -> Sitting:
    """Return who sits where, of (user, slot) that are held."""
    found: dict[str, tuple[Sitter, ...]] = {}
    for user_id, slot in held:
        if slot.kind is SlotKind.SEAT:
            found[slot.gpu] = (*found.get(slot.gpu, ()), (user_id, slot.share_bytes))
    return found


def returned(room: Room, holds: Sequence[Hold]) -> Room:
    """Return what is free once these holders have given everything back."""
    back = [(hold.user_id, slot) for hold in holds for slot in hold.slots]
    return given_back(room, sum(one.cpus for one in holds), sum(one.memory_bytes for one in holds), back)


def given_back(room: Room, cpus: float, memory_bytes: int, back: Sequence[tuple[str, Slot]]) -> Room:
    """Return what is free once so much, and these slots of (user, slot), are given back."""
    sitting = {gpu: list(sitters) for gpu, sitters in room.sitting.items()}
    for user_id, slot in back:
        if slot.kind is SlotKind.SEAT and (user_id, slot.share_bytes) in sitting.get(slot.gpu, ()):
            sitting[slot.gpu].remove((user_id, slot.share_bytes))
    slots = [*room.slots, *(slot.model_copy(update={"budget_bytes": 0}) for _, slot in back)]
    return replace(
        room,
        cpus=room.cpus + cpus,
        memory_bytes=room.memory_bytes + memory_bytes,
        slots=tuple(_completed(slots) if any(slot.auto for _, slot in back) else slots),
        sitting={gpu: tuple(sitters) for gpu, sitters in sitting.items() if sitters},
    )


def excluded(slots: Iterable[Slot], taken: Iterable[Slot]) -> list[Slot]:
    """Return the slots that are left when some are taken: of an automatic GPU the whole, or its seats, are gone as well."""
    all_taken = list(taken)
    gone = {slot.uuid for slot in all_taken}
    whole = {slot.gpu for slot in all_taken if slot.kind is SlotKind.GPU}
    seated = {slot.gpu for slot in all_taken if slot.kind is SlotKind.SEAT}
    return [
        slot
        for slot in slots
        if slot.uuid not in gone and slot.gpu not in whole and not (slot.kind is SlotKind.GPU and slot.gpu in seated)
    ]


def counterpart(slot: Slot) -> Slot:
    """Return what an automatic GPU is as well: its seats where it is whole, and the whole where it is a seat."""
    if slot.kind is SlotKind.GPU:
        return slot.model_copy(update={"kind": SlotKind.SEAT, "uuid": f"{slot.gpu}{SEAT_MARK}1"})
    return slot.model_copy(update={"kind": SlotKind.GPU, "uuid": slot.gpu, "budget_bytes": 0})


def frees(slot: Slot, request: GPURequest) -> bool:
    """Tell whether the end of its holder could give a request what it asks for."""
    return fits(slot, request) or (slot.auto and fits(counterpart(slot), request))


def weights(situation: Situation) -> Callable[[GPURequest], float]:
    """Return what says how much of GPUs a request takes, for limits and turns: a seat counts as the part that it is."""
    parts = (SlotKind.SEAT, SlotKind.MIG)
    known: dict[tuple[SlotKind, str, int, int, str], Slot] = {}
    for slots in (*(room.slots for room in situation.rooms), *(hold.slots for hold in situation.holds)):
        for slot in slots:
            each = [slot, counterpart(slot)] if slot.auto else [slot]
            for one in each:
                if one.kind in parts:
                    known[one.kind, one.model, one.memory_bytes, one.seats, one.mig_profile] = one
    kinds = tuple(known.values())

    @cache
    def weight(request: GPURequest) -> float:
        return part_of(kinds, request)

    return weight


def _completed(slots: Iterable[Slot]) -> list[Slot]:
    """Return slots with what automatic GPUs among them are as well, once nobody has anything of these."""
    there = {slot.uuid: slot for slot in slots}
    free_seats = Counter(slot.gpu for slot in there.values() if slot.auto and slot.kind is SlotKind.SEAT)
    for slot in list(there.values()):
        if not slot.auto:
            continue
        if slot.kind is SlotKind.GPU:
            for number in range(1, slot.seats + 1):
                seat = counterpart(slot).model_copy(update={"uuid": f"{slot.gpu}{SEAT_MARK}{number}"})
                there.setdefault(seat.uuid, seat)
        elif free_seats[slot.gpu] == slot.seats:
            there.setdefault(slot.gpu, counterpart(slot))
    return list(there.values())
