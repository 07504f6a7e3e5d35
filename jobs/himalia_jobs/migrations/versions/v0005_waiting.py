"""Servers that wait in line by themselves: what their leases have to know."""

from __future__ import annotations

from himalia_jobs.migrations.lacking import add_columns
from himalia_jobs.store.tables import leases

revision = "0005"
down_revision = "0004"

NEW = ("lasting", "options", "meanwhile", "beside", "restart_wanted", "outcome", "outcome_detail")


def upgrade() -> None:
    """Add the columns; a new database has them from the first step."""
    add_columns(leases, *NEW)


def downgrade() -> None:
    """Leave them: an older service does not look at them."""
