"""The operator sees who was here, and gives back to a person what is kept of them: safely, while the service runs."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest
from service_at_work import AtWork

from himalia.ids import new_id
from himalia.states import JobState
from himalia_jobs.layout import make_owned
from himalia_jobs.store import leases

pytestmark = pytest.mark.asyncio

LATER = "2027-01-01T00:00:00Z"


@pytest.fixture
def work(work: AtWork) -> AtWork:
    """A service that knows the platform's command."""
    work.hub.knows("platform", kind="service", scopes=("access:services!service=jobs", "custom:jobs:operate"))
    return work


async def attach(work: AtWork, name: str, key: str, *, force: bool = False) -> httpx.Response:
    """Do what the command does."""
    return await work.ask("POST", f"people/{key}/attach", "platform", json={"name": name, "force": force})


async def everybody(work: AtWork) -> dict[str, dict[str, Any]]:
    """Return all who were here, by internal id."""
    answer = await work.ask("GET", "people", "platform")
    assert answer.status_code == 200, answer.text
    return {person["id"]: person for person in answer.json()["people"]}


async def id_of(work: AtWork, name: str) -> str:
    """Return the internal id that a user of the hub has now."""
    return (await work.service.hub.named(name, ())).id


def anew(work: AtWork, name: str, created: str = LATER) -> None:
    """Let the hub forget a user and see the name again, as after the loss of its database."""
    work.hub.created[name] = created
    work.service.hub.auth.cache.clear()


async def test_a_person_of_a_hub_that_lost_its_database_gets_everything_back(work):
    job = await work.submit("ada", project="vision")
    old = await id_of(work, "ada")
    anew(work, "ada")
    work.service.hub.forget("ada")
    assert (await work.ask("GET", f"jobs/{job['id']}")).status_code == 404
    new = await id_of(work, "ada")
    assert new != old

    answer = await attach(work, "ada", old)

    assert answer.status_code == 200, answer.text
    assert (answer.json()["person"]["id"], answer.json()["before"]["id"]) == (old, new)
    assert await id_of(work, "ada") == old
    assert (await work.ask("GET", f"jobs/{job['id']}")).status_code == 200
    assert [project["name"] for project in (await work.ask("GET", "projects")).json()["projects"]] == ["vision"]


async def test_what_a_person_had_meanwhile_is_kept_and_can_be_brought_back(work):
    old = await id_of(work, "ada")
    anew(work, "ada")
    meanwhile = await id_of(work, "ada")
    await attach(work, "ada", old)

    assert (await everybody(work))[meanwhile]["present"] is False
    assert (await attach(work, "ada", meanwhile, force=True)).status_code == 200

    assert await id_of(work, "ada") == meanwhile


@pytest.mark.fault(64)
async def test_a_person_with_a_new_name_gets_their_own_and_it_is_shown_under_the_new_name(work):
    job = await work.submit("ada", project="vision")
    old = await id_of(work, "ada")
    del work.hub.created["ada"]
    work.hub.knows("countess")

    assert (await attach(work, "countess", old)).status_code == 200

    shown = (await work.ask("GET", f"jobs/{job['id']}", "countess")).json()
    assert (shown["user"], shown["owner"]) == ("countess", "user:countess")
    project = await work.ask("GET", "projects/user:countess/vision", "countess")
    assert project.json()["owner"] == "user:countess"
    owned = (await work.ask("GET", "jobs?owner=user:countess", "countess")).json()["jobs"]
    assert [found["id"] for found in owned] == [job["id"]]
    assert f"{old}\tuser:countess\n" in work.service.layout.owners.read_text()


async def test_somebody_whom_the_hub_has_now_loses_nothing_unless_it_is_meant(work):
    bobs = await id_of(work, "bob")
    work.hub.knows("robert")

    refused = await attach(work, "robert", bobs)

    assert refused.status_code == 409
    assert "bob, who is in the hub now" in refused.json()["error"]["message"]
    assert "--force" in refused.json()["error"]["message"]
    assert await id_of(work, "bob") == bobs
    assert (await attach(work, "robert", bobs, force=True)).status_code == 200
    assert await id_of(work, "robert") == bobs
    assert await id_of(work, "bob") != bobs


