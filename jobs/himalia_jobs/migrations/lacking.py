"""Adding what an older database lacks: a new one has everything from its first step."""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import Column, DefaultClause, Table, inspect


def add_columns(table: Table, *names: str) -> None:
    """Add these columns of a table, as it is defined today, where they are not there yet."""
    there = {column["name"] for column in inspect(op.get_bind()).get_columns(table.name)}
    for column in (table.columns[name] for name in names if name not in there):
        default: Any = column.server_default.arg if isinstance(column.server_default, DefaultClause) else None
        op.add_column(table.name, Column(column.name, column.type, nullable=column.nullable, server_default=default))


def add_indexes(table: Table, *names: str) -> None:
    """Add these indexes of a table, as they are defined today, where they are not there yet."""
    there = {index["name"] for index in inspect(op.get_bind()).get_indexes(table.name)}
    for index in table.indexes:
        if index.name in names and index.name not in there:
            index.create(op.get_bind())
