"""Who asks is known from the hub: kept for a minute, and a hub that is slow or dead holds up nobody who is known."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace

import jupyterhub.services.auth
import pytest
from service_at_work import AtWork, at_work

from himalia.states import JobState
from himalia_jobs import hub as hub_module
from himalia_jobs.hub import ANSWERS_KEPT_SECONDS
from himalia_jobs.store import jobs
from himalia_jobs.store.records import JobRecord

pytestmark = pytest.mark.asyncio


def watchers() -> int:
    """Return how many inotify instances this process has: each resolver of names has one, and a user has few."""
    return sum(
        link.readlink().name == "anon_inode:inotify" for link in Path("/proc/self/fd").iterdir() if link.is_symlink()
    )


async def test_the_hubs_answers_are_kept_for_a_minute(work: AtWork):
    for _ in range(5):
        assert (await work.ask("GET", "me")).status_code == 200

    assert ANSWERS_KEPT_SECONDS == work.service.hub.auth.cache_max_age == 60
    assert work.hub.asked == {"ada-token": 1, "users/ada": 1}


async def test_what_asking_the_hub_took_is_given_back_at_the_end(tmp_path):
    before = watchers()

    async with at_work(tmp_path / "data") as work:
        assert (await work.ask("GET", "me")).status_code == 200

    assert watchers() <= before


@pytest.mark.fault(82)
async def test_a_revoked_token_is_refused_after_a_minute_however_often_it_is_used_meanwhile(work: AtWork, monkeypatch):
    passed = [0.0]
    late = SimpleNamespace(time=time.time, monotonic=lambda: time.monotonic() + passed[0])
    monkeypatch.setattr(jupyterhub.services.auth, "time", late)
    monkeypatch.setattr(hub_module, "time", late)
    assert (await work.ask("GET", "me")).status_code == 200
    del work.hub.tokens["ada-token"]

    statuses = []
    for passed[0] in (0.0, 20.0, 40.0, 59.0, 61.0):
        statuses.append((await work.ask("GET", "me")).status_code)

    assert statuses == [200, 200, 200, 200, 401]
    assert (await work.ask("POST", "jobs", json={"project": "x", "command": "true"})).status_code == 401
    assert work.hub.asked["ada-token"] == 2


@pytest.mark.fault(96)
async def test_a_dead_hub_is_told_with_503_and_those_who_are_known_go_on(work: AtWork):
    await work.ask("GET", "me", "ada")
    await work.hub.hang_up()

    known, unknown = await work.ask("GET", "jobs", "ada"), await work.ask("GET", "jobs", "bob")

    assert known.status_code == 200
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (503, "unavailable")
    assert "The hub does not answer" in unknown.json()["error"]["message"]


async def test_a_hub_that_comes_back_is_asked_again(work: AtWork):
    await work.hub.hang_up()
    assert (await work.ask("GET", "me", "bob")).status_code == 503

    await work.hub.listen()

    assert (await work.ask("GET", "me", "bob")).status_code == 200


async def test_a_slow_hub_holds_up_only_those_who_are_not_known(work: AtWork, monkeypatch):
    monkeypatch.setattr(hub_module, "TIMEOUT_SECONDS", 0.2)
    await work.ask("GET", "me", "ada")
    work.hub.goes_on.clear()

    waiting = asyncio.create_task(work.ask("GET", "me", "bob"))
    await asyncio.sleep(0)
    begun = time.monotonic()
    known = await work.ask("GET", "me", "ada")
    took = time.monotonic() - begun
    slow = await waiting

    assert known.status_code == 200
    assert took < 0.4
    assert slow.status_code == 503


async def test_the_same_token_with_other_scopes_is_believed_anew(work: AtWork):
    assert (await work.ask("POST", "jobs", json={"project": "x", "command": "true"})).status_code == 201

    work.hub.knows("ada", teams=("nlp",), scopes=("access:services!service=jobs", "custom:jobs:read"))
    work.service.hub.auth.cache.clear()

    assert (await work.ask("POST", "jobs", json={"project": "x", "command": "true"})).status_code == 403


@pytest.mark.fault(64)
async def test_a_new_user_of_an_old_name_inherits_nothing(work: AtWork):
    job = await work.submit()
    before = (await work.service.hub.named("ada", ())).id

    work.hub.created["ada"] = "2027-01-01T00:00:00Z"
    work.hub.knows("ada", token="newcomer-token")

    assert (await work.service.hub.named("ada", ())).id != before
    assert (await work.ask("GET", f"jobs/{job['id']}", "newcomer")).status_code == 404
    assert (await work.ask("GET", "jobs", "newcomer")).json()["jobs"] == []


async def test_a_file_beside_the_directories_says_whose_they_are(work: AtWork):
    await work.ask("GET", "me", "ada")
    await work.ask("GET", "me", "eve")

    ada, eve = await work.service.hub.named("ada", ("nlp",)), await work.service.hub.named("eve", ())

    rows = dict(line.split("\t") for line in work.service.layout.owners.read_text().splitlines())
    assert rows == {ada.id: "user:ada", eve.id: "user:eve", ada.teams["nlp"]: "team:nlp"}


async def test_a_user_who_was_deleted_is_not_known_any_more(work: AtWork):
    del work.hub.created["ada"]

    assert (await work.ask("GET", "me")).status_code == 401


async def test_a_user_and_a_team_of_one_name_never_meet(work: AtWork):
    work.hub.knows("nlp")
    await work.submit("ada", owner="team:nlp")

    assert (await work.ask("GET", "jobs", "nlp")).json()["jobs"] == []
    assert (
        await work.ask("POST", "jobs", "nlp", json={"project": "x", "command": "true", "owner": "team:nlp"})
    ).is_error


async def test_an_administrators_powers_need_the_scope_as_well(work: AtWork):
    job = await work.submit()
    work.hub.knows("weak-root", admin=True)

    assert (await work.ask("GET", f"jobs/{job['id']}", "weak-root")).status_code == 404
    assert (await work.ask("GET", f"jobs/{job['id']}", "root")).status_code == 200


@pytest.mark.fault(82)
async def test_the_spawners_token_is_for_leases_alone(work: AtWork):
    assert (await work.ask("GET", "jobs", "spawner")).status_code == 403
    assert (await work.ask("GET", "profiles?for=servers&user=eve", "spawner")).status_code == 200
    assert (await work.ask("GET", "leases/" + "a" * 12, "spawner")).status_code == 404
    assert (await work.ask("GET", "leases/" + "a" * 12, "ada")).status_code == 403


@pytest.mark.fault(83)
async def test_a_stream_ends_when_its_reader_may_not_read_any_more(work: AtWork, monkeypatch):
    monkeypatch.setattr("himalia_jobs.api.base.ASK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr("himalia_jobs.api.events.KEEP_ALIVE_SECONDS", 0.05)
    path, headers = "/services/jobs/api/events", {"Authorization": "Bearer eve-token"}

    async with work.http.stream("GET", path, headers=headers) as stream:
        lines = stream.aiter_lines()
        assert await anext(lines)
        del work.hub.tokens["eve-token"]
        work.service.hub.auth.cache.clear()

        async with asyncio.timeout(10):
            async for _ in lines:
                pass


@pytest.mark.fault(96)
async def test_a_stream_stays_open_while_the_hub_is_down(work: AtWork, monkeypatch):
    monkeypatch.setattr("himalia_jobs.api.base.ASK_AGAIN_SECONDS", 0.0)
    path, headers = "/services/jobs/api/events", {"Authorization": "Bearer ada-token"}

    async with work.http.stream("GET", path, headers=headers) as stream:
        lines = stream.aiter_lines()
        assert await anext(lines)
        await work.service.hub.named("bob", ())
        await work.hub.hang_up()
        work.service.hub.auth.cache.clear()
        work.service.changes.tell()
        await work.service.db.write(lambda db: None)
        await work.hub.listen()

        job = await work.submit()

        async with asyncio.timeout(10):
            async for line in lines:
                if job["id"] in line:
                    break


async def test_who_leaves_a_team_while_a_job_waits_mounts_it_no_more(work: AtWork):
    waiting, started = await work.submit(), await work.submit()
    await work.attempt(started["id"], JobState.RUNNING)

    work.hub.knows("ada", teams=())
    await work.service.membership.refresh()

    assert (await job_of(work, waiting)).teams == {}
    assert set((await job_of(work, started)).teams) == {"nlp"}


async def test_the_teams_of_jobs_in_line_stay_while_the_hub_is_silent(work: AtWork):
    waiting = await work.submit()
    await work.hub.hang_up()

    await work.service.membership.refresh()

    assert set((await job_of(work, waiting)).teams) == {"nlp"}


@pytest.mark.fault(64)
async def test_jobs_of_a_user_who_was_deleted_mount_no_team(work: AtWork):
    waiting = await work.submit()
    del work.hub.created["ada"]

    await work.service.membership.refresh()

    assert (await job_of(work, waiting)).teams == {}


async def job_of(work: AtWork, shown: dict[str, object]) -> JobRecord:
    """Return a job as the database has it."""
    return await work.service.db.read(lambda db: jobs.get(db, str(shown["id"])))
