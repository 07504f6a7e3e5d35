"""What a job may write to the disk, as asked for."""

from __future__ import annotations

from himalia_jobs.migrations.lacking import add_columns
from himalia_jobs.store.tables import jobs

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add what is lacking; a new database has it all from the first step."""
    add_columns(jobs, "disk_bytes")


def downgrade() -> None:
    """Leave it: an older service does not look at it."""
