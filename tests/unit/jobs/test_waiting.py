"""Servers that wait by themselves: the service starts each when it is its turn, and ends each wait with a sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from service_at_work import AtWork
from waiting_at_work import CHOICE, HubSide, both_taken, freed, lease_of, shown, waits

from himalia.models import Outcome
from himalia.states import LeaseState
from himalia_jobs.store import wishes
from himalia_jobs.store.tables import leases as table

pytestmark = pytest.mark.asyncio


async def test_who_waits_sees_place_reason_and_until_when(work: AtWork, hub_side: HubSide):
    await both_taken(work)

    wait_id = await waits(hub_side)

    seen = await shown(work, wait_id)
    assert (seen["state"], seen["position"], seen["title"], seen["gpus"]) == ("waiting", 1, "gpu", "1")
    assert seen["sentence"].startswith("1st in line. Waiting for 1 of: GPU 0 (in use)")
    assert seen["leaves_at"] > seen["since"]
    assert (seen["page"], seen["url"]) == (f"/services/jobs/waiting/{wait_id}", "/user/ada/")
    (listed,) = (await work.ask("GET", "waiting")).json()["waiting"]
    assert listed["id"] == wait_id


async def test_a_wait_is_its_persons_alone_and_administrators(work: AtWork, hub_side: HubSide):
    await both_taken(work)
    wait_id = await waits(hub_side)

    assert (await work.ask("GET", f"waiting/{wait_id}", "root")).status_code == 200
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/start"), ("POST", "/restart")):
        assert (await work.ask(method, f"waiting/{wait_id}{path}", "eve")).status_code == 404
    assert (await work.ask("GET", "waiting", "eve")).json() == {"waiting": []}


async def test_when_it_is_its_turn_the_server_is_started_as_it_was_chosen(work: AtWork, hub_side: HubSide):
    first, _ = await both_taken(work)
    wait_id = await waits(hub_side, server="lab")
    work.hub.known_servers.add(("ada", "lab"))

    await freed(work, first)
    assert (await shown(work, wait_id))["state"] == "starting"
    await work.service.starter.step(wait_id)

    assert work.hub.servers == {("ada", "lab"): CHOICE | {"wait": wait_id}}
    assert (await lease_of(work, wait_id)).state is LeaseState.HELD
    seen = await shown(work, wait_id)
    assert (seen["state"], seen["sentence"], seen["url"]) == ("started", "The server has started.", "/user/ada/lab/")


async def test_nobody_has_to_ask_for_a_place_to_stay(work: AtWork, hub_side: HubSide, monkeypatch):
    await both_taken(work)
    wait_id = await waits(hub_side)
    now = work.service.clock.now()
    monkeypatch.setattr(work.service.clock, "now", lambda: now + 3600)

    assert not work.service.serving.lapsed(await lease_of(work, wait_id))


async def test_a_silent_hub_is_asked_again_and_the_share_kept_meanwhile(work: AtWork, hub_side: HubSide):
    first, _ = await both_taken(work)
    wait_id = await waits(hub_side)
    await freed(work, first)

    await work.hub.hang_up()
    assert await work.service.starter.step(wait_id)
    assert "The hub does not answer" in work.service.starter.said[wait_id]
    await work.hub.listen()
    await work.service.starter.step(wait_id)

    assert (await lease_of(work, wait_id)).state is LeaseState.HELD


async def test_a_hub_with_too_many_starts_is_asked_again(work: AtWork, hub_side: HubSide):
    first, _ = await both_taken(work)
    wait_id = await waits(hub_side)
    await freed(work, first)

    async def full(*_: object) -> tuple[int, str]:
        return 429, "Too many users trying to log in right now."

    work.hub.on_start = full
    await work.service.starter.step(wait_id)

    seen = await shown(work, wait_id)
    assert (seen["state"], "Too many users" in seen["sentence"]) == ("starting", True)
    work.hub.on_start = hub_side.start
    await work.service.starter.step(wait_id)
    assert (await shown(work, wait_id))["state"] == "started"


async def test_what_cannot_be_started_in_time_goes_to_the_next_in_line(work: AtWork, hub_side: HubSide, monkeypatch):
    first, _ = await both_taken(work)
    wait_id = await waits(hub_side)
    behind = await waits(hub_side, "eve")
    await freed(work, first)
    work.service.starter.kept_seconds(wait_id)
    now = work.service.clock.now()
    monkeypatch.setattr(work.service.clock, "now", lambda: now + work.service.site.queue.kept_for + 1)

    await work.service.starter.step(wait_id)
    await work.service._round()

    seen = await shown(work, wait_id)
    assert (seen["state"], seen["outcome"]) == ("over", "passed_on")
    assert "went to the next in line" in seen["sentence"]
    assert (await lease_of(work, behind)).state is LeaseState.RESERVED


async def test_a_start_that_fails_gives_its_share_back_and_says_why(work: AtWork, hub_side: HubSide):
    first, _ = await both_taken(work)
    wait_id = await waits(hub_side)
    await freed(work, first)
    hub_side.fails = "The server ended while it was starting (exit code 1)."

    await work.service.starter.step(wait_id)

    seen = await shown(work, wait_id)
    assert (seen["state"], seen["outcome"]) == ("over", "not_started")
    assert seen["sentence"].endswith("(exit code 1).")
    assert (await work.ask("GET", "gpus")).json()["free"] == 1


@pytest.mark.parametrize("step", ["in line", "turn", "taken over", "started"])
async def test_the_line_can_be_left_at_every_step(work: AtWork, hub_side: HubSide, step):
    first, _ = await both_taken(work)
    wait_id = await waits(hub_side)
    if step != "in line":
        await freed(work, first)
    if step == "taken over":
        wish = {"user": "ada", "spawn_id": "last", "profile": "gpu", "teams": []}
        assert (await work.ask("POST", "leases", "spawner", json=wish)).json()["id"] == wait_id
    if step == "started":
        await work.service.starter.step(wait_id)

    left = await work.ask("DELETE", f"waiting/{wait_id}")

    assert left.status_code == (409 if step == "started" else 204)
    bound = await work.ask("POST", f"leases/{wait_id}/bind", "spawner", json={"container": "late"})
    assert bound.status_code == 409  # a start under way ends there, and removes its container
    if step != "started":
        assert (await shown(work, wait_id))["sentence"] == "The wait was cancelled."
        assert (await work.ask("DELETE", f"waiting/{wait_id}")).status_code == 204
        assert await work.service.starter.step(wait_id) is None
        assert not work.hub.servers


async def test_who_leaves_while_the_hub_is_about_to_start_the_server_gets_none(work: AtWork, hub_side: HubSide):
    first, _ = await both_taken(work)
    wait_id = await waits(hub_side)
    await freed(work, first)

    async def slow(user: str, server: str, options: dict[str, object]) -> tuple[int, str]:
        assert (await work.ask("DELETE", f"waiting/{wait_id}")).status_code == 204
        return await hub_side.start(user, server, options)

    work.hub.on_start = slow
    await work.service.starter.step(wait_id)

    assert (work.hub.servers, hub_side.held) == ({}, {})
    assert (await work.ask("GET", "waiting")).json() == {"waiting": []}
    assert (await shown(work, wait_id))["outcome"] == "cancelled"


async def test_who_waits_longer_than_is_allowed_leaves_the_line(work: AtWork, hub_side: HubSide):
    await both_taken(work)
    wait_id = await waits(hub_side)
    long_ago = (datetime.now(UTC) - timedelta(days=8)).isoformat()
    await work.service.db.write(lambda db: db.execute(table.update().values(created_at=long_ago)) and None)

    await work.service.starter.tidy()

    assert (await shown(work, wait_id))["outcome"] == "too_long"


@pytest.mark.parametrize("turn", [False, True])
async def test_who_was_deleted_or_is_somebody_else_by_now_is_not_started(work: AtWork, hub_side: HubSide, turn):
    first, _ = await both_taken(work)
    wait_id = await waits(hub_side)
    if turn:
        await freed(work, first)
    work.hub.created["ada"] = "2030-01-01T00:00:00Z"

    await (work.service.starter.step(wait_id) if turn else work.service.starter.tidy())

    assert (await lease_of(work, wait_id)).outcome is Outcome.GONE
    assert not work.hub.servers


async def test_a_server_that_was_deleted_is_not_started(work: AtWork, hub_side: HubSide):
    await both_taken(work)
    wait_id = await waits(hub_side, server="lab")

    await work.service.starter.tidy()

    assert (await lease_of(work, wait_id)).outcome is Outcome.GONE


async def test_who_left_the_team_of_a_profile_leaves_the_line_and_others_teams_follow(work: AtWork, hub_side: HubSide):
    await both_taken(work)
    wish = {"user": "ada", "spawn_id": "s", "profile": "for-nlp", "teams": ["nlp"]}
    closed = (await work.ask("POST", "leases", "spawner", json=wish)).json()["id"]
    await work.ask("POST", f"leases/{closed}/stay", "spawner", json={"options": {}})
    wait_id = await waits(hub_side, "bob", "own")
    work.hub.known_servers.add(("bob", "own"))
    await work.service.starter.tidy()
    assert list((await lease_of(work, wait_id)).teams) == ["nlp"]

    for name in ("ada", "bob"):
        work.hub.knows(name, teams=())
    await work.service.starter.tidy()

    assert (await lease_of(work, closed)).outcome is Outcome.NOT_ALLOWED
    assert (await lease_of(work, wait_id)).teams == {}


async def test_a_profile_that_no_machine_can_give_any_more_ends_its_waits(work: AtWork, hub_side: HubSide):
    await both_taken(work)
    wait_id = await waits(hub_side)
    await work.service.db.write(lambda db: wishes.change(db, wait_id, cpus=99.0))

    await work.service._round()

    seen = await shown(work, wait_id)
    assert (seen["outcome"], "99 CPUs are more" in seen["sentence"]) == ("cannot_run", True)


async def test_a_service_that_was_killed_goes_on_with_every_wait(work: AtWork, hub_side: HubSide):
    first, _ = await both_taken(work)
    wait_id = await waits(hub_side)
    await freed(work, first)
    wish = {"user": "ada", "spawn_id": "cut short", "profile": "gpu", "teams": []}
    await work.ask("POST", "leases", "spawner", json=wish)  # the hub died with this start

    fresh = type(work.service.starter)(
        work.service.db, work.service.hub, work.service.starter.servers, work.service.site, work.service.clock, print
    )
    await fresh.step(wait_id)

    assert (await lease_of(work, wait_id)).state is LeaseState.HELD
    assert work.hub.asked["start ada/"] == 1
