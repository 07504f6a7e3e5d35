"""Asking a holder to give a GPU back: who may, how often, and that both hear of the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from idle_work import IdleWork, idle_work

from himalia.states import LeaseState
from himalia_jobs.store import jobs
from himalia_jobs.store.moves import move_lease

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def work(tmp_path: Path) -> AsyncIterator[IdleWork]:
    """Two GPUs, of which ada's servers hold both."""
    async with idle_work(tmp_path) as idle:
        await idle.server("ada")
        await idle.server("ada", server="second")
        yield idle


async def ask(work: IdleWork, who: str = "bob", gpu: str = "GPU-0") -> tuple[int, str]:
    """Ask for a GPU, and return status and sentence."""
    answer = await work.work.ask("POST", f"gpus/{gpu}/ask", who)
    body = answer.json()
    return answer.status_code, str(body["sentence"] if answer.is_success else body["error"]["message"])


async def test_who_waits_asks_the_holder_agrees_and_the_server_is_stopped(work: IdleWork):
    job = await work.waits("bob")
    shown = (await work.work.ask("GET", f"jobs/{job}", "bob")).json()
    assert [one["uuid"] for one in shown["waiting_for"]] == ["GPU-0", "GPU-1"]

    assert await ask(work) == (200, "ada is asked to give GPU 0 back. You are told what they answer.")
    (notice,) = await work.told("ada")
    assert notice["sentence"] == (
        "bob waits for a GPU like the one of your server (GPU 0). Release it? "
        "Your files stay; what is only in memory is lost."
    )
    assert list(notice["actions"]) == ["stop", "restart", "keep"]

    assert await work.answer("stop", "ada") == 200
    await work.look()
    assert work.hub_did == {"ada/": "stopped"}
    assert [one["sentence"] for one in await work.told("bob")] == [
        "ada gives GPU 0 back. It goes to whoever is first in line."
    ]
    lease = notice["lease"]
    await work.goes_back(lease)
    await work.look()
    (end,) = await work.told("ada")
    assert "you gave its GPU back, which bob had asked for" in end["sentence"]


async def test_a_holder_may_go_on_without_a_gpu(work: IdleWork):
    await work.waits("bob")
    await ask(work)
    (notice,) = await work.told("ada")

    await work.answer("restart", "ada")
    await work.look()
    await work.goes_back(notice["lease"])
    await work.look()

    assert work.hub_did == {"ada/": 'started {"profile": "small"}'}


async def test_a_holder_who_keeps_it_is_not_asked_again_soon_and_the_asker_is_told(work: IdleWork):
    await work.waits("bob")
    await ask(work)

    assert await work.answer("keep", "ada") == 200

    assert [one["sentence"] for one in await work.told("bob")] == ["ada keeps GPU 0 for now."]
    assert await ask(work) == (429, "ada keeps GPU 0 for now. Ask again in 30 min.")
    assert work.hub_did == {}


async def test_one_asks_once_and_two_who_ask_are_told_together(work: IdleWork):
    await work.waits("bob")
    await work.waits("eve")
    await ask(work)

    assert await ask(work) == (429, "You have asked already, and there is no answer yet. Ask again in 30 min.")
    status, said = await ask(work, "eve")
    assert (status, said) == (200, "Its holder is asked to give GPU 0 back. You are told what they answer.")
    (notice,) = await work.told("ada")
    assert notice["sentence"].startswith("bob and eve wait for a GPU like the one of your server")

    await work.answer("keep", "ada")
    assert [one["sentence"] for one in await work.told("eve")] == ["Its holder keeps GPU 0 for now."]
    assert len(await work.told("bob")) == 1


async def test_only_who_waits_for_a_gpu_asks_for_it_and_nobody_asks_themselves(work: IdleWork):
    assert await ask(work) == (409, "Nothing of yours waits. Only who waits for a GPU may ask for it.")
    await work.waits("bob")
    await work.waits("ada")

    assert (await ask(work, gpu="GPU-7"))[0] == 404
    assert await ask(work, "ada") == (409, "GPU 0 is yours. Stop what you run there.")


async def test_what_is_being_given_back_is_not_asked_for(work: IdleWork):
    await work.waits("bob")
    await ask(work)
    await work.answer("stop", "ada")

    assert await ask(work) == (409, "GPU 0 is being given back already.")


async def test_a_question_is_over_when_the_server_is(work: IdleWork):
    await work.waits("bob")
    await ask(work)
    (notice,) = await work.told("ada")
    await work.goes_back(notice["lease"])
    await work.look()

    assert await work.told("ada") == []


async def test_a_job_that_holds_it_may_be_cancelled_by_its_submitter(tmp_path: Path):
    async with idle_work(tmp_path) as work:
        held = str((await work.work.submit("ada", gpus="2"))["id"])
        await work.service._round()
        await work.work.attempt_runs(held)
        attempt = await work.service.db.read(lambda db: jobs.last_attempt(db, held))
        assert attempt is not None
        await work.service.db.write(lambda db: move_lease(db, attempt.lease_id, LeaseState.HELD, container="c"))
        await work.look(0)
        await work.waits("bob")

        await ask(work)
        (notice,) = await work.told("ada")
        assert notice["sentence"] == f"bob waits for a GPU like the one of your job {held} (GPU 0). Release it?"
        assert list(notice["actions"]) == ["cancel", "keep"]

        assert await work.answer("cancel", "ada") == 200
        assert (await work.work.ask("GET", f"jobs/{held}")).json()["cancel_requested"]
