"""After which ends a job is tried again, and when."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, inspect

from himalia_jobs.store.tables import jobs

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add what is lacking; a new database has it all from the first step."""
    there = {column["name"] for column in inspect(op.get_bind()).get_columns(jobs.name)}
    for name in ("retry_on", "retry_at"):
        if name not in there:
            column = jobs.columns[name]
            default = column.server_default.arg if column.server_default is not None else None  # type: ignore[attr-defined]
            op.add_column(jobs.name, Column(name, column.type, nullable=column.nullable, server_default=default))


def downgrade() -> None:
    """Leave them: an older service does not look at them."""
