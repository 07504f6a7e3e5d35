"""GPU hours: held time is exact, a job's end or a restart loses none of it, and nobody reads more than is theirs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from rows import server_lease
from service_at_work import AtWork
from sqlalchemy import create_engine, text

from himalia.gpus import Slot
from himalia.models import UsageBy, UsageRow
from himalia_jobs.accounting import Accounting
from himalia_jobs.accounts import months_between, rows_by
from himalia_jobs.api.usage import as_table
from himalia_jobs.engines.gpus import GPUState
from himalia_jobs.person import ADMIN, Person
from himalia_jobs.store import grants, jobs, leases
from himalia_jobs.store.clock import to_text
from himalia_jobs.store.records import GrantRecord
from himalia_jobs.store.schema import open_database

NOW = datetime(2030, 2, 10, tzinfo=UTC)
ROOT = Person(id="r", name="root", admin=True, scopes=frozenset({ADMIN}))


def held(hours: float, *, start: datetime = NOW - timedelta(hours=24), **changes: object) -> GrantRecord:
    """Return a whole GPU that ada had for some hours in a project of hers."""
    values = {
        "number": 1,
        "lease_id": "a" * 12,
        "node_id": "local",
        "uuid": "GPU-0",
        "part": 1.0,
        "kind": "job",
        "user_id": "ada-id",
        "user": "ada",
        "teams": {"nlp": "nlp-id"},
        "owner_id": "ada-id",
        "owner": "user:ada",
        "project": "digits",
        "started_at": to_text(start),
        "ended_at": to_text(start + timedelta(hours=hours)),
    }
    return GrantRecord(**(values | changes))  # type: ignore[arg-type]


def rows(by: str, *given: GrantRecord, person: Person = ROOT, use=None, months=("2030-02",)) -> list[UsageRow]:
    """Return the rows that somebody sees of these."""
    return rows_by(UsageBy(by), given, use or {}, list(months), NOW, person)


def test_each_slot_counts_for_the_time_it_was_held_as_the_part_of_a_gpu_that_it_is():
    (row,) = rows("user", held(2), held(2, uuid="GPU-1"), held(4, part=0.25, kind="server"))

    assert (row.name, row.gpu_hours, row.job_hours, row.server_hours) == ("ada", 5.0, 4.0, 1.0)


def test_what_is_held_over_the_end_of_a_month_counts_in_both():
    over = held(0, start=datetime(2030, 1, 31, 20, tzinfo=UTC), ended_at="2030-02-01T06:00:00.000000Z")

    found = rows("user", over, months=("2030-01", "2030-02"))

    assert [(row.month, row.gpu_hours) for row in found] == [("2030-02", 6.0), ("2030-01", 4.0)]


def test_what_is_still_held_counts_until_now_and_no_clock_makes_it_negative():
    (row,) = rows("user", held(0, start=NOW - timedelta(hours=3), ended_at=None))
    assert row.gpu_hours == 3.0
    assert rows("user", held(0, start=NOW + timedelta(hours=1), ended_at=None)) == []
    assert rows("user", held(-5)) == []


def test_the_idle_share_is_of_what_was_measured():
    use = {(1, "2030-02"): (1800.0, 900.0), (2, "2030-02"): (600.0, 600.0)}

    (row,) = rows("user", held(2), held(2, number=2, part=0.5), use=use)

    assert row.measured_hours == pytest.approx(0.5 + 0.5 / 6, abs=1e-4)
    assert row.idle_share == pytest.approx((900 + 300) / (1800 + 300), abs=1e-4)
    assert rows("user", held(2))[0].idle_share is None


def test_a_team_has_the_hours_of_its_members_and_a_project_those_of_its_jobs():
    in_team = held(1, owner="team:nlp", owner_id="nlp-id", project="shared")
    notebook = held(2, kind="server", project="")

    assert [(row.name, row.gpu_hours) for row in rows("team", in_team, notebook)] == [("nlp", 3.0)]
    assert {row.name: row.gpu_hours for row in rows("project", in_team, notebook)} == {
        "team:nlp/shared": 1.0,
        "user:ada/": 2.0,
    }
    assert rows("team", held(1, teams={})) == []


def test_one_sees_ones_own_and_ones_teams_and_no_names_of_others_projects():
    mate = Person(id="bob-id", name="bob", admin=False, teams={"nlp": "nlp-id"})
    stranger = Person(id="eve-id", name="eve", admin=False)
    shared = held(1, owner="team:nlp", owner_id="nlp-id", project="shared")

    for by in ("user", "team", "project"):
        assert rows(by, held(1), shared, person=stranger) == []
    assert [(row.name, row.gpu_hours) for row in rows("user", held(1), shared, person=mate)] == [("ada", 2.0)]
    assert [(row.name, row.gpu_hours) for row in rows("project", held(1), shared, person=mate)] == [
        ("team:nlp/shared", 1.0)
    ]
    nobody = Person(id="", name="nobody", admin=False)
    assert rows("user", held(1, user_id="", owner_id="", teams={}), person=nobody) == []


def test_months_follow_each_other_over_the_end_of_a_year():
    assert months_between("2029-11", "2030-02") == ["2029-11", "2029-12", "2030-01", "2030-02"]


def test_a_table_is_for_spreadsheets_and_runs_nothing_there():
    row = rows("user", held(2))[0].model_copy(update={"name": "=cmd|' /C calc'!A0"})

    assert as_table((row,)).splitlines() == [
        "month,name,gpu_hours,job_hours,server_hours,measured_hours,idle_share",
        "2030-02,'=cmd|' /C calc'!A0,2.0,2.0,0.0,0.0,",
    ]


class Seen:
    """What was seen on the GPUs last."""

    states: dict[str, GPUState] = {}


class Clock:
    """A clock that a test moves."""

    boot_id = "1"
    seconds = 100.0

    def now(self) -> float:
        """Return seconds since the machine started."""
        return self.seconds

    def wall(self) -> datetime:
        """Return what the wall clock shows."""
        return NOW


def lease(db, slots: tuple[str, ...]) -> str:
    """Let a notebook of ada's have slots."""
    values = server_lease(user_id="ada-id", user="ada", profile="gpu", memory_bytes=1)

    def write(c) -> str:
        made = leases.add(c, values).id
        assert leases.take_slots(c, made, [Slot(uuid=uuid, index=0, model="H200", memory_bytes=1) for uuid in slots])
        return made

    return str(db.write_now(write))


