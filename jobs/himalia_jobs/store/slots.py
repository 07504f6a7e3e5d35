"""Slots: what the machines have, what they say of it, and what the ledger keeps back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, insert, select, update

from himalia.gpus import HELD_BACK_AS, LASTING_HOLDS, Slot, SlotHealth, SlotHold

from .clock import now_text, to_text
from .moves import note_ledger
from .records import SlotRecord
from .tables import lease_slots, leases, slots

SLOT_FIELDS = tuple(name for name in Slot.model_fields if name != "budget_bytes")  #: that is the lease's
MISSING_DAYS = 7  #: a GPU that was taken out for good is shown as gone for so long

#: Asked in every round of the queue: see `statements`.
ALL = select(slots).order_by(slots.c.node_id, slots.c.index)
OF_NODE = select(slots).where(slots.c.node_id == bindparam("node_id"))
MISSING_SINCE = (
    select(slots.c.uuid)
    .where((slots.c.node_id == bindparam("node_id")) & (slots.c.missing_since < bindparam("before")))
    .limit(1)
)


def all_slots(db: Connection) -> list[Slot]:
    """Return all slots, each with the health that decides whether it is given out."""
    return [slot_of(row) for row in db.execute(ALL).mappings()]


def as_found(db: Connection, node_id: str) -> list[Slot]:
    """Return a node's slots with what the machine said of them, whatever the ledger thinks."""
    return [_found(row) for row in db.execute(OF_NODE, {"node_id": node_id}).mappings()]


def with_silent(db: Connection, node_id: str, found: Sequence[Slot]) -> tuple[Slot, ...]:
    """Return what was found, and what is not listed only because the driver does not answer: it is no less there."""
    listed = {slot.gpu for slot in found}
    silent = [slot for slot in as_found(db, node_id) if slot.gpu not in listed and slot.health is not SlotHealth.GONE]
    return (*found, *silent)


def records(db: Connection, node_id: str) -> list[SlotRecord]:
    """Return a node's slots as the ledger keeps them."""
    rows = db.execute(select(slots).where(slots.c.node_id == node_id).order_by(slots.c.index)).mappings()
    return [SlotRecord.of(row) for row in rows]


def find(db: Connection, uuid: str) -> SlotRecord | None:
    """Return a slot by its UUID."""
    row = db.execute(select(slots).where(slots.c.uuid == uuid)).mappings().first()
    return SlotRecord.of(row) if row else None


def of_gpu(db: Connection, uuid: str) -> list[SlotRecord]:
    """Return the slots of the GPU that a UUID names, its own or that of one of its slots."""
    rows = [SlotRecord.of(row) for row in db.execute(select(slots).order_by(slots.c.index)).mappings()]
    named = next((slot for slot in rows if uuid in (slot.uuid, slot.gpu)), None)
    return [slot for slot in rows if named is not None and (slot.node_id, slot.gpu) == (named.node_id, named.gpu)]


def parents(db: Connection) -> dict[str, str]:
    """Return the GPU of each MIG device."""
    cut = select(slots.c.uuid, slots.c.parent).where(slots.c.parent != "")
    return {row.uuid: row.parent for row in db.execute(cut)}


def slot_of(row: Any) -> Slot:
    """Return the slot of a row. What is wrong with the GPU is said first, then why the ledger keeps it back."""
    found = _found(row)
    hold = row["hold"] and SlotHold(row["hold"])
    if not hold or (found.health is not SlotHealth.OK and hold not in LASTING_HOLDS):
        return found
    return found.model_copy(update={"health": HELD_BACK_AS[hold], "health_detail": row["hold_detail"]})


