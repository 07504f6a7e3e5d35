"""What is free in the course of a round: nodes as pools that only shrink, with their GPUs sorted by kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import itemgetter

from himalia.gpus import Slot, SlotHealth, SlotKind
from himalia_gpus.allocation import fits, nearest
from himalia_gpus.request import GPURequest

from .benches import Bench, counterpart
from .words import Room, Waiter

NOTHING: frozenset[str] = frozenset()
ROUNDING = 1e-9  #: of CPUs, which are parts
Make = tuple[int, str, SlotKind, str]  #: memory, model, kind, MIG profile: slots alike, the smallest memory first


class Pool:
    """What one node has free."""

    def __init__(self, room: Room) -> None:
        self.node_id = room.node_id
        self.open = room.open
        self.cpus = room.cpus
        self.memory_bytes = room.memory_bytes
        self.shelves: dict[Make, list[Slot]] = {}
        seats: dict[str, list[Slot]] = {}
        for slot in sorted(room.slots, key=lambda slot: (slot.memory_bytes, slot.auto, slot.index, slot.uuid)):
            if slot.health is SlotHealth.OK and slot.kind is SlotKind.SEAT:
                seats.setdefault(slot.gpu, []).append(slot)
            elif slot.health is SlotHealth.OK:
                self.shelves.setdefault(make_of(slot), []).append(slot)
        self.benches = {gpu: Bench(free, room.sitting.get(gpu, ())) for gpu, free in seats.items()}

    def room(self) -> Room:
        """Return what is free now."""
        slots = [slot for shelf in self.shelves.values() for slot in shelf]
        slots += [seat for bench in self.benches.values() for seat in bench.seats]
        return Room(
            node_id=self.node_id,
            cpus=self.cpus,
            memory_bytes=self.memory_bytes,
            slots=tuple(slots),
            open=self.open,
            sitting={gpu: tuple(bench.sitting) for gpu, bench in self.benches.items() if bench.sitting},
        )

    def matching(self, request: GPURequest) -> list[Slot]:
        """Return the free GPUs that the request could use, those to be given first first; of shared ones a seat each."""
        if request.kind is SlotKind.SEAT:
            ranked = sorted(self.benches.values(), key=lambda bench: bench.rank(""))
            return [seat for bench in ranked if (seat := bench.seat(request)) is not None]
        return [slot for make, shelf in self.shelves.items() if shelf and makes_fit(make, request) for slot in shelf]

    def count(self, request: GPURequest) -> int:
        """Return how many free GPUs, or seats of shared ones, the request could use."""
        if request.kind is SlotKind.SEAT:
            return sum(bench.count(request) for bench in self.benches.values())
        return sum(len(shelf) for make, shelf in self.shelves.items() if shelf and makes_fit(make, request))

    def lacks_other(self, waiter: Waiter) -> bool:
        """Tell whether there are too few CPUs or too little memory."""
        return waiter.cpus > self.cpus + ROUNDING or waiter.memory_bytes > self.memory_bytes

    def place(self, waiter: Waiter, barred: frozenset[str] = NOTHING) -> tuple[Slot, ...] | None:
        """Return the slots that the waiter would get here (none of those barred), or none when it does not fit."""
        if not self.open or self.lacks_other(waiter):
            return None
        return self.pick(waiter.gpus, barred, waiter.user_id)

    def pick(self, request: GPURequest, barred: frozenset[str] = NOTHING, user_id: str = "") -> tuple[Slot, ...] | None:
        """Return the slots that a request would get here, or none when there are too few.

        The smallest memory that fits goes first, so that large GPUs stay for those who need them; several are alike
        where that is possible, because the slowest sets the pace of all, and near to each other. Of shared GPUs the
        fullest is filled first, and a person's second seat is on another GPU where there is one.
        """
        count = request.count
        if count == 0:
            return ()
        if request.kind is SlotKind.SEAT:
            return self._seat(request, barred, user_id)
        for make, shelf in self.shelves.items():
            if len(shelf) >= count and makes_fit(make, request):
                usable = [slot for slot in shelf if slot.uuid not in barred] if barred else shelf
                if len(usable) >= count:
                    return tuple(nearest(usable, count))
        mixed = [slot for slot in self.matching(request) if slot.uuid not in barred]
        return tuple(nearest(mixed, count)) if len(mixed) >= count else None

    def _seat(self, request: GPURequest, barred: frozenset[str], user_id: str) -> tuple[Slot, ...] | None:
        for bench in sorted(self.benches.values(), key=lambda bench: bench.rank(user_id)):
            seat = bench.seat(request, barred)
            if seat is not None:
                return (seat,)
        return None

    def take(self, waiter: Waiter, slots: Iterable[Slot]) -> None:
        """Take a waiter's share out of what is free."""
        self.cpus -= waiter.cpus
        self.memory_bytes -= waiter.memory_bytes
        self.take_slots(slots, waiter.user_id)

    def leave(self, cpus: float, memory_bytes: int) -> None:
        """Let no more than this be given out."""
        self.cpus, self.memory_bytes = min(self.cpus, cpus), min(self.memory_bytes, memory_bytes)

    def take_slots(self, slots: Iterable[Slot], user_id: str = "") -> None:
        """Take slots out of what is free; of an automatic GPU the whole is gone with a seat, and all seats with the whole."""
        taken = list(slots)
        gone = {slot.uuid for slot in taken} | {slot.gpu for slot in taken if slot.auto}
        for slot in taken:
            bench = self.benches.get(slot.gpu)
            if bench is not None and slot.kind is SlotKind.SEAT:
                bench.sit(slot, user_id)
            elif bench is not None and slot.auto:
                del self.benches[slot.gpu]
        makes = {make_of(counterpart(slot) if _is_auto_seat(slot) else slot) for slot in taken}
        for make in makes & self.shelves.keys():
            self.shelves[make] = [slot for slot in self.shelves[make] if slot.uuid not in gone]

    def close_benches(self, request: GPURequest, most: int) -> None:
        """Give no more seats of automatic GPUs whose whole a request could use, as soon as those who sit there have gone."""
        waiting = [
            bench
            for bench in self.benches.values()
            if bench.auto and bench.sitting and bench.seats and fits(counterpart(bench.seats[0]), request)
        ]
        for bench in sorted(waiting, key=lambda bench: len(bench.sitting))[: max(0, most)]:
            bench.seats = []


