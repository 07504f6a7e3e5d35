"""Attempts that do not end though they were killed."""

from __future__ import annotations

from himalia_jobs.migrations.lacking import add_columns
from himalia_jobs.store.tables import attempts

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add what is lacking; a new database has it all from the first step."""
    add_columns(attempts, "over_by", "stuck_at")


def downgrade() -> None:
    """Leave them: an older service does not look at them."""