def write_slots(
    db: Connection,
    node_id: str,
    found: Sequence[Slot],
    *,
    unlisted: tuple[SlotHealth, str] = (SlotHealth.GONE, "The GPU is not there any more."),
) -> bool:
    """Write a node's slots as they were found; of those not listed, `unlisted` is said. Return whether anything changed.

    A slot is its UUID: its index, its model and its health may change under it, its holder and its hold stay.
    """
    before = {slot.uuid: slot for slot in as_found(db, node_id)}
    after = {slot.uuid: slot for slot in found}
    gpus = {slot.gpu for slot in found}
    changed = False
    for uuid, slot in after.items():
        if uuid not in before:
            db.execute(insert(slots).values(_columns(slot) | _inherited(db, slot)))
            changed = True
        elif before[uuid] != slot:
            db.execute(update(slots).where(_is(node_id, uuid)).values(_columns(slot) | {"missing_since": None}))
            changed = True
    for uuid in before.keys() - after.keys():
        replaced = any(slot.simulated for slot in found) or before[uuid].gpu in gpus
        changed |= _missing(db, before[uuid], unlisted, replaced=replaced)
    if changed:
        note_ledger(db)
    return changed


def differ(db: Connection, node_id: str, found: Sequence[Slot], unlisted: tuple[SlotHealth, str]) -> bool:
    """Tell whether `write_slots` would change anything; asked often, by readers."""
    before = {slot.uuid: slot for slot in as_found(db, node_id)}
    after = {slot.uuid: slot for slot in found}
    if any(before.get(uuid) != slot for uuid, slot in after.items()):
        return True
    missing = [before[uuid] for uuid in before.keys() - after.keys()]
    simulated, gpus = any(slot.simulated for slot in found), {slot.gpu for slot in found}
    said = any((slot.health, slot.health_detail) != unlisted for slot in missing)
    replaced = any((simulated or slot.gpu in gpus) and not _is_held(db, slot) for slot in missing)
    return said or replaced or _over(db, node_id)


def settle(db: Connection, node_id: str, uuid: str, lease_id: str) -> None:
    """Keep a slot back that its holder gives up, until it is seen to be free; simulated ones are free at once.

    So are the free slots of the same GPU where that is shared: the memory that is not back yet is missing to them too.
    """
    row = db.execute(select(slots).where(_is(node_id, uuid))).mappings().first()
    if row is None or row["simulated"]:
        return
    holder = db.execute(select(leases.c.user, leases.c.kind).where(leases.c.id == lease_id)).first()
    whose = f"{holder.user}'s {'notebook' if holder.kind == 'server' else 'job'} has" if holder else "Its holder has"
    detail = f"{whose} ended; it is given out as soon as the GPU is really free."
    lasting = [str(hold) for hold in LASTING_HOLDS]
    db.execute(
        update(slots)
        .where((slots.c.node_id == node_id) & slots.c.uuid.in_(_beside(db, row)))
        .where(slots.c.hold.is_(None) | slots.c.hold.not_in(lasting))
        .values(hold=str(SlotHold.SETTLING), hold_detail=detail, hold_clock=None, hold_boot=None)
    )
    note_ledger(db)


def _beside(db: Connection, row: Any) -> list[str]:
    """Return a slot's UUID, and those of all free slots of a GPU that is shared: its memory is theirs as well."""
    if not row["seats"]:
        return [row["uuid"]]
    here = [slot.uuid for slot in as_found(db, row["node_id"]) if slot.gpu == _found(row).gpu]
    held = {uuid for (uuid,) in db.execute(select(lease_slots.c.uuid).where(lease_slots.c.node_id == row["node_id"]))}
    return [row["uuid"], *(uuid for uuid in here if uuid not in held)]


def change_hold(
    db: Connection, slot: SlotRecord, lease_id: str | None, hold: SlotHold | None, detail: str, clock: float, boot: str
) -> bool:
    """Keep a slot back, or not any more; return False when it was changed by others since it was read."""
    holder = db.execute(
        select(lease_slots.c.lease_id).where(
            (lease_slots.c.node_id == slot.node_id) & (lease_slots.c.uuid == slot.uuid)
        )
    ).scalar()
    if holder != lease_id:
        return False
    same = and_(
        _is(slot.node_id, slot.uuid),
        slots.c.hold.is_(None) if slot.hold is None else slots.c.hold == str(slot.hold),
        slots.c.hold_clock.is_(None) if slot.hold_clock is None else slots.c.hold_clock == slot.hold_clock,
    )
    kept = {"hold_clock": slot.hold_clock, "hold_boot": slot.hold_boot} if hold is slot.hold else {}
    if hold is None or kept.get("hold_clock") is None or kept.get("hold_boot") != boot:
        kept = {"hold_clock": clock if hold else None, "hold_boot": boot if hold else None}
    values = {"hold": hold and str(hold), "hold_detail": detail if hold else "", **kept}
    changed = bool(db.execute(update(slots).where(same).values(values)).rowcount)
    if changed and (hold, values["hold_detail"]) != (slot.hold, slot.hold_detail):
        note_ledger(db)
    return changed


