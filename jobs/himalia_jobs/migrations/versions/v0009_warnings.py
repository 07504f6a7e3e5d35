"""When jobs are warned before their time limit, and when they were."""

from __future__ import annotations

from himalia_jobs.migrations.lacking import add_columns
from himalia_jobs.store.tables import attempts, jobs

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add what is lacking; a new database has it all from the first step."""
    add_columns(jobs, "warn_seconds")
    add_columns(attempts, "warned_at", "warned_clock")


def downgrade() -> None:
    """Leave them: an older service does not look at them."""
