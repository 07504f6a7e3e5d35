"""What the queue needs to know: columns, indexes and tables that an older database lacks."""

from __future__ import annotations

from alembic import op
from sqlalchemy import inspect

from himalia_jobs.migrations.lacking import add_columns
from himalia_jobs.store.tables import metadata

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what is lacking; a new database has it all from the first step."""
    connection = op.get_bind()
    metadata.create_all(connection)
    known = inspect(connection)
    for table in metadata.sorted_tables:
        add_columns(table, *table.columns.keys())
        indexes = {index["name"] for index in known.get_indexes(table.name)}
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            if index.name not in indexes:
                index.create(connection)


def downgrade() -> None:
    """Leave them: an older service does not look at them."""