@pytest.mark.asyncio
async def test_only_what_was_seen_anew_is_measured_and_what_nobody_tells_is_not_idle(db):
    seen, clock = Seen(), Clock()
    accounting = Accounting(db, clock, seen)
    lease(db, ("GPU-0", "GPU-1", "GPU-2"))

    for busy, seconds in ((0, 5.0), (0, 5.0), (50, 5.0), (0, 900.0)):
        clock.seconds += seconds
        states = {"GPU-0": busy, "GPU-1": 100, "GPU-2": None}
        seen.states = {uuid: GPUState(uuid=uuid, busy_percent=found) for uuid, found in states.items()}
        await accounting.measure()
        await accounting.measure()  # nothing new was seen
    await accounting.write()

    found = db.read_now(lambda c: grants.use_of(c, ["2030-02"]))
    assert found == {(1, "2030-02"): (10.0, 5.0), (2, "2030-02"): (10.0, 0.0)}


@pytest.mark.asyncio
async def test_what_is_measured_is_written_every_minute_and_adds_up(db):
    seen, clock = Seen(), Clock()
    accounting = Accounting(db, clock, seen)
    lease(db, ("GPU-0",))

    for _ in range(25):
        clock.seconds += 5
        seen.states = {"GPU-0": GPUState(uuid="GPU-0", busy_percent=0)}
        await accounting.measure()

    assert db.read_now(lambda c: grants.use_of(c, ["2030-02"])) == {(1, "2030-02"): (115.0, 115.0)}


