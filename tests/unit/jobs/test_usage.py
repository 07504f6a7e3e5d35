"""Who used how much, and who had something started last: read from grants and leases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, inspect, text

from himalia.gpus import Slot
from himalia.ids import new_id
from himalia_jobs.history import read_usage
from himalia_jobs.situation import read_last_starts
from himalia_jobs.store import grants, leases
from himalia_jobs.store.clock import to_text
from himalia_jobs.store.schema import open_database
from himalia_jobs.store.tables import grants as grants_table

NOW = datetime(2030, 1, 10, tzinfo=UTC)
WEEK = 7 * 86400


def granted(db, user, gpus, hours_ago, hours):
    """Write a lease that was held for some hours; none: it is held."""
    start = NOW - timedelta(hours=hours_ago)
    values = {
        "id": new_id(),
        "kind": "job",
        "state": "held" if hours is None else "released",
        "node_id": "local",
        "user_id": user,
        "user": user,
        "holder": "",
        "profile": "small",
        "cpus": 1.0,
        "memory_bytes": 1,
        "gpus": str(gpus),
        "teams": {},
        "slot_count": gpus,
        "granted_at": to_text(start),
        "changed_at": to_text(start if hours is None else start + timedelta(hours=hours)),
    }

    def write(c):
        leases.add(c, values)
        if gpus:
            slots = [Slot(uuid=f"GPU-{values['id']}-{n}", index=n, model="H200", memory_bytes=1) for n in range(gpus)]
            grants.begin(c, values["id"], slots)
            ended = None if hours is None else values["changed_at"]
            mine = grants_table.c.lease_id == values["id"]
            c.execute(grants_table.update().where(mine).values(started_at=to_text(start), ended_at=ended))

    db.write_now(write)


def test_usage_is_what_was_held_and_what_is_held_now(db):
    granted(db, "ada", 2, 3, 1)
    granted(db, "ada", 1, 1, None)
    granted(db, "bob", 4, 24 * 7 + 1, 1)
    granted(db, "cai", 8, 24 * 400, 1)
    granted(db, "dot", 0, 5, 2)

    usage = db.read_now(lambda c: read_usage(c, WEEK, NOW))

    assert usage["ada"] == pytest.approx(3, rel=0.02)
    assert usage["bob"] == pytest.approx(2, rel=0.02)
    assert usage.keys() == {"ada", "bob"}


def test_the_last_start_is_known_with_gpus_and_without(db):
    granted(db, "ada", 1, 5, 1)
    granted(db, "ada", 1, 3, None)
    granted(db, "ada", 0, 1, None)
    granted(db, "bob", 1, 30, 1)

    found = db.read_now(lambda c: read_last_starts(c, since=NOW - timedelta(days=1)))

    assert found == {("ada", True): NOW - timedelta(hours=3), ("ada", False): NOW - timedelta(hours=1)}


def test_a_database_of_the_first_step_gets_what_it_lacks_and_keeps_what_it_has(tmp_path):
    file = tmp_path / "himalia.sqlite"
    open_database(file).close()
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX leases_granted"))
        for column in ("granted_at", "slot_count"):
            connection.execute(text(f"ALTER TABLE leases DROP COLUMN {column}"))
        connection.execute(text("ALTER TABLE slots DROP COLUMN peers"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        connection.execute(text("INSERT INTO meta VALUES ('kept', 'yes')"))

    open_database(file).close()

    with engine.connect() as connection:
        assert {"granted_at", "slot_count"} <= {one["name"] for one in inspect(connection).get_columns("leases")}
        assert "leases_granted" in {one["name"] for one in inspect(connection).get_indexes("leases")}
        assert connection.execute(text("SELECT value FROM meta WHERE key = 'kept'")).scalar() == "yes"
    engine.dispose()
    assert next(tmp_path.glob("*.before-*.sqlite"))
