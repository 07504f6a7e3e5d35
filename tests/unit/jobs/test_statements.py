"""Statements that are built once take no column that is not there."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, create_engine, update

from himalia_jobs.store.statements import add_row, change_rows
from himalia_jobs.store.tables import metadata, users

CHANGE = update(users).where(users.c.name == bindparam("who"))
ADA = {"id": "a", "name": "ada", "hub_created": "2030", "created_at": "2030"}


def test_a_column_that_a_table_lacks_is_refused_and_not_left_out():
    with create_engine("sqlite://").connect() as db:
        metadata.create_all(db)
        add_row(db, users, ADA)

        with pytest.raises(KeyError, match="users has no column nick"):
            add_row(db, users, ADA | {"id": "b", "nick": "eve"})
        with pytest.raises(KeyError, match="users has no column nick"):
            change_rows(db, CHANGE, {"who": "ada"}, {"nick": "eve"})

        assert change_rows(db, CHANGE, {"who": "ada"}, {"hub_created": "2031"}) == 1
        assert change_rows(db, CHANGE, {"who": "eve"}, {"hub_created": "2031"}) == 0
