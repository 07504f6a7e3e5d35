"""When jobs are warned before their time limit, and when they were."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, inspect

from himalia_jobs.store.tables import attempts, jobs

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add what is lacking; a new database has it all from the first step."""
    known = inspect(op.get_bind())
    for table, name in ((jobs, "warn_seconds"), (attempts, "warned_at"), (attempts, "warned_clock")):
        if name not in {column["name"] for column in known.get_columns(table.name)}:
            op.add_column(table.name, Column(name, table.columns[name].type))


def downgrade() -> None:
    """Leave them: an older service does not look at them."""
