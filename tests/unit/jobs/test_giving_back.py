"""Giving back: who does not use a GPU is told, may keep it for a while, and else it comes back; who uses it never notices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from idle_work import IdleWork, idle_work
from service_at_work import SITE

from himalia_jobs.giving_back.activity import Kernels
from himalia_jobs.store import watched

pytestmark = pytest.mark.asyncio

UNTIL_TOLD = 15 * 60
WARNING = 5 * 60


@pytest_asyncio.fixture
async def work(tmp_path: Path) -> AsyncIterator[IdleWork]:
    """A service whose GPUs and clock are the test's."""
    async with idle_work(tmp_path) as idle:
        yield idle


async def test_who_uses_nothing_is_told_in_time_and_then_the_server_is_stopped(work: IdleWork):
    lease = await work.server()
    work.busy["GPU-0"] = 0

    await work.idle_for(UNTIL_TOLD)
    (notice,) = await work.told()

    assert notice["kind"] == "idle" and notice["lease"] == lease
    assert notice["sentence"].startswith("The GPU of your server has been idle for 15 min. At 20")
    assert notice["sentence"].endswith("Z the server is stopped, unless used. Files stay; memory is lost.")
    assert len(notice["sentence"]) < 140  # what Lab shows of a notification
    assert notice["actions"] == {"keep": "Keep", "stop": "Stop now"}
    assert work.hub_did == {}

    await work.idle_for(WARNING)
    assert work.hub_did == {"ada/": "stopped"}
    assert await work.told() == []


async def test_the_end_is_told_once_the_server_is_gone(work: IdleWork):
    lease = await work.server(server="big")
    await work.idle_for(UNTIL_TOLD + WARNING)
    assert await work.told() == []

    await work.goes_back(lease)
    await work.look()
    await work.look()

    (notice,) = await work.told()
    asked = await work.work.ask("GET", "leases", "spawner", params={"user": "ada", "server": "big"})
    assert asked.json()["ended"] == notice["sentence"]  # the hub's page says the same
    assert (notice["kind"], notice["actions"]) == ("ended", {})
    assert notice["sentence"].startswith("Your server big was stopped at 20")
    assert notice["sentence"].endswith(": its GPU had not been used for 20 min. Your files are where they were.")


@pytest.mark.parametrize("busy", [1, 100])
async def test_a_gpu_at_work_is_use_and_memory_that_is_only_held_is_none(work: IdleWork, busy):
    lease = await work.server()
    work.busy["GPU-0"] = busy
    await work.idle_for(1800)
    assert work.use(lease).idle_seconds == 0

    work.busy["GPU-0"] = 0
    await work.idle_for(600)
    assert work.use(lease).idle_seconds == 600


async def test_a_kernel_that_computes_on_the_cpu_is_use(work: IdleWork):
    lease = await work.server()
    work.busy["GPU-0"] = 0
    work.kernels[lease] = Kernels(busy=True, stamp="2030-01-01T00:00:00Z")

    await work.idle_for(1800)

    assert work.use(lease).idle_seconds == 0
    assert await work.told() == []


async def test_what_a_kernel_did_between_two_looks_is_use(work: IdleWork):
    lease = await work.server()
    work.kernels[lease] = Kernels(busy=False, stamp="2030-01-01T00:00:00Z")
    await work.look()
    await work.idle_for(600)
    assert work.use(lease).idle_seconds >= 600

    work.kernels[lease] = Kernels(busy=False, stamp="2030-01-01T00:10:00Z")
    await work.look()
    assert work.use(lease).idle_seconds == 0
    await work.look()
    assert work.use(lease).idle_seconds > 0


async def test_nobody_is_idle_while_nobody_knows(work: IdleWork):
    lease = await work.server()
    work.busy["GPU-0"] = 0
    await work.idle_for(600)

    work.kernels[lease] = None  # the server does not answer
    await work.idle_for(1800)

    assert work.use(lease).idle_seconds == 600
    assert await work.told() == []


async def test_use_after_the_warning_takes_it_back(work: IdleWork):
    lease = await work.server()
    await work.idle_for(UNTIL_TOLD)
    assert len(await work.told()) == 1

    work.busy["GPU-0"] = 90
    await work.look()
    assert await work.told() == []

    work.busy["GPU-0"] = 0
    await work.idle_for(UNTIL_TOLD - 60)
    assert await work.told() == [] and work.hub_did == {}
    assert work.use(lease).idle_seconds == UNTIL_TOLD - 60


async def test_keep_keeps_it_for_a_while_and_three_times_in_a_row_at_most(work: IdleWork):
    await work.server()
    await work.idle_for(UNTIL_TOLD)

    for _ in range(3):
        assert await work.answer("keep") == 200
        await work.idle_for(600 - WARNING - 40)
        assert await work.told() == []
        await work.idle_for(80)
        assert len(await work.told()) == 1

    (notice,) = await work.told()
    assert notice["actions"] == {"stop": "Stop now"}
    assert await work.answer("keep") == 422
    await work.idle_for(WARNING)
    assert work.hub_did == {"ada/": "stopped"}


