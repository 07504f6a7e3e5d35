"""Seats and slices of GPUs, and the modes that administrators give them."""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import Column, DefaultClause, Table, inspect

from himalia_jobs.store.tables import gpu_modes, lease_slots, slots

revision = "0006"
down_revision = "0005"

ADDED: dict[Table, tuple[str, ...]] = {
    slots: ("parent", "mig_profile", "seats", "auto"),
    lease_slots: ("budget_bytes",),
}


def upgrade() -> None:
    """Add what is lacking; a new database has it all from the first step."""
    connection = op.get_bind()
    gpu_modes.create(connection, checkfirst=True)
    known = inspect(connection)
    for table, names in ADDED.items():
        there = {column["name"] for column in known.get_columns(table.name)}
        for name in names:
            if name not in there:
                op.add_column(table.name, _added(table.columns[name]))


def downgrade() -> None:
    """Leave them: an older service does not look at them."""


def _added(column: Column[Any]) -> Column[Any]:
    default: Any = column.server_default.arg if isinstance(column.server_default, DefaultClause) else None
    return Column(column.name, column.type, nullable=column.nullable, server_default=default)
