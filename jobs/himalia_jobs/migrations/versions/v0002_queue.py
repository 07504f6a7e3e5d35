"""What the queue needs to know: columns, indexes and tables that an older database lacks."""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import Column, DefaultClause, inspect

from himalia_jobs.store.tables import metadata

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what is lacking; a new database has it all from the first step."""
    connection = op.get_bind()
    metadata.create_all(connection)
    known = inspect(connection)
    for table in metadata.sorted_tables:
        there = {column["name"] for column in known.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                default: Any = column.server_default.arg if isinstance(column.server_default, DefaultClause) else None
                added = Column(column.name, column.type, nullable=column.nullable, server_default=default)
                op.add_column(table.name, added)
        indexes = {index["name"] for index in known.get_indexes(table.name)}
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            if index.name not in indexes:
                index.create(connection)


def downgrade() -> None:
    """Leave them: an older service does not look at them."""