async def test_use_begins_the_count_of_keeping_anew(work: IdleWork):
    lease = await work.server()
    await work.idle_for(UNTIL_TOLD)
    await work.answer("keep")
    work.busy["GPU-0"] = 90
    await work.look()
    work.busy["GPU-0"] = 0

    record = await work.service.db.read(lambda db: watched.find(db, lease))

    assert record is not None and (record.kept, record.kept_until) == (0, 0)


async def test_stop_now_stops_it_now(work: IdleWork):
    lease = await work.server()
    await work.idle_for(UNTIL_TOLD)

    assert await work.answer("stop") == 200
    await work.look()
    assert work.hub_did == {"ada/": "stopped"}
    await work.goes_back(lease)
    await work.look()

    (notice,) = await work.told()
    assert notice["sentence"].endswith(": you gave its GPU back. Your files are where they were.")


async def test_by_setting_a_server_goes_on_without_its_gpu(tmp_path: Path):
    async with idle_work(tmp_path, idle={"then": "restart"}) as work:
        lease = await work.server()
        await work.idle_for(UNTIL_TOLD)
        (notice,) = await work.told()
        assert notice["actions"]["restart"] == "Restart without GPU"
        assert "the server is restarted without it" in notice["sentence"]

        await work.idle_for(WARNING)
        assert work.hub_did == {"ada/": "stopped"}
        await work.goes_back(lease)
        await work.look()

        assert work.hub_did == {"ada/": 'started {"profile": "small"}'}
        (notice,) = await work.told()
        assert "was restarted without a GPU at 20" in notice["sentence"]


async def test_a_hub_that_is_down_is_asked_again(work: IdleWork):
    await work.server()
    work.refuses.add("ada/")
    await work.idle_for(UNTIL_TOLD + WARNING + 60)
    assert work.hub_did == {} and work.work.hub.asked["stop ada/"] > 1

    work.refuses.clear()
    await work.look()

    assert work.hub_did == {"ada/": "stopped"}


async def test_a_service_that_is_killed_neither_tells_twice_nor_forgets_that_it_told(work: IdleWork):
    await work.server()
    await work.idle_for(UNTIL_TOLD)
    (first,) = await work.told()

    for _ in range(4):
        await work.killed()
        await work.idle_for(70)

    assert [notice["id"] for notice in await work.told()] == [first["id"]]
    for _ in range(3):
        await work.killed()
        await work.idle_for(70)
    assert work.hub_did == {"ada/": "stopped"}


async def test_a_service_that_was_away_counts_nothing_that_it_has_not_seen(work: IdleWork):
    lease = await work.server()
    await work.idle_for(600)

    work.passed += 30 * 3600  # nobody watched
    await work.killed()
    await work.look()

    assert work.use(lease).idle_seconds < 600 + 120
    assert await work.told() == []


@pytest.mark.parametrize("days", [-30, 30])
async def test_a_clock_that_is_set_harms_nobody(work: IdleWork, days, monkeypatch):
    lease = await work.server(profile="gpu")
    await work.idle_for(UNTIL_TOLD)
    (notice,) = await work.told()

    monkeypatch.setattr(work.service.clock, "wall", lambda: datetime.now(UTC) + timedelta(days=days))
    await work.idle_for(WARNING - 60)

    assert [one["id"] for one in await work.told()] == [notice["id"]]
    assert work.hub_did == {}
    assert work.use(lease).idle_seconds < 1200


async def test_who_waits_reads_how_long_the_holder_has_been_idle(work: IdleWork):
    await work.server("ada")
    await work.server("bob", server="other")
    await work.idle_for(840)
    job = await work.waits("bob")

    shown = (await work.work.ask("GET", f"jobs/{job}", "bob")).json()
    slots = (await work.work.ask("GET", "gpus", "bob")).json()["slots"]

    assert "GPU 0 (ada's notebook, idle 14 min)" in shown["sentence"]
    assert [round(slot["idle_seconds"] / 60) for slot in slots] == [14, 14]


async def test_a_server_that_grows_too_old_is_told_and_stopped_though_it_is_used(tmp_path: Path):
    profiles = [*SITE["profiles"], {"name": "short", "gpus": "1", "cpus": 1, "memory": "1G", "max_age": "20m"}]
    async with idle_work(tmp_path, profiles=profiles) as work:
        lease = await work.server(profile="short")
        work.busy["GPU-0"] = 100
        await work.idle_for(UNTIL_TOLD - 60)
        assert await work.told() == []
        slot = (await work.work.ask("GET", "gpus")).json()["slots"][0]
        assert slot["until"] is not None

        await work.idle_for(120)
        (notice,) = await work.told()
        assert notice["kind"] == "max_age" and "reaches its largest age, 20 min, and is stopped" in notice["sentence"]
        assert work.hub_did == {}

        await work.idle_for(WARNING)
        assert work.hub_did == {"ada/": "stopped"}
        await work.goes_back(lease)
        await work.look()
        assert any("it had reached its largest age, 20 min" in one["sentence"] for one in await work.told())


async def test_a_lease_that_goes_back_by_itself_is_forgotten_with_what_was_told_of_it(work: IdleWork):
    lease = await work.server()
    await work.idle_for(UNTIL_TOLD)
    await work.goes_back(lease)
    await work.look()

    assert await work.told() == []
    assert await work.service.db.read(watched.everything) == {}
    assert work.hub_did == {}