def test_a_restart_loses_nothing_and_the_end_is_written_with_the_slots(db, tmp_path):
    made = lease(db, ("GPU-0",))
    db.close()

    again = open_database(tmp_path / "himalia.sqlite")
    (standing,) = again.read_now(grants.standing)
    again.write_now(lambda c: leases.release(c, made))
    (ended,) = again.read_now(lambda c: grants.between(c, "", "9"))
    again.close()

    assert (standing.lease_id, standing.ended_at) == (made, None)
    assert ended.ended_at is not None


def test_hours_of_an_older_database_are_taken_over_from_its_leases(db, tmp_path):
    held_now, gone = lease(db, ("GPU-0",)), lease(db, ("GPU-1",))
    db.write_now(lambda c: leases.release(c, gone))
    db.close()
    engine = create_engine(f"sqlite:///{tmp_path / 'himalia.sqlite'}")
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE grant_use"))
        connection.execute(text("DROP TABLE grants"))
        connection.execute(text("UPDATE leases SET granted_at = created_at, slot_count = 1"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0003'"))
    engine.dispose()

    again = open_database(tmp_path / "himalia.sqlite")
    found = {one.lease_id: one for one in again.read_now(lambda c: grants.between(c, "", "9"))}
    again.close()

    assert (found[held_now].uuid, found[held_now].ended_at) == ("GPU-0", None)
    assert (found[gone].uuid, found[gone].ended_at is None) == ("", False)


@pytest.mark.asyncio
async def test_hours_stay_when_the_job_is_deleted(work: AtWork):
    job = await work.submit(gpus="2", project="team-work")
    await work.service._round()
    attempt = await work.service.db.read(lambda db: jobs.last_attempt(db, job["id"]))
    assert attempt is not None
    before = (await work.ask("GET", "usage?by=project")).json()

    await work.service.db.write(lambda db: leases.release(db, attempt.lease_id))
    await work.service.db.write(lambda db: jobs.remove(db, jobs.get(db, job["id"])))
    after = (await work.ask("GET", "usage?by=project")).json()

    assert [row["name"] for row in before["rows"]] == [row["name"] for row in after["rows"]] == ["user:ada/team-work"]
    assert after["rows"][0]["gpu_hours"] >= before["rows"][0]["gpu_hours"]
    assert after["note"].startswith("What the driver says")
    table = await work.ask("GET", "usage.csv?by=project")
    assert table.headers["Content-Type"].startswith("text/csv")
    assert table.text.splitlines()[1].split(",")[1] == "user:ada/team-work"
    assert (await work.ask("GET", "usage", "eve")).json()["rows"] == []
    assert [row["name"] for row in (await work.ask("GET", "usage", "root")).json()["rows"]] == ["ada"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("by=colour", "by"),
        ("from=2030-13", "from"),
        ("to=soon", "to"),
        ("from=2030-02&to=2030-01", "from"),
        ("from=2001-01&to=2030-01", "from"),
    ],
)
async def test_a_time_that_is_none_is_told(work: AtWork, query, field):
    for path in ("usage", "usage.csv"):
        answer = await work.ask("GET", f"{path}?{query}")

        assert answer.status_code == 422
        assert list(answer.json()["error"]["fields"]) == [field]
    page = await work.open(f"usage?{query}")
    assert (page.status_code, "<h1>" in page.text) == (422, True)


@pytest.mark.asyncio
async def test_the_page_of_hours_says_so_when_there_are_none_and_shows_them_else(work: AtWork):
    empty = await work.open("usage")
    await work.submit(gpus="1", project="digits")
    await work.service._round()
    page = await work.open("usage?by=project")

    assert "No GPU hours in this time." in empty.text
    assert ">user:ada/digits</th>" in page.text
    assert "api/usage.csv?by=project" in page.text
