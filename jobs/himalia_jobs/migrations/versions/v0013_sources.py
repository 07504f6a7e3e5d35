"""Where a job's files came from, as far as git knows it."""

from __future__ import annotations

from alembic import op

from himalia_jobs.migrations.lacking import add_columns, add_indexes
from himalia_jobs.store.tables import diffs, jobs

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add what is lacking; a new database has it all from the first step."""
    add_columns(jobs, "source", "diff_digest")
    diffs.create(op.get_bind(), checkfirst=True)
    add_indexes(jobs, "jobs_by_diff")


def downgrade() -> None:
    """Leave it: an older service does not look at it."""
