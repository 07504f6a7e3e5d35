"""Jobs that do not use their GPUs: told, or ended, by the settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from idle_work import IdleWork, idle_work

from himalia.reasons import Reason
from himalia.states import JobState, LeaseState
from himalia_jobs.endings import ending
from himalia_jobs.engines.base import Exit, ExitReason
from himalia_jobs.store import jobs
from himalia_jobs.store.moves import move_lease

pytestmark = pytest.mark.asyncio


async def running(work: IdleWork, who: str = "ada") -> str:
    """Return a job that runs on a GPU."""
    job = await work.waits(who, name="train")
    await work.work.attempt_runs(job)
    attempt = await work.service.db.read(lambda db: jobs.last_attempt(db, job))
    assert attempt is not None
    await work.service.db.write(lambda db: move_lease(db, attempt.lease_id, LeaseState.HELD, container="c"))
    await work.look(0)
    return job


async def sentence(work: IdleWork, job: str) -> str:
    """Return the line that a job carries."""
    return str((await work.work.ask("GET", f"jobs/{job}")).json()["sentence"])


async def test_its_submitter_is_told_once_and_the_job_carries_a_line(tmp_path: Path):
    async with idle_work(tmp_path, idle={"jobs_after": "30m"}) as work:
        job = await running(work)
        work.busy["GPU-0"] = 0
        await work.idle_for(29 * 60)
        assert await work.told() == [] and await sentence(work, job) == ""

        await work.idle_for(10 * 60)
        (notice,) = await work.told()

        assert (notice["kind"], notice["job"]) == ("job_idle", job)
        assert notice["sentence"] == (
            f"Your job train ({job}) has not used its GPUs for 30 min. Look at its log: it may be stuck, or not need them."
        )
        assert (await sentence(work, job)).startswith("It has not used its GPUs since 20")
        assert await work.answer("keep") == 200
        await work.idle_for(60 * 60)
        assert await work.told() == []
        assert (await work.work.ask("GET", f"jobs/{job}")).json()["state"] == "running"


async def test_a_job_that_uses_them_again_loses_its_line(tmp_path: Path):
    async with idle_work(tmp_path, idle={"jobs_after": "30m"}) as work:
        job = await running(work)
        work.busy["GPU-0"] = 0
        await work.idle_for(31 * 60)
        work.busy["GPU-0"] = 50
        await work.look()

        assert await sentence(work, job) == "" and await work.told() == []


async def test_cancel_cancels_it(tmp_path: Path):
    async with idle_work(tmp_path, idle={"jobs_after": "30m"}) as work:
        job = await running(work)
        work.busy["GPU-0"] = 0
        await work.idle_for(31 * 60)

        assert await work.answer("cancel") == 200

        shown = (await work.work.ask("GET", f"jobs/{job}")).json()
        assert (shown["cancel_requested"], shown["cancelled_by"]) == (True, "ada")


async def test_by_setting_it_is_ended_after_the_warning_with_its_reason_in_words(tmp_path: Path):
    async with idle_work(tmp_path, idle={"jobs_after": "30m", "jobs_then": "end"}) as work:
        job = await running(work)
        work.busy["GPU-0"] = 0
        await work.idle_for(31 * 60)
        (notice,) = await work.told()
        assert "It is ended at 20" in notice["sentence"]
        before = await work.service.db.read(lambda db: jobs.last_attempt(db, job))
        assert before is not None and before.stop_reason is None

        await work.idle_for(5 * 60)
        attempt = await work.service.db.read(lambda db: jobs.last_attempt(db, job))
        record = await work.service.db.read(lambda db: jobs.get(db, job))

        assert attempt is not None and attempt.stop_reason == Reason.GPU_IDLE
        end = ending(record, attempt, Exit(code=143, reason=ExitReason.STOPPED))
        assert (end.state, end.reason) == (JobState.FAILED, Reason.GPU_IDLE)
        assert end.detail == "It had not used its GPUs for 35 min."
        assert await work.told() == []


async def test_a_job_whose_gpu_does_not_say_how_busy_it_is_is_never_told(tmp_path: Path):
    async with idle_work(tmp_path, idle={"jobs_after": "30m", "jobs_then": "end"}) as work:
        await running(work)
        await work.idle_for(2 * 3600)

        assert await work.told() == []


async def test_one_gpu_of_several_at_work_is_use(tmp_path: Path):
    async with idle_work(tmp_path, idle={"jobs_after": "30m"}) as work:
        job = str((await work.work.submit("ada", gpus="2"))["id"])
        await work.service._round()
        await work.work.attempt_runs(job)
        attempt = await work.service.db.read(lambda db: jobs.last_attempt(db, job))
        assert attempt is not None
        await work.service.db.write(lambda db: move_lease(db, attempt.lease_id, LeaseState.HELD, container="c"))
        work.busy.update({"GPU-0": 0, "GPU-1": 70})
        await work.idle_for(2 * 3600)

        assert await work.told() == []