class Floor:
    """All nodes: finds the first with room, and remembers for whom there is none any more."""

    def __init__(self, rooms: Sequence[Room]) -> None:
        self.pools = [Pool(room) for room in rooms]
        self._by_node = {pool.node_id: pool for pool in self.pools}
        self._tried: dict[
            tuple[float, int, GPURequest, frozenset[str]], int
        ] = {}  #: share -> how many pools have no room for it
        self._dry: set[GPURequest] = set()  #: requests that no free GPU fits any more

    def place(self, waiter: Waiter, barred: frozenset[str] = NOTHING) -> tuple[Pool, tuple[Slot, ...]] | None:
        """Return where a waiter fits, and the GPUs it would get. Pools only shrink, so a refusal holds for the round."""
        share = (waiter.cpus, waiter.memory_bytes, waiter.gpus, barred)
        for number in range(self._tried.get(share, 0), len(self.pools)):
            slots = self.pools[number].place(waiter, barred)
            if slots is not None:
                self._tried[share] = number
                return self.pools[number], slots
        self._tried[share] = len(self.pools)
        return None

    def pool(self, node_id: str) -> Pool:
        """Return the pool of a node."""
        return self._by_node[node_id]

    def best(self, request: GPURequest) -> Pool | None:
        """Return the node with most free GPUs that fit; none where there is none."""
        if request in self._dry:
            return None
        most, best = max(((pool.count(request), pool) for pool in self.pools), key=itemgetter(0), default=(0, None))
        if most == 0:
            self._dry.add(request)
        return best

    def set_aside(self, waiter: Waiter, *, whole: bool = False) -> None:
        """Take what a waiter could use from the node that suits it best; CPUs and memory where it has all GPUs, or `whole`."""
        best = self.best(waiter.gpus) if waiter.gpus.count else self.widest()
        if best is None:
            return
        usable = best.matching(waiter.gpus)[: waiter.gpus.count]
        if whole or len(usable) == waiter.gpus.count:
            best.take(waiter, usable)
        else:
            best.take_slots(usable, waiter.user_id)
        if whole and waiter.gpus.kind is SlotKind.GPU:
            best.close_benches(waiter.gpus, waiter.gpus.count - len(usable))

    def widest(self) -> Pool | None:
        """Return the open node with most free CPUs; none where all are given out or set aside."""
        candidates = (pool for pool in self.pools if pool.open and pool.cpus > ROUNDING)
        return max(candidates, key=lambda pool: pool.cpus, default=None)


def make_of(slot: Slot) -> Make:
    """Return what a GPU is alike with."""
    return slot.memory_bytes, slot.model, slot.kind, slot.mig_profile


@lru_cache(maxsize=4096)
def makes_fit(make: Make, request: GPURequest) -> bool:
    """Tell whether GPUs of a kind are what a request asks for."""
    memory_bytes, model, kind, profile = make
    alike = Slot(uuid="", index=0, kind=kind, model=model, memory_bytes=memory_bytes, mig_profile=profile)
    return fits(alike, request)


def _is_auto_seat(slot: Slot) -> bool:
    return slot.auto and slot.kind is SlotKind.SEAT
