"""Running statements that are built once: SQLAlchemy takes several times as long to build one as SQLite takes to run it.

Values given beside a statement are not checked by SQLAlchemy: a column that a table lacks would be left out without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Table, Update, insert


def add_row(db: Connection, table: Table, values: Mapping[str, Any]) -> None:
    """Write a row."""
    _must_have(table, values)
    db.execute(_insert(table), values)


def change_rows(db: Connection, statement: Update, rows: Mapping[str, Any], values: Mapping[str, Any]) -> int:
    """Change the rows that a statement finds by its own parameters `rows`; return how many there are."""
    assert isinstance(statement.table, Table)
    _must_have(statement.table, values)
    return int(db.execute(statement, {**rows, **values}).rowcount)


@cache
def _insert(table: Table) -> Insert:
    return insert(table)


def _must_have(table: Table, names: Iterable[str]) -> None:
    lacking = [name for name in names if name not in table.c]
    if lacking:
        raise KeyError(f"{table.name} has no column {', '.join(lacking)}")
