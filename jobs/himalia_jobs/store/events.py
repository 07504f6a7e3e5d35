"""Events: what changed, in the order of `seq`."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, insert, or_, select

from himalia.models import EventKind

from .clock import now_text
from .tables import events

log = logging.getLogger(__name__)

KEPT = 200_000  #: events of the past that a client may still resume from
FOR_ADMINISTRATORS = "-admins-"  #: the owner of what nobody else reads
AFTER = select(events).where(events.c.seq > bindparam("seq")).order_by(events.c.seq).limit(bindparam("limit"))


def last_seq(db: Connection) -> int:
    """Return the highest `seq` that is written."""
    return int(db.execute(select(func.coalesce(func.max(events.c.seq), 0))).scalar_one())


def first_seq(db: Connection) -> int:
    """Return the lowest `seq` that is still kept."""
    passing = events.c.kind != str(EventKind.INTERVENTION)  # these are kept for good
    return int(db.execute(select(func.coalesce(func.min(events.c.seq), 0)).where(passing)).scalar_one())


def after(db: Connection, seq: int, owner_ids: Sequence[str] | None, limit: int = 500) -> list[RowMapping]:
    """Return the events after `seq` that concern these owners (none: all), or everybody."""
    query = AFTER
    if owner_ids is not None:
        query = query.where(or_(events.c.owner_id.is_(None), events.c.owner_id.in_(owner_ids)))
    return list(db.execute(query, {"seq": seq, "limit": limit}).mappings())


def trim(db: Connection) -> None:
    """Drop the events that nobody can resume from any more."""
    old = events.c.seq <= last_seq(db) - KEPT
    db.execute(delete(events).where(old & (events.c.kind != str(EventKind.INTERVENTION))))


def note_intervention(db: Connection, by: str, done: str) -> None:
    """Write the event of what an administrator did, in the transaction that does it: who, what, to whom and why. It is kept."""
    log.warning("%s %s", by, done)
    db.execute(
        insert(events).values(
            at=now_text(),
            kind=str(EventKind.INTERVENTION),
            owner_id=FOR_ADMINISTRATORS,
            state=by,
            detail=f"{by} {done}",
        )
    )


def interventions(db: Connection, limit: int) -> list[RowMapping]:
    """Return what administrators did, the last first."""
    query = select(events).where(events.c.kind == str(EventKind.INTERVENTION)).order_by(events.c.seq.desc())
    return list(db.execute(query.limit(limit)).mappings())
