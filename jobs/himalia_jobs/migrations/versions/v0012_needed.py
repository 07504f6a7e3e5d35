"""When a snapshot was last asked for, and finding what needs it."""

from __future__ import annotations

from himalia_jobs.migrations.lacking import add_columns, add_indexes
from himalia_jobs.store.tables import jobs, snapshots

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add what is lacking; a new database has it all from the first step."""
    add_columns(snapshots, "asked_at")
    add_indexes(snapshots, "snapshots_by_digest")
    add_indexes(jobs, "jobs_by_snapshot")


def downgrade() -> None:
    """Leave it: an older service does not look at it."""
