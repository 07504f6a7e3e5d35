"""Snapshots: which exist for an owner, and whether they are complete."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from himalia.ids import new_id

from .clock import now_text
from .records import SnapshotRecord
from .tables import snapshots


def add(
    db: Connection, *, owner_id: str, owner: str, user_id: str, digest: str, file_count: int, size_bytes: int
) -> SnapshotRecord:
    """Write an open snapshot; a second one of the same owner, person and digest is the first."""
    same = (snapshots.c.owner_id == owner_id) & (snapshots.c.digest == digest) & (snapshots.c.user_id == user_id)
    row = db.execute(select(snapshots).where(same)).mappings().first()
    if row:
        return SnapshotRecord.of(row)
    record = SnapshotRecord(
        id=new_id(),
        owner_id=owner_id,
        owner=owner,
        user_id=user_id,
        digest=digest,
        file_count=file_count,
        size_bytes=size_bytes,
        committed=False,
        created_at=now_text(),
    )
    db.execute(insert(snapshots).values(**vars(record)))
    return record


def find(db: Connection, snapshot_id: str) -> SnapshotRecord | None:
    """Return a snapshot."""
    row = db.execute(select(snapshots).where(snapshots.c.id == snapshot_id)).mappings().first()
    return SnapshotRecord.of(row) if row else None


def commit(db: Connection, snapshot_id: str) -> None:
    """Mark a snapshot as complete."""
    db.execute(update(snapshots).where(snapshots.c.id == snapshot_id).values(committed=True))
