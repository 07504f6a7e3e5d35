"""What people do about jobs in line and on GPUs: more time, another place, giving way; and what they are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from service_at_work import AtWork, at_work

from himalia.models import JobView
from himalia.reasons import Sure
from himalia.states import JobState
from himalia_jobs import service

pytestmark = pytest.mark.asyncio


async def show(work: AtWork, job_id: object, who: str = "ada") -> JobView:
    """Return a job as somebody sees it."""
    return JobView.model_validate((await work.ask("GET", f"jobs/{job_id}", who)).json())


async def test_a_job_in_line_or_running_gets_more_time_within_its_profiles_maximum(work: AtWork):
    job = await work.submit(profile="small", timeout="30m")

    first = await work.ask("POST", f"jobs/{job['id']}/extend", json={"by": "1h"})
    await work.attempt(str(job["id"]), JobState.RUNNING)
    second = await work.ask("POST", f"jobs/{job['id']}/extend", json={"by": 600})
    third = await work.ask("POST", f"jobs/{job['id']}/extend", json={"by": "4h"})

    assert (first.json()["timeout_seconds"], second.json()["timeout_seconds"]) == (5400, 6000)
    assert third.status_code == 422
    assert third.json()["error"]["fields"] == {
        "by": f"The profile small allows 2 h in all, and {job['id']} has 1 h 40 min: it can get 20 min more at most."
    }
    assert (await show(work, job["id"])).may_extend


async def test_only_the_submitter_and_administrators_give_more_time(work: AtWork):
    job = await work.submit("ada", owner="team:nlp", profile="small")
    address = f"jobs/{job['id']}/extend"

    member = await work.ask("POST", address, "bob", json={"by": "10m"})
    stranger = await work.ask("POST", address, "eve", json={"by": "10m"})
    root = await work.ask("POST", address, "root", json={"by": "10m"})

    assert (member.status_code, stranger.status_code, root.status_code) == (403, 404, 200)
    assert not (await show(work, job["id"], "bob")).may_extend


@pytest.mark.parametrize("state", [JobState.COLLECTING, JobState.SUCCEEDED, JobState.FAILED])
async def test_a_job_that_has_ended_gets_no_more_time(work: AtWork, state):
    job = await work.submit()
    await work.attempt(str(job["id"]), state)

    answer = await work.ask("POST", f"jobs/{job['id']}/extend", json={"by": "10m"})

    assert answer.status_code == 409
    assert "Run it again with a longer time limit." in answer.json()["error"]["message"]


@pytest.mark.parametrize("by", ["-1h", "soon", 0])
async def test_more_time_must_be_a_duration(work: AtWork, by):
    job = await work.submit()

    assert (await work.ask("POST", f"jobs/{job['id']}/extend", json={"by": by})).status_code == 422


async def test_who_waits_sees_the_holders_and_when_it_should_start(work: AtWork, monkeypatch):
    monkeypatch.setattr(service, "ESTIMATE_SECONDS", 0.0)
    first = await work.submit("ada", gpus="2", timeout="1h")
    await work.service._round()
    second = await work.submit("eve", gpus="1")
    await work.service._round()

    hers, roots = await show(work, second["id"], "eve"), await show(work, second["id"], "root")

    assert "GPU 0 (in use, ends before 20" in hers.sentence
    assert f"GPU 0 (ada's job {first['id'][:4]}…, ends before 20" in roots.sentence
    assert [(one.index, one.user, one.job) for one in hers.waiting_for] == [(0, None, None), (1, None, None)]
    assert [(one.index, one.user, one.job) for one in roots.waiting_for] == [(n, "ada", first["id"]) for n in (0, 1)]
    assert hers.sure is Sure.AT_LATEST
    assert hers.estimate_at == hers.waiting_for[0].until


async def test_where_rounds_come_quickly_the_line_is_played_forward_a_moment_later(work: AtWork, monkeypatch):
    monkeypatch.setattr(service, "ESTIMATE_SECONDS", 60.0)
    first = await work.submit("ada", gpus="2", timeout="1h")
    await work.service._round()
    second = await work.submit("eve", gpus="1")
    await work.service._round()

    at_once = await show(work, second["id"], "eve")
    monkeypatch.setattr(service, "ESTIMATE_SECONDS", 0.0)
    told = work.service.line_number
    await work.service._round()
    later = await show(work, second["id"], "eve")

    assert (at_once.position, at_once.estimate_at) == (1, None)
    assert later.estimate_at is not None
    assert work.service.line_number == told + 1  # who heard of the place hears of this as well

    monkeypatch.setattr(service, "ESTIMATE_SECONDS", 60.0)
    await work.ask("POST", f"jobs/{first['id']}/extend", json={"by": "1h"})
    await work.service._round()
    monkeypatch.setattr(service, "ESTIMATE_SECONDS", 0.0)
    told = work.service.line_number
    await work.service._round()

    assert (await show(work, second["id"], "eve")).estimate_at != later.estimate_at
    assert work.service.line_number == told + 1  # and of each that is another one


async def queue(work: AtWork, who: str = "root") -> list[str]:
    """Return the ids of the jobs in line."""
    await work.service._round()
    return [one["job"] for one in (await work.ask("GET", "gpus", who)).json()["queue"]]


async def test_ones_own_jobs_can_be_put_in_another_order_and_nobody_else_moves(work: AtWork):
    await work.submit("root", gpus="2")
    await work.service._round()
    a, b, other, c = [str((await work.submit(who, gpus="1"))["id"]) for who in ("ada", "ada", "eve", "ada")]
    assert await queue(work) == [a, other, b, c]

    await work.ask("POST", f"jobs/{c}/move", json={"first": True})
    assert await queue(work) == [c, other, a, b]
    await work.ask("POST", f"jobs/{b}/move", json={"before": a})
    assert await queue(work) == [c, other, b, a]
    await work.ask("POST", f"jobs/{c}/move", json={"last": True})
    new = str((await work.submit("ada", gpus="1"))["id"])
    assert await queue(work) == [b, other, a, c, new]


async def test_a_move_that_cannot_be_is_told(work: AtWork):
    job = str((await work.submit("ada", owner="team:nlp"))["id"])
    running = str((await work.submit("ada"))["id"])
    await work.attempt(running, JobState.RUNNING)
    address = f"jobs/{job}/move"

    answers = [
        await work.ask("POST", address, json={}),
        await work.ask("POST", address, json={"first": True, "last": True}),
        await work.ask("POST", address, json={"before": "zzz"}),
        await work.ask("POST", f"jobs/{running}/move", json={"first": True}),
        await work.ask("POST", address, "bob", json={"first": True}),
        await work.ask("POST", address, "eve", json={"first": True}),
    ]

    assert [answer.status_code for answer in answers] == [422, 422, 422, 409, 403, 404]


async def test_a_preemptible_job_is_told_when_it_gives_way_and_goes_on_when_it_need_not(work: AtWork):
    scavenger = await work.submit("ada", gpus="2", preemptible=True)
    await work.service._round()
    await work.attempt_runs(str(scavenger["id"]))
    wanted = await work.submit("eve", gpus="1")
    await work.service._round()
    warned = await show(work, scavenger["id"])

    await work.ask("POST", f"jobs/{wanted['id']}/cancel", "eve")
    await work.service._round()
    goes_on = await show(work, scavenger["id"])

    assert warned.preemptible and warned.gives_way_at is not None
    assert warned.sentence.startswith("It gives way to somebody before it: it is stopped at 20")
    assert (goes_on.gives_way_at, goes_on.sentence) == (None, "")


async def test_everybody_reads_of_maintenance_and_reservations(tmp_path):
    begin, end = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) + timedelta(hours=3)
    span = {"start": begin.isoformat(), "end": end.isoformat()}
    later = {"start": (begin + timedelta(days=30)).isoformat(), "end": (end + timedelta(days=30)).isoformat()}
    plans = {
        "maintenance": [span | {"text": "New driver"}, later],
        "reservations": [span | {"gpus": "2", "teams": ["nlp"], "name": "paper"}],
    }
    async with at_work(tmp_path / "data", **plans) as work:
        job = await work.submit("eve", timeout="1h")
        short = await work.submit("eve", timeout="10m")
        await work.service._round()
        waiting, started = await show(work, job["id"], "eve"), await show(work, short["id"], "eve")
        notices = (await work.ask("GET", "gpus", "eve")).json()["notices"]
        mine = (await work.ask("GET", "me", "eve")).json()["notices"]

    assert waiting.reason == "waits_for_maintenance"
    assert waiting.sentence.startswith("1st in line. New driver from 20") and "time limit of 1 h it" in waiting.sentence
    assert started.state == "starting"
    assert notices == mine
    assert [one["kind"] for one in notices] == ["maintenance", "reservation"]
    assert notices[1]["text"].startswith("GPUs reserved (paper) from 20")


async def test_a_running_job_is_not_extended_into_maintenance(tmp_path):
    begin = datetime.now(UTC) + timedelta(minutes=50)
    plan = [{"start": begin.isoformat(), "end": (begin + timedelta(hours=1)).isoformat()}]
    async with at_work(tmp_path / "data", maintenance=plan) as work:
        job = await work.submit("ada", timeout="10m")
        await work.service._round()
        await work.attempt_runs(str(job["id"]))
        some = await work.ask("POST", f"jobs/{job['id']}/extend", json={"by": "10m"})
        much = await work.ask("POST", f"jobs/{job['id']}/extend", json={"by": "1h"})

    assert (some.status_code, much.status_code) == (200, 409)
    assert "would run into it" in much.json()["error"]["message"]
