"""Single values: the epoch of the service, the installation."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from .tables import meta


def get(db: Connection, key: str) -> str | None:
    """Return a value."""
    found = db.execute(select(meta.c.value).where(meta.c.key == key)).scalar()
    return None if found is None else str(found)


def put(db: Connection, key: str, value: str) -> None:
    """Write a value."""
    if not db.execute(update(meta).where(meta.c.key == key).values(value=value)).rowcount:
        db.execute(insert(meta).values(key=key, value=value))


def next_epoch(db: Connection) -> int:
    """Return a number higher than that of every service before on this database."""
    epoch = int(get(db, "epoch") or "0") + 1
    put(db, "epoch", str(epoch))
    return epoch
