"""A service that must not work answers every route with one sentence; a database that must not be used is left as it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import pytest
from docker.errors import NotFound
from doors import DOORS
from service_at_work import listening, settings_for

from himalia.errors import Unavailable
from himalia_jobs.app import _only_one, _refuse_a_lost_database
from himalia_jobs.engines import bridges
from himalia_jobs.engines.base import Listing, Observed, Phase
from himalia_jobs.engines.journal import SCHEMA, Journal
from himalia_jobs.layout import DataLayout
from himalia_jobs.refusing import Refusing
from himalia_jobs.store import jobs
from himalia_jobs.store.schema import open_database


@pytest.mark.asyncio
async def test_every_route_answers_with_the_sentence(tmp_path):
    service = Refusing(settings_for(tmp_path), Unavailable("The database is missing. Put a backup in its place."))

    async with listening(service) as http:
        for method, path in DOORS:
            answer = await http.request(method, f"/services/jobs/api/{path}", headers={"Authorization": "Bearer x"})
            if path == "openapi.json":
                continue
            assert answer.status_code == 503, (method, path)
            if path == "health":
                assert answer.json()["sentences"] == [service.refusal.message]
            elif method != "head":
                assert answer.json()["error"]["message"] == service.refusal.message
                assert answer.headers["Retry-After"]


@pytest.mark.fault(13)
@pytest.mark.parametrize("content", [b"SQLite format 3\0" + b"\xff" * 5000, b"\0" * 10_000, b"no database" * 500])
def test_a_database_that_is_no_database_is_refused_and_left_as_it_is(tmp_path, content):
    file = tmp_path / "himalia.sqlite"
    file.write_bytes(content)

    with pytest.raises(Unavailable, match="damaged") as refused:
        open_database(file)

    assert "Put a backup in its place" in refused.value.message
    assert file.read_bytes() == content


@pytest.mark.fault(13)
@pytest.mark.parametrize("content", [b"SQLite format 3\0" + b"\xff" * 5000, b"no journal" * 500])
def test_a_journal_that_is_damaged_is_refused_and_left_as_it_is(tmp_path, content):
    file = tmp_path / "journal.sqlite"
    file.write_bytes(content)

    with pytest.raises(Unavailable, match="journal .* is damaged") as refused:
        Journal(file)

    assert "Put a backup in its place, or move it away" in refused.value.message
    assert [found.name for found in tmp_path.iterdir()] == ["journal.sqlite"]
    assert file.read_bytes() == content


def test_a_journal_of_an_older_service_is_opened_and_goes_on(tmp_path):
    file = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(file)) as db:
        db.executescript(SCHEMA.replace("    started_clock REAL,\n", ""))
        db.execute("INSERT INTO attempts (id, started_at, changed_at) VALUES ('aaaaaaaaaaaa.1', 1.0, 1.0)")
        db.commit()

    journal = Journal(file)
    journal.started("aaaaaaaaaaaa.2", 5.0)

    old, new = journal.find("aaaaaaaaaaaa.1"), journal.find("aaaaaaaaaaaa.2")
    assert (old.started, old.started_clock, new.started_clock) == (True, None, 5.0)
    journal.close()


def test_a_journal_is_opened_again_with_all_that_is_in_it(tmp_path):
    file = tmp_path / "it's 100%" / "journal.sqlite"
    first = Journal(file)
    first.started("aaaaaaaaaaaa.1")  # and is killed: nothing is tidied up

    again = Journal(file)

    entry = again.find("aaaaaaaaaaaa.1")
    assert entry is not None
    assert entry.started
    again.close()
    first.close()


@pytest.mark.asyncio
async def test_a_service_that_refuses_makes_no_network(monkeypatch):
    asked = []

    class EngineWithoutNetworks:
        """An Engine without networks, which notes what is asked of it."""

        def __init__(self, host: str | None) -> None:
            self.host = host

        async def __call__(self, method: str, *_: object, **__: object) -> dict[str, object]:
            """Know nothing."""
            asked.append(method)
            raise NotFound("no such network", response=SimpleNamespace(status_code=404))

        def close(self) -> None:
            """Do nothing."""

    monkeypatch.setattr(bridges, "DockerCalls", EngineWithoutNetworks)

    assert await bridges.find_gateway(None, "aaaaaaaaaaaa") is None
    assert asked == ["inspect_network"]


class EngineThatRuns:
    """Tells of containers of this installation that run."""

    def __init__(self, *attempts: str) -> None:
        self.attempts = attempts

    async def list(self) -> Listing:
        """Return them."""
        running = tuple(Observed(attempt=attempt, name=attempt, phase=Phase.RUNNING) for attempt in self.attempts)
        return Listing(node_id="local", complete=True, containers=running)


@pytest.mark.fault(12)
@pytest.mark.asyncio
@pytest.mark.parametrize("content", [None, b"", b"cut"])
async def test_a_database_that_is_lost_or_empty_is_not_begun_anew_while_containers_run(tmp_path, content):
    settings, layout = settings_for(tmp_path), DataLayout(data=tmp_path)
    if content is not None:
        layout.database.write_bytes(content)

    with pytest.raises(Unavailable, match="--adopt"):
        await _refuse_a_lost_database(settings, layout, EngineThatRuns("aaaaaaaaaaaa.1"))

    await _refuse_a_lost_database(settings, layout, EngineThatRuns())
    await _refuse_a_lost_database(replace(settings, adopt=True), layout, EngineThatRuns("aaaaaaaaaaaa.1"))
    (layout.data / "jobs" / "aaaaaaaaaaaa").mkdir(parents=True)
    with pytest.raises(Unavailable, match="holds jobs"):
        await _refuse_a_lost_database(settings, layout, EngineThatRuns())


@pytest.mark.fault(14)
def test_of_two_services_on_one_data_directory_the_second_is_refused(tmp_path):
    with _only_one(tmp_path):
        with pytest.raises(Unavailable, match="Another job service"), _only_one(tmp_path):
            pass

    with _only_one(tmp_path):
        pass


@pytest.mark.fault(19)
def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path):
    file = tmp_path / "himalia.sqlite"
    open_database(file).close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = file.read_bytes()

    with pytest.raises(Unavailable, match="newer Himalia"):
        open_database(file)

    assert file.read_bytes() == before


def test_a_database_is_opened_again_with_all_that_is_in_it(tmp_path, db, add_job):
    job = add_job()
    db.close()

    again = open_database(db.file)

    assert again.read_now(lambda connection: jobs.get(connection, job.id)) == job
    again.close()


def test_a_change_that_fails_leaves_nothing_of_itself(db, add_job):
    job = add_job()

    def half(connection):
        jobs.remove(connection, job)
        raise KeyError("cut short")

    with pytest.raises(KeyError):
        db.write_now(half)

    assert db.read_now(lambda connection: jobs.find(connection, job.id)) == job
