"""Leases and slots: who holds what, and who waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from himalia.gpus import Slot, SlotKind, overlap
from himalia.states import LeaseState

from . import grants
from . import slots as slots_store
from .clock import from_text, now_text
from .moves import move_lease, note_ledger
from .records import LeaseRecord
from .slots import all_slots as all_slots
from .slots import settle, slot_of
from .slots import write_slots as write_slots
from .statements import add_row
from .tables import lease_slots, leases, slots

#: Asked in every round of the queue, or for every job: see `statements`.
BY_ID = select(leases).where(leases.c.id == bindparam("lease_id"))
LIVE = select(leases).where(leases.c.state != str(LeaseState.RELEASED)).order_by(leases.c.number)
SHARE = select(leases.c.kind, leases.c.cpus, leases.c.memory_bytes).where(leases.c.id == bindparam("lease_id"))
SLOTS_OF = select(lease_slots.c.node_id, lease_slots.c.uuid).where(lease_slots.c.lease_id == bindparam("lease_id"))
ALL_HELD = select(lease_slots)
HELD = (
    select(lease_slots.c.lease_id, lease_slots.c.budget_bytes, slots)
    .join(slots, (slots.c.node_id == lease_slots.c.node_id) & (slots.c.uuid == lease_slots.c.uuid))
    .order_by(slots.c.index)
)
WITH_GPUS = leases.c.slot_count > 0
LAST_GRANTS = (
    select(leases.c.user_id, WITH_GPUS, func.max(leases.c.granted_at))
    .where(leases.c.granted_at > bindparam("since"))
    .group_by(leases.c.user_id, WITH_GPUS)
)


def add(db: Connection, values: dict[str, Any]) -> LeaseRecord:
    """Write a lease; it waits unless `state` says otherwise."""
    moment = now_text()
    add_row(db, leases, {"state": str(LeaseState.WAITING), "created_at": moment, "changed_at": moment, **values})
    note_ledger(db)
    return get(db, values["id"])


def get(db: Connection, lease_id: str) -> LeaseRecord:
    """Return a lease that is known to exist."""
    return LeaseRecord.of(db.execute(BY_ID, {"lease_id": lease_id}).mappings().one())


def find(db: Connection, lease_id: str) -> LeaseRecord | None:
    """Return a lease."""
    row = db.execute(BY_ID, {"lease_id": lease_id}).mappings().first()
    return LeaseRecord.of(row) if row else None


def by_spawn(db: Connection, spawn_id: str) -> LeaseRecord | None:
    """Return the lease of one start of a server."""
    row = db.execute(select(leases).where(leases.c.spawn_id == spawn_id)).mappings().first()
    return LeaseRecord.of(row) if row else None


def live(db: Connection) -> list[LeaseRecord]:
    """Return all leases that wait, are reserved or held, in the order they came."""
    return [LeaseRecord.of(row) for row in db.execute(LIVE).mappings()]


def take_slots(db: Connection, lease_id: str, taken: Sequence[Slot]) -> bool:
    """Give slots to a lease; return False, and give none, when one of them, or what it is a part of, is given out already."""
    rows = [
        {"node_id": slot.node_id, "uuid": slot.uuid, "lease_id": lease_id, "budget_bytes": _budget(slot)}
        for slot in taken
    ]
    if not rows:
        return True
    if crosses(db, taken, lease_of_slot(db)):
        return False
    try:
        with db.begin_nested():
            db.execute(insert(lease_slots), rows)
    except IntegrityError:
        return False
    grants.begin(db, lease_id, taken)
    return True


def crosses(db: Connection, wanted: Sequence[Slot], held: Mapping[tuple[str, str], str]) -> bool:
    """Tell whether somebody has one of these slots, the whole of what it is a part of, or a part of it."""
    if not held:
        return False
    parents = slots_store.parents(db)
    return any(
        node_id == slot.node_id and overlap(uuid, slot.uuid, parents) for node_id, uuid in held for slot in wanted
    )


def _budget(slot: Slot) -> int:
    return slot.share_bytes if slot.kind is SlotKind.SEAT else 0


def release(db: Connection, lease_id: str, **values: Any) -> bool:
    """Give a lease and its slots back; return False when it was given back before.

    Real GPUs settle first: they are given out again once they were seen to be free. A server that ran without GPUs
    leaves its CPUs and memory to the wait that it ran beside.
    """
    lease = db.execute(SHARE, {"lease_id": lease_id}).one_or_none()
    held = db.execute(SLOTS_OF, {"lease_id": lease_id}).all()
    for node_id, uuid in held:
        settle(db, node_id, uuid, lease_id)
    if held:
        db.execute(delete(lease_slots).where(lease_slots.c.lease_id == lease_id))
        grants.end(db, lease_id)
    if lease is None or not move_lease(db, lease_id, LeaseState.RELEASED, **values):
        return False
    if lease.kind == "server":
        after = update(leases).where((leases.c.beside == lease_id) & (leases.c.state != str(LeaseState.RELEASED)))
        db.execute(after.values(beside=None, cpus=lease.cpus, memory_bytes=lease.memory_bytes))
    return True


def last_grants(db: Connection, since: str) -> dict[tuple[str, bool], str]:
    """Return when each person was given something last, with GPUs and without, after a moment."""
    rows = db.execute(LAST_GRANTS, {"since": since})
    return {(user, bool(gpus)): moment for user, gpus, moment in rows}


def past_lengths(db: Connection, most: int) -> list[tuple[str, str, float]]:
    """Return (user, profile, seconds) of the servers that ended last."""
    over = (leases.c.kind == "server") & (leases.c.state == str(LeaseState.RELEASED)) & leases.c.granted_at.is_not(None)
    ran = (
        select(leases.c.user_id, leases.c.profile, leases.c.granted_at, leases.c.changed_at)
        .where(over)
        .order_by(leases.c.number.desc())
        .limit(most)
    )
    return [
        (user, profile, (from_text(end) - from_text(start)).total_seconds())
        for user, profile, start, end in db.execute(ran)
    ]


def slots_by_lease(db: Connection) -> dict[str, list[Slot]]:
    """Return the slots that each lease holds."""
    held: dict[str, list[Slot]] = {}
    for row in db.execute(HELD).mappings():
        held.setdefault(row["lease_id"], []).append(
            slot_of(row).model_copy(update={"budget_bytes": row["budget_bytes"]})
        )
    return held


def lease_of_slot(db: Connection) -> dict[tuple[str, str], str]:
    """Return the id of the lease that holds each slot, by node and UUID."""
    return {(row.node_id, row.uuid): row.lease_id for row in db.execute(ALL_HELD)}
