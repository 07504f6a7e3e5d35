"""A job's log over HTTP: its own bytes, from any offset, to its end; whatever the job does to it."""

from __future__ import annotations

import asyncio
import os

import pytest
from service_at_work import AtWork

from himalia.states import JobState

pytestmark = pytest.mark.asyncio


@pytest.mark.fault(37)
async def test_a_log_is_read_from_any_offset(work: AtWork):
    job = await work.submit()
    await work.attempt(job["id"], JobState.RUNNING, log=b"\xff\r\0line\n")
    path = f"jobs/{job['id']}/logs"

    whole, part = await work.ask("GET", path), await work.ask("GET", f"{path}?offset=3")

    assert (whole.content, part.content, part.headers["Himalia-Log-Offset"]) == (b"\xff\r\0line\n", b"line\n", "3")
    assert whole.headers["Content-Type"] == "application/octet-stream"
    assert (await work.ask("GET", f"{path}?offset=8")).content == b""
    assert (await work.ask("GET", f"{path}?offset=-5")).content == b"\xff\r\0line\n"


@pytest.mark.parametrize("query", ["offset=x", "offset=1.5", "attempt=x"])
async def test_an_offset_or_attempt_that_is_no_number_is_told(work: AtWork, query):
    job = await work.submit()

    assert (await work.ask("GET", f"jobs/{job['id']}/logs?{query}")).status_code == 422


@pytest.mark.parametrize("follow", ["", "&follow=1"])
async def test_an_offset_past_the_end_of_a_sealed_log_is_told(work: AtWork, follow):
    job = await work.submit()
    own = await work.attempt(job["id"], JobState.SUCCEEDED)
    (own / "log").write_bytes(b"sealed")

    answer = await work.ask("GET", f"jobs/{job['id']}/logs?offset=7{follow}")

    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, ["offset"])


async def test_the_log_of_a_job_that_waits_is_empty_and_an_attempt_to_come_is_not_there(work: AtWork):
    job = await work.submit()

    assert (await work.ask("GET", f"jobs/{job['id']}/logs")).content == b""
    assert (await work.ask("GET", f"jobs/{job['id']}/logs?attempt=1")).status_code == 404


async def test_a_follower_sees_each_line_as_it_comes_and_the_end(work: AtWork):
    job = await work.submit()
    own = await work.attempt(job["id"], JobState.RUNNING, log=b"one\n")
    path = f"/services/jobs/api/jobs/{job['id']}/logs?follow=1"

    async with asyncio.timeout(20), work.http.stream("GET", path, headers={"Authorization": "Bearer ada-token"}) as log:
        pieces = log.aiter_bytes()
        first = await anext(pieces)
        with (own / "run" / "log").open("ab") as file:
            file.write(b"two\n")
        second = await anext(pieces)
        await end(work, job["id"])
        rest = [piece async for piece in pieces]

    assert (first, second, rest) == (b"one\n", b"two\n", [])


async def test_a_follower_who_comes_before_the_start_sees_the_first_byte(work: AtWork):
    job = await work.submit()
    path = f"/services/jobs/api/jobs/{job['id']}/logs?follow=1"

    async with asyncio.timeout(20), work.http.stream("GET", path, headers={"Authorization": "Bearer ada-token"}) as log:
        await work.attempt(job["id"], JobState.RUNNING, log=b"first\n")
        work.service.changes.tell()
        assert await anext(log.aiter_bytes()) == b"first\n"


async def test_a_follower_goes_on_with_the_next_attempt(work: AtWork):
    job = await work.submit(retries=1)
    await work.attempt(job["id"], JobState.QUEUED, log=b"first try\n")
    path = f"/services/jobs/api/jobs/{job['id']}/logs?follow=1"
    headers = {"Authorization": "Bearer ada-token"}
    await work.service.db.write(
        lambda db: db.exec_driver_sql("UPDATE attempts SET finished_at = '2026-01-01T00:00:00Z'")
    )

    async with asyncio.timeout(20), work.http.stream("GET", path, headers=headers) as log:
        pieces = log.aiter_bytes()
        assert await anext(pieces) == b"first try\n"
        await work.attempt(job["id"], JobState.RUNNING, log=b"second try\n")
        work.service.changes.tell()
        assert await anext(pieces) == b"second try\n"
        await end(work, job["id"])
        assert [piece async for piece in pieces] == []


@pytest.mark.parametrize("kind", ["link", "directory", "pipe"])
async def test_a_log_that_the_job_has_replaced_gives_nothing_of_the_host(work: AtWork, kind):
    job = await work.submit()
    own = await work.attempt(job["id"], JobState.RUNNING)
    log = own / "run" / "log"
    log.unlink()
    {"link": lambda: log.symlink_to("/etc/passwd"), "directory": log.mkdir, "pipe": lambda: os.mkfifo(log)}[kind]()

    answer = await work.ask("GET", f"jobs/{job['id']}/logs")

    assert (answer.status_code, answer.content) == (200, b"")


async def end(work: AtWork, job_id: str) -> None:
    """Let a job have ended."""
    await work.service.db.write(
        lambda db: db.exec_driver_sql("UPDATE jobs SET state = 'succeeded' WHERE id = ?", (job_id,))
    )
    work.service.changes.tell()
