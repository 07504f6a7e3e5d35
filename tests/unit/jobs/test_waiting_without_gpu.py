"""A server that runs without its GPUs while it waits for them, and gets them by a restart."""

from __future__ import annotations

from typing import Any

import pytest
from service_at_work import AtWork
from waiting_at_work import HubSide, both_taken, freed, lease_of, shown, waits

from himalia.states import LeaseState
from himalia_jobs.store import leases

pytestmark = pytest.mark.asyncio


async def runs_without(work: AtWork, hub_side: HubSide) -> tuple[str, str]:
    """Let ada's server run without its GPUs; return its wait, and the lease of somebody's GPU."""
    first, _ = await both_taken(work)
    wait_id = await waits(hub_side)
    answer = await work.ask("POST", f"waiting/{wait_id}/start")
    assert answer.status_code == 200, answer.text
    return wait_id, first


async def told_in_lab(work: AtWork) -> list[dict[str, Any]]:
    """Return what ada is told in Lab."""
    return list((await work.ask("GET", "notices")).json()["notices"])


async def test_it_starts_with_the_profiles_cpus_and_memory_and_stays_in_line(work: AtWork, hub_side: HubSide):
    wait_id, _ = await runs_without(work, hub_side)

    beside = await lease_of(work, hub_side.held["ada", ""])
    wish = await lease_of(work, wait_id)
    assert (beside.state, beside.gpus, beside.cpus, beside.memory_bytes) == (LeaseState.HELD, "0", 1.0, 2**30)
    assert (wish.state, wish.beside, wish.cpus, wish.memory_bytes) == (LeaseState.WAITING, beside.id, 0.0, 0)
    seen = await shown(work, wait_id)
    assert (seen["state"], seen["meanwhile"]) == ("waiting", True)


async def test_when_it_is_its_turn_the_gpus_are_kept_and_the_running_server_is_left_alone(work, hub_side):
    wait_id, first = await runs_without(work, hub_side)

    await freed(work, first)
    await work.service.starter.step(wait_id)

    seen = await shown(work, wait_id)
    assert seen["state"] == "kept"
    assert seen["sentence"].startswith("A GPU is free for your server: restart it to get it. Running kernels end. Kept")
    assert seen["kept_until"]
    assert (work.hub.asked["stop ada/"], work.hub.asked["start ada/"]) == (0, 1)
    assert (await work.ask("GET", "gpus")).json()["free"] == 0


async def test_a_restart_gives_the_gpus_and_no_share_is_held_twice(work: AtWork, hub_side: HubSide):
    wait_id, first = await runs_without(work, hub_side)
    await freed(work, first)

    assert (await work.ask("POST", f"waiting/{wait_id}/restart")).status_code == 200
    await work.service.starter.step(wait_id)

    wish = await lease_of(work, wait_id)
    assert (wish.state, wish.cpus, wish.memory_bytes, wish.gpus) == (LeaseState.HELD, 1.0, 2**30, "1")
    assert hub_side.held == {("ada", ""): wait_id}
    standing = await work.service.db.read(leases.live)
    assert [lease.id for lease in standing if lease.user == "ada"] == [wait_id]
    assert (await shown(work, wait_id))["state"] == "started"


async def test_a_restart_by_hand_gives_them_as_well(work: AtWork, hub_side: HubSide):
    wait_id, first = await runs_without(work, hub_side)
    await freed(work, first)

    await hub_side.stop("ada", "")
    await hub_side.start("ada", "")

    assert hub_side.held == {("ada", ""): wait_id}
    assert (await lease_of(work, wait_id)).cpus == 1.0


async def test_a_restart_before_its_turn_runs_without_again(work: AtWork, hub_side: HubSide):
    wait_id, _ = await runs_without(work, hub_side)

    await hub_side.stop("ada", "")
    assert (await lease_of(work, wait_id)).cpus == 1.0
    await hub_side.start("ada", "")

    assert (await lease_of(work, wait_id)).beside == hub_side.held["ada", ""] != wait_id


async def test_a_server_that_was_stopped_meanwhile_is_started_when_it_is_its_turn(work: AtWork, hub_side: HubSide):
    wait_id, first = await runs_without(work, hub_side)
    await hub_side.stop("ada", "")
    work.hub.servers.clear()

    await freed(work, first)
    await work.service.starter.step(wait_id)

    assert (await lease_of(work, wait_id)).state is LeaseState.HELD


