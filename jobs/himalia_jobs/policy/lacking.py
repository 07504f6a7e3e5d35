"""What a waiter lacks, told from what is free after the round; who asks for the same lacks the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from himalia.gpus import Slot, SlotHealth, SlotKind
from himalia.reasons import SENTENCES, Reason
from himalia.units import format_size
from himalia_gpus.allocation import fits
from himalia_gpus.request import GPURequest

from .benches import frees
from .pool import ROUNDING, Pool
from .words import Hold, Lack, Situation, Waiter

THINGS = {SlotKind.GPU: "GPU", SlotKind.SEAT: "seat of a shared GPU", SlotKind.MIG: "slice"}
FAR = datetime.max.replace(tzinfo=UTC)


class Lacks:
    """Finds out what waiters lack, each share once."""

    def __init__(self, pools: Sequence[Pool], situation: Situation) -> None:
        self.pools = [pool for pool in pools if pool.open]
        self.situation = situation
        self._known: dict[tuple[float, int, GPURequest], Lack] = {}
        self._by_request: dict[GPURequest, Lack | None] = {}

    def of(self, waiter: Waiter) -> Lack:
        """Return what a waiter lacks."""
        share = (waiter.cpus, waiter.memory_bytes, waiter.gpus)
        if share not in self._known:
            self._known[share] = self._found(waiter)
        return self._known[share]

    def _found(self, waiter: Waiter) -> Lack:
        if not self.pools:
            return Lack(reason=Reason.WAITS_FOR_NODE, text=SENTENCES[Reason.WAITS_FOR_NODE])
        if waiter.gpus not in self._by_request:
            self._by_request[waiter.gpus] = self._gpus(waiter.gpus)
        lack = self._by_request[waiter.gpus]
        return lack or self._other(waiter)

    def _gpus(self, request: GPURequest) -> Lack | None:
        """Return that GPUs are lacking, and who has them; none where some node has enough."""
        free = max(pool.count(request) for pool in self.pools)
        if free >= request.count:
            return None
        held = [
            (slot, hold)
            for hold in self.situation.holds
            for slot in hold.slots
            if slot.health is SlotHealth.OK and frees(slot, request)
        ]
        ill = [
            slot
            for room in self.situation.rooms
            for slot in room.slots
            if slot.health is not SlotHealth.OK and fits(slot, request)
        ]
        return Lack(
            reason=Reason.WAITS_FOR_GPUS,
            need=request.count,
            thing=THINGS[request.kind],
            special=request.special,
            free=free,
            ill=len(ill),
            holds=tuple(sorted(held, key=_first_to_end)),
        )

    def _other(self, waiter: Waiter) -> Lack:
        """Return that CPUs or memory are lacking where the GPUs are, or that others are first."""
        beside = " beside its GPUs" if waiter.gpus.count else ""
        here = [pool for pool in self.pools if pool.count(waiter.gpus) >= waiter.gpus.count]
        cpus = max(pool.cpus for pool in here)
        if waiter.cpus > cpus + ROUNDING:
            text = f"Waiting for {waiter.cpus:g} CPUs{beside}: {max(cpus, 0):g} free now."
            return Lack(reason=Reason.WAITS_FOR_CPUS, text=text)
        memory = max(pool.memory_bytes for pool in here if waiter.cpus <= pool.cpus + ROUNDING)
        if waiter.memory_bytes > memory:
            size, left = format_size(waiter.memory_bytes), format_size(max(memory, 0))
            text = f"Waiting for {size} of memory{beside}: {left} free now."
            return Lack(reason=Reason.WAITS_FOR_MEMORY, text=text)
        return Lack(reason=Reason.IN_LINE, text="What it needs is free, and kept for those before it in line.")


def _first_to_end(held: tuple[Slot, Hold]) -> tuple[datetime, str, int, str]:
    slot, hold = held
    return hold.ends_at or FAR, slot.node_id, slot.index, slot.uuid
