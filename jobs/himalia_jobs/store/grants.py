"""Grants: every time that a slot was given out, from when until when and to whom; what GPU hours are counted from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or_add

from himalia.gpus import Slot

from .clock import now_text
from .records import GrantRecord
from .tables import grant_use, grants, jobs, leases


def begin(db: Connection, lease_id: str, slots: Iterable[Slot]) -> None:
    """Write that a lease has slots from now on, in the transaction that gives them."""
    lease = db.execute(select(leases).where(leases.c.id == lease_id)).mappings().one()
    job_id = lease["holder"].partition(".")[0] if lease["kind"] == "job" else ""
    job = db.execute(select(jobs).where(jobs.c.id == job_id)).mappings().first() if job_id else None
    whose = {
        "lease_id": lease_id,
        "kind": lease["kind"],
        "user_id": lease["user_id"],
        "user": lease["user"],
        "teams": lease["teams"],
        "owner_id": job["owner_id"] if job else lease["user_id"],
        "owner": job["owner"] if job else f"user:{lease['user']}",
        "project": job["project"] if job else "",
        "started_at": now_text(),
    }
    db.execute(
        insert(grants), [whose | {"node_id": slot.node_id, "uuid": slot.uuid, "part": slot.part} for slot in slots]
    )


def end(db: Connection, lease_id: str) -> None:
    """Write that a lease has no slots from now on, in the transaction that takes them."""
    mine = (grants.c.lease_id == lease_id) & grants.c.ended_at.is_(None)
    db.execute(update(grants).where(mine).values(ended_at=now_text()))


def standing(db: Connection) -> list[GrantRecord]:
    """Return what is held now."""
    rows = db.execute(select(grants).where(grants.c.ended_at.is_(None))).mappings()
    return [GrantRecord.of(row) for row in rows]


def since(db: Connection, moment: str) -> list[tuple[str, float, str, str | None]]:
    """Return (user, part of a GPU, from, until) of what was not given back before a moment; until none: it is held."""
    over = grants.c.ended_at.is_(None) | (grants.c.ended_at > moment)
    rows = select(grants.c.user_id, grants.c.part, grants.c.started_at, grants.c.ended_at).where(over)
    return [(user, part, start, end) for user, part, start, end in db.execute(rows)]


def between(db: Connection, since: str, until: str) -> list[GrantRecord]:
    """Return what was held at any moment of a time."""
    over = or_(grants.c.ended_at.is_(None), grants.c.ended_at > since)
    rows = db.execute(select(grants).where(over & (grants.c.started_at < until)).order_by(grants.c.number)).mappings()
    return [GrantRecord.of(row) for row in rows]


def add_use(db: Connection, month: str, seconds: Mapping[int, tuple[float, float]]) -> None:
    """Add (measured, idle) seconds to what is known of grants in a month."""
    rows = [
        {"grant": grant, "month": month, "measured_seconds": measured, "idle_seconds": idle}
        for grant, (measured, idle) in seconds.items()
    ]
    fresh = insert_or_add(grant_use)
    added = {
        "measured_seconds": grant_use.c.measured_seconds + fresh.excluded.measured_seconds,
        "idle_seconds": grant_use.c.idle_seconds + fresh.excluded.idle_seconds,
    }
    if rows:
        db.execute(fresh.on_conflict_do_update(index_elements=["grant", "month"], set_=added), rows)


def use_of(db: Connection, months: Sequence[str]) -> dict[tuple[int, str], tuple[float, float]]:
    """Return (measured, idle) seconds by grant and month."""
    rows = db.execute(select(grant_use).where(grant_use.c.month.in_(months))).mappings()
    return {(row["grant"], row["month"]): (row["measured_seconds"], row["idle_seconds"]) for row in rows}
