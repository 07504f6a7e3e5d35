"""What an attempt's log says about its end."""

from __future__ import annotations

from himalia_jobs.migrations.lacking import add_columns
from himalia_jobs.store.tables import attempts

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add what is lacking; a new database has it all from the first step."""
    add_columns(attempts, "label")


def downgrade() -> None:
    """Leave it: an older service does not look at it."""
