"""Servers that wait in line by themselves: what their leases have to know."""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import Column, DefaultClause, inspect

from himalia_jobs.store.tables import leases

revision = "0005"
down_revision = "0004"

NEW = ("lasting", "options", "meanwhile", "beside", "restart_wanted", "outcome", "outcome_detail")


def upgrade() -> None:
    """Add the columns; a new database has them from the first step."""
    there = {column["name"] for column in inspect(op.get_bind()).get_columns("leases")}
    for column in (leases.c[name] for name in NEW if name not in there):
        default: Any = column.server_default.arg if isinstance(column.server_default, DefaultClause) else None
        op.add_column("leases", Column(column.name, column.type, nullable=column.nullable, server_default=default))


def downgrade() -> None:
    """Leave them: an older service does not look at them."""