async def test_who_does_not_answer_lets_the_next_have_them_and_keeps_the_server(work, hub_side, monkeypatch):
    wait_id, first = await runs_without(work, hub_side)
    await freed(work, first)
    await work.service.starter.step(wait_id)
    now = work.service.clock.now()
    monkeypatch.setattr(work.service.clock, "now", lambda: now + work.service.site.queue.kept_for + 1)

    await work.service.starter.step(wait_id)

    assert (await shown(work, wait_id))["outcome"] == "passed_on"
    (told,) = await told_in_lab(work)
    assert told["kind"] == "wait_over"
    assert "went to the next in line" in told["sentence"]
    assert (await lease_of(work, hub_side.held["ada", ""])).state is LeaseState.HELD
    assert (await work.ask("GET", "gpus")).json()["free"] == 1


async def test_the_line_can_be_left_while_the_server_runs(work: AtWork, hub_side: HubSide):
    wait_id, first = await runs_without(work, hub_side)
    await freed(work, first)

    assert (await work.ask("DELETE", f"waiting/{wait_id}")).status_code == 204

    assert (await lease_of(work, hub_side.held["ada", ""])).state is LeaseState.HELD
    assert (await work.ask("GET", "gpus")).json()["free"] == 1


async def test_a_start_without_gpus_that_the_hub_refuses_is_told_and_the_place_kept(work: AtWork, hub_side: HubSide):
    await both_taken(work)
    wait_id = await waits(hub_side)

    async def refused(*_: object) -> tuple[int, str]:
        return 503, "Not even the CPUs and the memory of this profile are free now."

    work.hub.on_start = refused
    answer = await work.ask("POST", f"waiting/{wait_id}/start")

    assert (answer.status_code, "Not even the CPUs" in answer.json()["error"]["message"]) == (409, True)
    seen = await shown(work, wait_id)
    assert (seen["state"], seen["position"], seen["meanwhile"]) == ("waiting", 1, False)


async def test_what_has_no_gpus_or_is_not_kept_cannot_be_started_or_restarted(work: AtWork, hub_side: HubSide):
    await both_taken(work)
    wait_id = await waits(hub_side)
    wish = {"user": "eve", "spawn_id": "e", "profile": "small", "teams": []}
    small = (await work.ask("POST", "leases", "spawner", json=wish)).json()["id"]
    await work.ask("POST", f"leases/{small}/stay", "spawner", json={"options": {}})

    assert (await work.ask("POST", f"waiting/{wait_id}/restart")).status_code == 409
    answer = await work.ask("POST", f"waiting/{small}/start", "eve")
    assert (answer.status_code, "has no GPUs" in answer.json()["error"]["message"]) == (422, True)


@pytest.mark.parametrize(
    ("answer", "state", "over"),
    [
        ("restart", LeaseState.HELD, None),
        ("later", LeaseState.RESERVED, None),
        ("drop", LeaseState.RELEASED, "cancelled"),
    ],
)
async def test_lab_asks_once_and_the_answer_is_made_true(work: AtWork, hub_side: HubSide, answer, state, over):
    wait_id, first = await runs_without(work, hub_side)
    await freed(work, first)
    for _ in range(2):
        await work.service.starter.step(wait_id)
    (told,) = await told_in_lab(work)

    assert list(told["actions"].values()) == ["Restart now", "Later", "No longer needed"]
    sent = await work.ask("POST", f"notices/{told['id']}/answer", json={"answer": answer})
    assert sent.status_code == 200, sent.text
    await work.service.starter.step(wait_id)

    wish = await lease_of(work, wait_id)
    assert (wish.state, wish.outcome) == (state, over)
    assert await told_in_lab(work) == []


async def test_an_answer_that_comes_too_late_is_told_so(work: AtWork, hub_side: HubSide):
    wait_id, first = await runs_without(work, hub_side)
    await freed(work, first)
    await work.service.starter.step(wait_id)
    (told,) = await told_in_lab(work)

    await work.ask("DELETE", f"waiting/{wait_id}")
    sent = await work.ask("POST", f"notices/{told['id']}/answer", json={"answer": "restart"})

    assert sent.status_code == 409
    assert await told_in_lab(work) == []


async def test_an_administrator_takes_back_what_is_kept_and_the_running_server_is_left_alone(work, hub_side):
    wait_id, first = await runs_without(work, hub_side)
    await freed(work, first)

    answer = await work.ask("POST", "gpus/GPU-0/release", "root", json={"why": "Demo at noon."})

    assert answer.status_code == 200, answer.text
    seen = await shown(work, wait_id)
    assert seen["sentence"] == "The wait was cancelled. root, an administrator, ended the wait. Demo at noon."
    assert (work.hub.asked["stop ada/"], (await work.ask("GET", "gpus")).json()["free"]) == (0, 1)
