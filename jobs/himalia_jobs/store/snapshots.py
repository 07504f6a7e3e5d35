"""Snapshots: which exist for an owner, and whether they are complete."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from himalia.ids import new_id
from himalia.states import LIVE_STATES, LeaseState

from .clock import from_text, now_text, to_text
from .records import SnapshotRecord
from .tables import jobs, leases, snapshots

TOUCHED_AGAIN = timedelta(minutes=10)  #: not each time, for a write has to reach the disk
OF_NO_JOB = ~select(jobs.c.number).where(jobs.c.snapshot_id == snapshots.c.id).exists()


def add(
    db: Connection, *, owner_id: str, owner: str, user_id: str, digest: str, file_count: int, size_bytes: int
) -> SnapshotRecord:
    """Write an open snapshot; a second one of the same owner, person and digest is the first, asked for now."""
    same = (snapshots.c.owner_id == owner_id) & (snapshots.c.digest == digest) & (snapshots.c.user_id == user_id)
    row = db.execute(select(snapshots).where(same)).mappings().first()
    if row:
        touch(db, row["id"])
        return SnapshotRecord.of(row)
    now = now_text()
    record = SnapshotRecord(
        id=new_id(),
        owner_id=owner_id,
        owner=owner,
        user_id=user_id,
        digest=digest,
        file_count=file_count,
        size_bytes=size_bytes,
        committed=False,
        created_at=now,
        asked_at=now,
    )
    db.execute(insert(snapshots).values(**vars(record)))
    return record


def find(db: Connection, snapshot_id: str) -> SnapshotRecord | None:
    """Return a snapshot."""
    row = db.execute(select(snapshots).where(snapshots.c.id == snapshot_id)).mappings().first()
    return SnapshotRecord.of(row) if row else None


def of_owner(db: Connection, owner_id: str, digest: str) -> SnapshotRecord | None:
    """Return a committed snapshot of an owner by its digest, whoever sent it."""
    same = (snapshots.c.owner_id == owner_id) & (snapshots.c.digest == digest) & snapshots.c.committed
    row = db.execute(select(snapshots).where(same)).mappings().first()
    return SnapshotRecord.of(row) if row else None


def touch(db: Connection, snapshot_id: str) -> None:
    """Note that a snapshot is worked with now."""
    db.execute(update(snapshots).where((snapshots.c.id == snapshot_id) & _long_ago()).values(asked_at=now_text()))


def commit(db: Connection, snapshot_id: str) -> SnapshotRecord | None:
    """Mark a snapshot as complete; return it, or none when it is not there any more."""
    values = {"committed": True, "asked_at": now_text()}
    stale = (snapshots.c.id == snapshot_id) & (~snapshots.c.committed | _long_ago())
    db.execute(update(snapshots).where(stale).values(values))
    return find(db, snapshot_id)


def unneeded(db: Connection, before: str, most: int) -> list[str]:
    """Return the ids of snapshots that no job has and that nobody asked for since a moment."""
    found = select(snapshots.c.id).where(_asked_before(before) & OF_NO_JOB).limit(most)
    return [str(row.id) for row in db.execute(found)]


def drop(db: Connection, ids: Collection[str], before: str) -> list[tuple[str, str]]:
    """Delete those of the snapshots that are still unneeded; return owner and digest of each."""
    still = snapshots.c.id.in_(ids) & _asked_before(before) & OF_NO_JOB
    gone = db.execute(delete(snapshots).where(still).returning(snapshots.c.owner_id, snapshots.c.digest))
    return [(str(owner_id), str(digest)) for owner_id, digest in gone.all()]


def digests(db: Connection, owner_id: str) -> set[str]:
    """Return the digests of all snapshots of an owner."""
    of_rows = select(snapshots.c.digest).where(snapshots.c.owner_id == owner_id)
    return {str(row.digest) for row in db.execute(of_rows)}


def live_digests(db: Connection, owner_id: str) -> set[str]:
    """Return the digests of an owner's snapshots whose jobs have not ended."""
    mine = jobs.c.state.in_([str(state) for state in LIVE_STATES]) & (jobs.c.snapshot_owner_id == owner_id)
    return {str(row.snapshot_digest) for row in db.execute(select(jobs.c.snapshot_digest).where(mine))}


def strangers_run(db: Connection) -> bool:
    """Tell whether jobs run that the database does not know: nobody can say which files they need."""
    adopted = (leases.c.kind == "job") & (leases.c.user_id == "") & (leases.c.state != str(LeaseState.RELEASED))
    return db.execute(select(leases.c.id).where(adopted).limit(1)).first() is not None


def _long_ago() -> ColumnElement[bool]:
    return _asked_before(to_text(from_text(now_text()) - TOUCHED_AGAIN))


def _asked_before(moment: str) -> ColumnElement[bool]:
    return func.coalesce(snapshots.c.asked_at, snapshots.c.created_at) < moment
