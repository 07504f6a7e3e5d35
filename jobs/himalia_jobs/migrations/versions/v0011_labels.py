"""What an attempt's log says about its end."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, inspect

from himalia_jobs.store.tables import attempts

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add what is lacking; a new database has it all from the first step."""
    there = {column["name"] for column in inspect(op.get_bind()).get_columns(attempts.name)}
    if "label" not in there:
        op.add_column(attempts.name, Column("label", attempts.columns.label.type))


def downgrade() -> None:
    """Leave it: an older service does not look at it."""
