"""After which ends a job is tried again, and when."""

from __future__ import annotations

from himalia_jobs.migrations.lacking import add_columns
from himalia_jobs.store.tables import jobs

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add what is lacking; a new database has it all from the first step."""
    add_columns(jobs, "retry_on", "retry_at")


def downgrade() -> None:
    """Leave them: an older service does not look at them."""
