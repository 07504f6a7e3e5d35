"""What is on the GPUs of a machine in memory: tests change it, and the engine tells it as a driver would."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from himalia.gpus import Slot, SlotHealth

from ..base import Door, Observed, Phase
from ..gpus import GPUHolder, GPUState, GPUUse, GPUUser


class FakeGPUs:
    """Processes, memory and faults by UUID. Nothing is on a GPU but what a test puts there."""

    def __init__(self) -> None:
        self.users: defaultdict[str, list[GPUUser]] = defaultdict(list)
        self.memory: defaultdict[str, int] = defaultdict(int)  #: bytes in use
        self.faults: dict[str, tuple[str, float]] = {}  #: the words, and when
        self.busy: dict[str, int] = {}  #: per cent by UUID; also of simulated GPUs
        self.doors: list[Door] = []  #: of the servers that run
        self.others: dict[str, tuple[str, ...]] = {}  #: containers that are not ours, and the GPUs they have
        self.clock: float | None = None  #: when the processes were read last; none: they are read whenever asked

    def use(
        self, node_id: str, boot_id: str, now: float, slots: Iterable[Slot], containers: Iterable[Observed]
    ) -> GPUUse:
        """Return who is on the GPUs."""
        answering = [
            slot.device
            for slot in slots
            if slot.health is SlotHealth.OK and (not slot.simulated or slot.device in self.busy)
        ]
        holders = [
            GPUHolder(name=seen.name, uuids=seen.slots, lease_id=seen.lease_id)
            for seen in containers
            if seen.phase is Phase.RUNNING and seen.slots
        ]
        holders += [GPUHolder(name=name, uuids=uuids, ours=False) for name, uuids in self.others.items()]
        return GPUUse(
            node_id=node_id,
            boot_id=boot_id,
            now=now,
            clock=now if self.clock is None else self.clock,
            gpus=tuple(self._state(uuid) for uuid in answering),
            holders=tuple(holders),
        )

    def _state(self, uuid: str) -> GPUState:
        fault, clock = self.faults.get(uuid, ("", None))
        return GPUState(
            uuid=uuid,
            busy_percent=self.busy.get(uuid),
            memory_used_bytes=self.memory[uuid],
            users=tuple(self.users[uuid]),
            fault=fault,
            fault_clock=clock,
        )
