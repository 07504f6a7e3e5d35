"""What directories had over the commits they were submitted from: kept once for an owner, as long as a job has it."""

from __future__ import annotations

import zlib

from blake3 import blake3
from sqlalchemy import Connection, delete, exists, select
from sqlalchemy.dialects.sqlite import insert

from .tables import diffs, jobs


def keep(db: Connection, owner_id: str, diff: bytes) -> str:
    """Keep a difference and return its digest."""
    digest = blake3(diff).hexdigest()
    row = insert(diffs).values(owner_id=owner_id, digest=digest, packed=zlib.compress(diff))
    db.execute(row.on_conflict_do_nothing())
    return digest


def read(db: Connection, owner_id: str, digest: str) -> bytes | None:
    """Return a difference."""
    mine = (diffs.c.owner_id == owner_id) & (diffs.c.digest == digest)
    packed = db.execute(select(diffs.c.packed).where(mine)).scalar_one_or_none()
    return None if packed is None else zlib.decompress(packed)


def forget(db: Connection, owner_id: str, digest: str) -> None:
    """Remove a difference that no job has any more."""
    used = exists().where((jobs.c.diff_digest == digest) & (jobs.c.owner_id == owner_id))
    db.execute(delete(diffs).where((diffs.c.owner_id == owner_id) & (diffs.c.digest == digest) & ~used))
