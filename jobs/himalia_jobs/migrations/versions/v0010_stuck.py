"""Attempts that do not end though they were killed."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, inspect

from himalia_jobs.store.tables import attempts

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add what is lacking; a new database has it all from the first step."""
    there = {column["name"] for column in inspect(op.get_bind()).get_columns(attempts.name)}
    for name in ("over_by", "stuck_at"):
        if name not in there:
            op.add_column(attempts.name, Column(name, attempts.columns[name].type))


def downgrade() -> None:
    """Leave them: an older service does not look at them."""
