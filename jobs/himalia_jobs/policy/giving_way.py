"""Which preemptible jobs give way, and to whom: as few as possible, those that lose least."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from himalia.gpus import Slot

from .benches import Sitting, excluded, returned, sitting_of
from .pool import Floor, Pool
from .words import GiveWay, Hold, Room, Waiter


@dataclass(kw_only=True)
class Giving:
    """Who gives way, and what is left for other preemptible jobs."""

    gives_way: list[GiveWay] = field(default_factory=list)
    spare: Floor  #: free now, and not waited for by those to whom others give way


def give_way(waiting: Iterable[Waiter], rooms: Sequence[Room], holds: Sequence[Hold]) -> Giving:
    """Let preemptible jobs give way to those who wait in line, one after the other, until one cannot be helped.

    Those behind one that cannot be helped would get nothing: what becomes free is set aside for it.
    """
    free = {slot.uuid for room in rooms for slot in room.slots}
    later = [room if not leaving else _with(room, leaving) for room, leaving in _leaving(rooms, holds)]
    candidates = sorted((one for one in holds if one.preemptible and not one.stopping), key=_loss)
    giving: list[GiveWay] = []
    if any(one.preemptible for one in holds):
        for waiter in waiting:
            helped = _help(waiter, later, candidates)
            if helped is None:
                break
            number, slots, stopped = helped
            giving += [GiveWay(hold=hold, to=waiter) for hold in stopped]
            candidates = [one for one in candidates if one not in stopped]
            later[number] = without(_with(later[number], stopped), waiter, slots)
    spare = [_spare(now, then, free) for now, then in zip(rooms, later, strict=True)]
    return Giving(gives_way=giving, spare=Floor(spare))


def _help(
    waiter: Waiter, rooms: Sequence[Room], candidates: Sequence[Hold]
) -> tuple[int, tuple[Slot, ...], list[Hold]] | None:
    """Return where a waiter would fit, with which GPUs, and who must give way for it."""
    best: tuple[int, tuple[Slot, ...], list[Hold]] | None = None
    for number, room in enumerate(rooms):
        here = [one for one in candidates if one.node_id == room.node_id]
        stopped = _fewest(waiter, room, here)
        if stopped is None:
            continue
        slots = Pool(_with(room, stopped)).place(waiter) or ()
        if best is None or len(stopped) < len(best[2]):
            best = (number, slots, stopped)
        if not stopped:
            break
    return best


def _fewest(waiter: Waiter, room: Room, candidates: Sequence[Hold]) -> list[Hold] | None:
    stopped: list[Hold] = []
    for one in [None, *candidates]:
        stopped += [] if one is None else [one]
        if Pool(_with(room, stopped)).place(waiter) is not None:
            break
    else:
        return None
    for one in list(stopped):  # those taken first may not be needed beside the later ones
        others = [other for other in stopped if other is not one]
        if Pool(_with(room, others)).place(waiter) is not None:
            stopped = others
    return stopped


def _leaving(rooms: Sequence[Room], holds: Sequence[Hold]) -> Iterable[tuple[Room, list[Hold]]]:
    for room in rooms:
        yield room, [one for one in holds if one.stopping and one.preemptible and one.node_id == room.node_id]


def _loss(hold: Hold) -> tuple[bool, float, str]:
    """Return what a job that gives way loses: those that were told before go first, then those that ran least."""
    return not hold.warned, -hold.since.timestamp(), hold.lease_id


def _with(room: Room, leaving: Sequence[Hold]) -> Room:
    return returned(room, leaving) if leaving else room


def without(room: Room, waiter: Waiter, slots: Sequence[Slot]) -> Room:
    """Return what is free once somebody has got their share."""
    sitting = dict(room.sitting)
    for gpu, sitters in sitting_of((waiter.user_id, slot) for slot in slots).items():
        sitting[gpu] = (*sitting.get(gpu, ()), *sitters)
    return replace(
        room,
        cpus=room.cpus - waiter.cpus,
        memory_bytes=room.memory_bytes - waiter.memory_bytes,
        slots=tuple(excluded(room.slots, slots)),
        sitting=sitting,
    )


def _spare(now: Room, then: Room, free: set[str]) -> Room:
    return replace(
        now,
        cpus=min(now.cpus, then.cpus),
        memory_bytes=min(now.memory_bytes, then.memory_bytes),
        slots=tuple(slot for slot in then.slots if slot.uuid in free),
        sitting=_either(now.sitting, then.sitting),
    )


def _either(now: Sitting, then: Sitting) -> Sitting:
    """Return who sits where now or then, each once."""
    return {gpu: tuple((Counter(now.get(gpu, ())) | Counter(then.get(gpu, ()))).elements()) for gpu in {**now, **then}}
