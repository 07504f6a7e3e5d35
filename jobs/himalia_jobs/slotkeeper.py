"""Keeps slots back while they must not be given out, and gives them back when they may: looked at often, written seldom."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from sqlalchemy import Connection

from himalia.errors import Forbidden, NotFound
from himalia.gpus import LASTING_HOLDS, SlotHealth, SlotHold

from .engines.base import Engine
from .engines.gpus import GPUState, GPUUse
from .store import Database, leases, slots
from .store.events import note_intervention
from .store.records import SlotRecord
from .verdicts import TOLD, Verdict, judge

log = logging.getLogger(__name__)


class SlotKeeper:
    """Looks at what is on the GPUs, and writes for each slot why it is kept back, or that it is not any more."""

    def __init__(self, db: Database, engine: Engine) -> None:
        self.db = db
        self.engine = engine
        self.states: Mapping[str, GPUState] = {}  #: by UUID, as seen last; of a seat what its GPU does
        self.use: GPUUse | None = None  #: who was on the GPUs then
        self.seen_clock = 0.0  #: when that was, in seconds since the machine was started

    async def look(self) -> bool:
        """Do one round; return whether a slot is given out again, or not any more."""
        changed, again = await self._once()
        if again:  # a slot that was given back a moment ago: now its GPU is seen as it is after its holder's end
            more, _ = await self._once()
            return changed or more
        return changed

    async def _once(self) -> tuple[bool, bool]:
        """Look once; return whether anything changed, and whether it is worth looking again at once."""
        use = await self.engine.gpu_use(fresh=await self.db.read(slots.settling))
        by_device = {state.uuid: state for state in use.gpus}
        seats = await self.db.read(lambda db: [slot for slot in slots.records(db, use.node_id) if slot.is_seat])
        of_seats = {slot.uuid: by_device[slot.device] for slot in seats if slot.device in by_device}
        self.use, self.states, self.seen_clock = use, by_device | of_seats, use.now
        if not await self.db.read(lambda db: _decided(db, use)):
            return False, False
        return await self.db.write(lambda db: _write(db, use))

    async def quarantine(self, uuid: str, why: str, by: str) -> None:
        """Keep a GPU back on an administrator's word, with all its slots; its holders go on."""
        await self._keep_back(uuid, SlotHold.ADMIN, f"{by} took it out. {why}".strip(), by, f"took {{}} out. {why}")

    async def drain(self, uuid: str, why: str, by: str) -> None:
        """Empty a GPU on an administrator's word: its holders go on, and nobody gets it next."""
        await self._keep_back(uuid, SlotHold.DRAIN, f"{by} empties it. {why}".strip(), by, f"drained {{}}. {why}")

    async def _keep_back(self, uuid: str, hold: SlotHold, detail: str, by: str, done: str) -> None:
        def write(db: Connection) -> None:
            holders = leases.lease_of_slot(db)
            here = of_gpu(db, uuid)
            for slot in here:
                lease_id = holders.get((slot.node_id, slot.uuid))
                slots.change_hold(db, slot, lease_id, hold, detail, 0.0, "")
            note_intervention(db, by, done.format(f"GPU {here[0].index} ({here[0].gpu})").strip())

        await self.db.write(write)

    async def give_back(self, uuid: str, by: str) -> None:
        """Give a GPU out again on an administrator's word, once it is seen to be free."""

        use = await self.engine.gpu_use()

        def write(db: Connection) -> None:
            here = of_gpu(db, uuid)
            lasting = [slot for slot in here if slot.hold in LASTING_HOLDS]
            if not lasting:
                raise Forbidden(
                    "Nobody has to give this slot back: it is given out by itself when the cause is over."
                    if any(slot.hold or slot.health is not SlotHealth.OK for slot in here)
                    else "This slot is not kept back."
                )
            for slot in lasting:
                slots.give_back(db, slot, use.now, use.boot_id)
            note_intervention(db, by, f"gave GPU {lasting[0].index} ({lasting[0].gpu}) back.")

        await self.db.write(write)

    async def complaints(self) -> list[str]:
        """Return a sentence for each slot that is not given out; one that settles is no complaint.

        Everybody may read them: who and what is behind it is told to administrators alone.
        """
        quiet = (SlotHealth.OK, SlotHealth.SETTLING, SlotHealth.DRAINED, SlotHealth.OFF, SlotHealth.CHANGING)
        found = [slot for slot in await self.db.read(slots.all_slots) if slot.health not in quiet]
        return [
            f"{slot.name} ({slot.uuid}) is {slot.health}. {TOLD.get(slot.health, slot.health_detail)}" for slot in found
        ]


def _decided(db: Connection, use: GPUUse) -> list[tuple[SlotRecord, str | None, Verdict]]:
    """Return the slots for which something else holds than is written."""
    holders = leases.lease_of_slot(db)
    held = {uuid: lease_id for (node_id, uuid), lease_id in holders.items() if node_id == use.node_id}
    decided = []
    for slot in slots.records(db, use.node_id):
        lease_id = holders.get((slot.node_id, slot.uuid))
        verdict = judge(slot, lease_id, use, held)
        if (verdict.hold, verdict.detail) != (slot.hold, slot.hold_detail) or _is_new(slot, use):
            decided.append((slot, lease_id, verdict))
    return decided


def _write(db: Connection, use: GPUUse) -> tuple[bool, bool]:
    changed = stamped = False
    for slot, lease_id, verdict in _decided(db, use):
        if slots.change_hold(db, slot, lease_id, verdict.hold, verdict.detail, use.now, use.boot_id):
            changed |= verdict.hold is not slot.hold
            begins = verdict.hold is SlotHold.SETTLING and slot.hold is not SlotHold.SETTLING
            stamped |= begins or _is_new(slot, use)
            log.info("GPU %s (%s): %s", slot.index, slot.uuid, verdict.detail or "may be given out")
    return changed, stamped


def _is_new(slot: SlotRecord, use: GPUUse) -> bool:
    """Tell whether a slot began to settle after it was looked at last, or in another life of the machine."""
    return slot.hold is SlotHold.SETTLING and (slot.hold_clock is None or slot.hold_boot != use.boot_id)


def find_slot(db: Connection, uuid: str) -> SlotRecord:
    """Return a slot; raise NotFound."""
    found = slots.find(db, uuid)
    if found is None:
        raise NotFound(f"There is no GPU {uuid}. `himalia gpus` shows what there is.")
    return found


def of_gpu(db: Connection, uuid: str) -> list[SlotRecord]:
    """Return the slots of the GPU that a UUID names, its own or a slot's; raise NotFound."""
    found = slots.of_gpu(db, uuid)
    if not found:
        raise NotFound(f"There is no GPU {uuid}. `himalia gpus` shows what there is.")
    return found