def give_back(db: Connection, slot: SlotRecord, clock: float, boot: str) -> None:
    """End a lasting hold on an administrator's word; the slot is given out once it is seen to be free."""
    free = not slot.simulated
    db.execute(
        update(slots)
        .where(_is(slot.node_id, slot.uuid))
        .values(
            hold=str(SlotHold.SETTLING) if free else None,
            hold_detail="An administrator gave it back; it is looked at first." if free else "",
            hold_clock=None,
            hold_boot=None,
            returned_clock=clock,
            returned_boot=boot,
        )
    )
    note_ledger(db)


def settling(db: Connection) -> bool:
    """Tell whether a slot is being looked at until it is free."""
    return db.execute(select(slots.c.uuid).where(slots.c.hold == str(SlotHold.SETTLING)).limit(1)).first() is not None


def _missing(db: Connection, slot: Slot, unlisted: tuple[SlotHealth, str], *, replaced: bool) -> bool:
    """Write of a slot that the machine does not list; return whether anything changed."""
    here = _is(slot.node_id, slot.uuid)
    since = db.execute(select(slots.c.missing_since).where(here)).scalar()
    health, detail = unlisted
    too_long = since is not None and since < _long_ago() and health is SlotHealth.GONE
    if (slot.simulated or replaced or too_long) and not _is_held(db, slot):
        db.execute(delete(slots).where(here))
        return True
    if (slot.health, slot.health_detail) == unlisted:
        return False
    missing_since = (since or now_text()) if health is SlotHealth.GONE else None
    db.execute(update(slots).where(here).values(health=str(health), health_detail=detail, missing_since=missing_since))
    return True


def _inherited(db: Connection, slot: Slot) -> dict[str, Any]:
    """Return how a slot begins that a GPU has in another mode: as lastingly kept back as the others, else looked at first."""
    others = [record for record in records(db, slot.node_id) if record.gpu == slot.gpu]
    lasting = next((one for one in others if one.hold in LASTING_HOLDS), None)
    if lasting is not None:
        kept = ("hold_detail", "hold_clock", "hold_boot", "returned_clock", "returned_boot")
        return {"hold": lasting.hold and str(lasting.hold), **{name: getattr(lasting, name) for name in kept}}
    if not others or slot.simulated:
        return {}
    detail = "Its mode was changed; it is looked at before it is given out."
    return {"hold": str(SlotHold.SETTLING), "hold_detail": detail}


def _over(db: Connection, node_id: str) -> bool:
    """Tell whether a slot has been missing for so long that it is forgotten."""
    return db.execute(MISSING_SINCE, {"node_id": node_id, "before": _long_ago()}).first() is not None


def _long_ago() -> str:
    return to_text(datetime.now(UTC) - timedelta(days=MISSING_DAYS))


def _is_held(db: Connection, slot: Slot) -> bool:
    this = (lease_slots.c.node_id == slot.node_id) & (lease_slots.c.uuid == slot.uuid)
    return db.execute(select(lease_slots.c.lease_id).where(this)).first() is not None


def _is(node_id: str, uuid: str) -> ColumnElement[bool]:
    return (slots.c.node_id == node_id) & (slots.c.uuid == uuid)


def _found(row: Any) -> Slot:
    return Slot(**{name: row[name] for name in SLOT_FIELDS})


def _columns(slot: Slot) -> dict[str, Any]:
    values = {name: getattr(slot, name) for name in SLOT_FIELDS}
    return {name: value.value if hasattr(value, "value") else value for name, value in values.items()}
