"""What GPU hours are counted from; what was given out before is taken over from the leases."""

from __future__ import annotations

from alembic import op
from sqlalchemy import insert, select

from himalia_jobs.store.tables import grant_use, grants, lease_slots, leases

revision = "0004"
down_revision = "0003"

COLUMNS = ("id", "state", "node_id", "kind", "user_id", "user", "teams", "slot_count", "granted_at", "changed_at")


def upgrade() -> None:
    """Make the tables; a new database has them from the first step."""
    connection = op.get_bind()
    grants.create(connection, checkfirst=True)
    grant_use.create(connection, checkfirst=True)
    held: dict[str, list[str]] = {}
    for row in connection.execute(select(lease_slots.c.lease_id, lease_slots.c.uuid)):
        held.setdefault(row.lease_id, []).append(row.uuid)
    known = set(connection.execute(select(grants.c.lease_id)).scalars())
    # By their names: the table gets more columns in later steps.
    there = [leases.c[name] for name in COLUMNS]
    for lease in connection.execute(select(*there).where(leases.c.granted_at.is_not(None))).mappings():
        if lease["id"] in known:
            continue
        # Which GPUs a lease had is not known any more once it has ended, only how many.
        for uuid in held.get(lease["id"], [""] * lease["slot_count"] if lease["state"] == "released" else []):
            connection.execute(
                insert(grants).values(
                    lease_id=lease["id"],
                    node_id=lease["node_id"],
                    uuid=uuid,
                    part=1.0,
                    kind=lease["kind"],
                    user_id=lease["user_id"],
                    user=lease["user"],
                    teams=lease["teams"],
                    owner_id=lease["user_id"],
                    owner=f"user:{lease['user']}",
                    project="",
                    started_at=lease["granted_at"],
                    ended_at=lease["changed_at"] if lease["state"] == "released" else None,
                )
            )


def downgrade() -> None:
    """Leave them: an older service does not look at them."""