@pytest.mark.parametrize("whose", ["ada", "bob"])
@pytest.mark.parametrize("what", ["job", "server"])
async def test_nobody_s_directories_change_hands_while_something_of_theirs_waits_or_runs(work, whose, what):
    bobs, adas = await id_of(work, "bob"), await id_of(work, "ada")
    busy = {"ada": adas, "bob": bobs}[whose]
    if what == "job":
        job = await work.submit(whose)
        await work.attempt(job["id"], JobState.RUNNING)
    else:
        lease = {
            "id": new_id(),
            "kind": "server",
            "node_id": "local",
            "user_id": busy,
            "user": whose,
            "holder": "",
            "profile": "small",
            "cpus": 1.0,
            "memory_bytes": 1,
            "gpus": "0",
            "teams": {},
        }
        await work.service.db.write(lambda db: leases.add(db, lease))

    refused = await attach(work, "ada", bobs, force=True)

    assert refused.status_code == 409
    assert f"{whose} has" in refused.json()["error"]["message"]
    assert "End them first" in refused.json()["error"]["message"]
    assert (await id_of(work, "ada"), await id_of(work, "bob")) == (adas, bobs)


async def test_who_has_it_already_keeps_it_and_nothing_changes(work):
    await work.submit("ada")
    adas = await id_of(work, "ada")

    answer = await attach(work, "ada", adas)

    assert (answer.status_code, answer.json()["before"]) == (200, None)
    assert await id_of(work, "ada") == adas


@pytest.mark.parametrize("key", ["aaaaaaaaaaaa", "..", "%2e%2e%2fsecrets", "AAAAAAAAAAAA", "x" * 300])
async def test_an_id_under_which_nothing_is_kept_is_told(work, key):
    answer = await attach(work, "ada", key)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_a_name_that_the_hub_does_not_know_is_told_with_what_to_do(work):
    adas = await id_of(work, "ada")

    answer = await attach(work, "nobody", adas)

    assert answer.status_code == 404
    assert "Let them log in once" in answer.json()["error"]["message"]


async def test_directories_of_a_database_that_was_lost_are_listed_and_given_back(work):
    lost = new_id()
    make_owned(work.service.layout.home(lost), "eve")
    make_owned(work.service.layout.storage(lost), "eve")
    work.service.layout.owners.write_text(f"{lost}\tuser:eve\n")
    await id_of(work, "ada")  # the file is written anew

    listed = (await everybody(work))[lost]
    assert (listed["name"], listed["present"], len(listed["directories"])) == ("eve", False, 2)
    assert (await attach(work, "eve", lost)).status_code == 200

    assert await id_of(work, "eve") == lost
    assert (await everybody(work))[lost]["present"] is True


async def test_everybody_is_listed_with_what_is_known_of_them(work):
    await work.submit("ada")
    for number in range(250):  # more than the hub gives out at once
        work.hub.created[f"user-{number}"] = "2026-02-02T00:00:00Z"
    adas, zoes = await id_of(work, "ada"), await id_of(work, "user-249")

    listed = await everybody(work)

    assert (listed[adas]["name"], listed[adas]["created"], listed[adas]["job_count"]) == (
        "ada",
        "2026-01-01T00:00:00Z",
        1,
    )
    assert listed[adas]["last_seen"] > "2026"
    assert (listed[zoes]["present"], listed[zoes]["last_seen"]) == (True, None)
    work.hub.created.pop("user-249")
    assert (await everybody(work))[zoes]["present"] is False


@pytest.mark.parametrize("who", ["ada", "root", "spawner", None])
async def test_it_is_the_platform_s_command_s_alone(work, who):
    adas = await id_of(work, "ada")

    answers = [
        await work.ask("GET", "people", who),
        await work.ask("POST", f"people/{adas}/attach", who, json={"name": "eve"}),
    ]

    assert [answer.status_code for answer in answers] == [403 if who else 401] * 2


async def test_the_platforms_token_is_for_that_alone(work):
    for path in ("jobs", "gpus", "projects", "leases/aaaaaaaaaaaa"):
        assert (await work.ask("GET", path, "platform")).status_code == 403


async def test_it_is_written_in_the_log_who_became_whom(work, caplog):
    caplog.set_level(logging.WARNING, logger="himalia_jobs.people")
    adas = await id_of(work, "ada")
    work.hub.knows("countess")

    await attach(work, "countess", adas)
    await attach(work, "countess", adas, force=True)

    (record,) = [record for record in caplog.records if "AUDIT" in record.getMessage()]
    assert adas in record.getMessage()
    assert "countess" in record.getMessage()
    assert "was ada" in record.getMessage()


async def test_a_hub_that_is_silent_changes_nothing(work):
    adas = await id_of(work, "ada")
    await work.ask("GET", "people", "platform")
    await work.hub.hang_up()

    assert (await attach(work, "eve", adas)).status_code == 503

    await work.hub.listen()
    assert await id_of(work, "ada") == adas
