"""Events: every change of one's own jobs and of the ledger, in order, resumed where they broke off."""

from __future__ import annotations

import asyncio

import pytest
from event_listener import listener
from service_at_work import AtWork

from himalia_jobs.store import events, leases
from himalia_jobs.store.moves import note_ledger

pytestmark = pytest.mark.asyncio


async def test_who_comes_new_is_told_to_read_everything_and_then_each_change(work: AtWork):
    async with listener(work) as heard:
        first = await anext(heard)
        job = await work.submit()
        await work.service.wake()
        change = await anext(heard)

    assert first["kind"] == "resync"
    assert (change["kind"], change["job_id"], change["job"]["state"]) == ("job", job["id"], "queued")
    assert change["seq"] > first["seq"]


@pytest.mark.fault(97)
async def test_a_stream_is_resumed_without_a_gap_and_without_a_repeat(work: AtWork):
    jobs = [await work.submit() for _ in range(5)]
    last = jobs[1]["seq"]

    async with listener(work, last=last) as heard:
        missed = [await anext(heard) for _ in range(3)]

    assert [event["job_id"] for event in missed] == [job["id"] for job in jobs[2:]]
    assert [event["seq"] for event in missed] == sorted(event["seq"] for event in missed)


@pytest.mark.fault(98)
@pytest.mark.parametrize("last", [0, 10**9], ids=["too old", "of another database"])
async def test_who_cannot_be_resumed_is_told_to_read_everything(work: AtWork, last, monkeypatch):
    monkeypatch.setattr(events, "KEPT", 2)
    for _ in range(5):
        await work.submit()
    await work.service.db.write(events.trim)

    async with listener(work, last=last) as heard:
        assert (await anext(heard))["kind"] == "resync"


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "²", "9" * 30])
async def test_an_id_that_is_no_event_is_told(work: AtWork, last):
    answer = await work.ask("GET", "events", headers={"Last-Event-ID": last.encode("latin-1")})

    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, ["Last-Event-ID"])


async def test_strangers_hear_of_the_ledger_alone(work: AtWork):
    async with listener(work, "eve") as eve, listener(work, "bob") as bob, listener(work, "root") as root:
        for heard in (eve, bob, root):
            await anext(heard)
        own = await work.submit()
        teams = await work.submit(owner="team:nlp")
        await work.service.db.write(note_ledger)
        await work.service.wake()

        assert (await anext(eve))["kind"] == "ledger"
        assert [(await anext(bob))["job_id"] for _ in range(2)] == [teams["id"], None]
        assert [(await anext(root))["job_id"] for _ in range(3)] == [own["id"], teams["id"], None]


async def test_of_several_changes_of_one_job_the_last_is_told(work: AtWork):
    job = await work.submit()
    await work.ask("POST", f"jobs/{job['id']}/cancel")

    async with listener(work, last=job["seq"] - 1) as heard:
        event = await anext(heard)

    assert (event["job_id"], event["job"]["state"]) == (job["id"], "cancelled")


async def test_a_deleted_job_is_told(work: AtWork):
    job = await work.submit()
    cancelled = (await work.ask("POST", f"jobs/{job['id']}/cancel")).json()
    await work.ask("DELETE", f"jobs/{job['id']}")

    async with listener(work, last=cancelled["seq"]) as heard:
        event = await anext(heard)

    assert (event["kind"], event["job_id"], event["job"]) == ("job_deleted", job["id"], None)


async def test_a_quiet_stream_says_that_it_lives(work: AtWork, monkeypatch):
    monkeypatch.setattr("himalia_jobs.api.events.KEEP_ALIVE_SECONDS", 0.05)
    headers = {"Authorization": "Bearer ada-token"}

    async with asyncio.timeout(10), work.http.stream("GET", "/services/jobs/api/events", headers=headers) as stream:
        async for line in stream.aiter_lines():
            if line.startswith(":"):
                break


async def test_a_lease_of_a_server_is_told_to_all(work: AtWork):
    wish = {"user": "ada", "spawn_id": "s", "profile": "small"}

    async with listener(work, "eve") as heard:
        await anext(heard)
        made = await work.ask("POST", "leases", "spawner", json=wish)
        assert made.status_code == 201, made.text
        assert (await anext(heard))["kind"] == "ledger"

    assert [lease.user for lease in await work.service.db.read(leases.live)] == ["ada"]


async def test_who_moves_up_because_another_left_the_line_is_told_to_look_and_nobody_is_told_twice(work: AtWork):
    await work.submit("root", gpus="2")
    await work.service._round()
    before, mine = await work.submit("bob", gpus="1"), await work.submit("eve", gpus="1")
    await work.service._round()
    address = f"jobs/{mine['id']}"
    assert (await work.ask("GET", address, "eve")).json()["position"] == 2

    async with listener(work, "eve") as heard:
        first = await anext(heard)
        await work.ask("POST", f"jobs/{before['id']}/cancel", "bob")
        await work.service._round()
        told = await anext(heard)
        await work.service._round()  # nothing moves in it
        await work.ask("POST", f"{address}/cancel", "eve")
        last = await anext(heard)

    assert (told["kind"], told["seq"], told["job"]) == ("ledger", first["seq"], None)
    assert (last["kind"], last["job_id"]) == ("job", mine["id"])
