"""The machines of the simulation: their GPUs, what is free of them, and the proof that none is given out twice."""

from __future__ import annotations

from collections.abc import Iterable

from himalia.gpus import Slot
from himalia.units import GiB
from himalia_jobs.policy import Room

GPUS_EACH = 8
CPUS, MEMORY = 8.0, 64 * GiB  #: beside each GPU, as much as each asks for: GPUs alone are scarce


class Machines:
    """So many GPUs, eight to a machine, joined by NVLink."""

    def __init__(self, gpus: int) -> None:
        self.gpus = gpus
        self._free: dict[str, dict[str, Slot]] = {}
        self._rooms: dict[str, Room] = {}
        for first in range(0, gpus, GPUS_EACH):
            node, count = f"n{first // GPUS_EACH:02}", min(GPUS_EACH, gpus - first)
            self._free[node] = {slot.uuid: slot for slot in _slots(node, count)}

    def rooms(self) -> tuple[Room, ...]:
        """Return what is free on each machine."""
        return tuple(self._rooms.get(node) or self._room(node) for node in self._free)

    def free(self) -> int:
        """Return how many GPUs are free."""
        return sum(len(slots) for slots in self._free.values())

    def take(self, node: str, slots: Iterable[Slot]) -> None:
        """Give GPUs out; raise KeyError where one is not free."""
        for slot in slots:
            del self._free[node][slot.uuid]
        self._rooms.pop(node, None)

    def give_back(self, node: str, slots: Iterable[Slot]) -> None:
        """Take GPUs back; raise RuntimeError where one is free already."""
        for slot in slots:
            if slot.uuid in self._free[node]:
                raise RuntimeError(f"{slot.uuid} is given back twice")
            self._free[node][slot.uuid] = slot
        self._rooms.pop(node, None)

    def _room(self, node: str) -> Room:
        slots = sorted(self._free[node].values(), key=lambda slot: slot.index)
        free = len(slots)
        room = Room(node_id=node, cpus=free * CPUS, memory_bytes=free * MEMORY, slots=tuple(slots))
        self._rooms[node] = room
        return room


def _slots(node: str, count: int) -> list[Slot]:
    uuids = [f"GPU-{node}-{number}" for number in range(count)]
    return [
        Slot(
            node_id=node,
            uuid=uuid,
            index=number,
            model="NVIDIA H200",
            memory_bytes=141 * GiB,
            numa_node=number // 4,
            peers=tuple(peer for peer in uuids if peer != uuid),
        )
        for number, uuid in enumerate(uuids)
    ]
