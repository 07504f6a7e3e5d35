"""What a job left is a stranger's: its names and contents come back whole, and act on nobody."""

from __future__ import annotations

import asyncio
import io
import os
import zipfile
from urllib.parse import quote

import pytest
from service_at_work import AtWork

from himalia.states import JobState

pytestmark = pytest.mark.asyncio

NAMES = (
    "plain.txt",
    "dir/inner/file",
    "-dash",
    "with space",
    'quo"te',
    "semi;colon",
    "per%cent",
    "back\\slash",
    "größe – 大きさ.csv",
    "new\nline",
    "<script>.html",
    "tab\there",
    "?query#hash",
    "...",
)


async def with_artifacts(work: AtWork, *names: str, state: JobState = JobState.SUCCEEDED) -> tuple[str, str]:
    """Return the addresses of a job with artifacts, and of its artifacts."""
    job = await work.submit()
    await work.attempt(job["id"], state, files=names)
    return f"jobs/{job['id']}", f"jobs/{job['id']}/artifacts"


async def test_names_of_every_kind_are_listed_fetched_and_zipped(work: AtWork):
    job, artifacts = await with_artifacts(work, *NAMES)

    listed = (await work.ask("GET", artifacts)).json()
    fetched = {name: (await work.ask("GET", f"{artifacts}/{quote(name)}")).text for name in NAMES}
    zipped = zipfile.ZipFile(io.BytesIO((await work.ask("GET", f"{artifacts}.zip")).content))

    assert {entry["path"] for entry in listed["artifacts"] if entry["type"] == "file"} == set(NAMES)
    assert (listed["live"], listed["truncated"], listed["attempt"].partition(".")[2]) == (False, False, "1")
    assert fetched == {name: f"content of {name}" for name in NAMES}
    assert {name: zipped.read(name).decode() for name in zipped.namelist()} == fetched
    assert zipped.testzip() is None


async def test_every_download_is_an_attachment_that_cannot_act_as_a_page(work: AtWork):
    _, artifacts = await with_artifacts(work, *NAMES)

    for path in [f"{artifacts}/{quote(name)}" for name in NAMES] + [f"{artifacts}.zip"]:
        headers = (await work.ask("GET", path)).headers
        assert headers["Content-Disposition"].startswith('attachment; filename="'), path
        assert headers["Content-Disposition"].isascii()
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert "html" not in headers["Content-Type"]
        assert "svg" not in headers["Content-Type"]


@pytest.mark.parametrize(
    ("asked", "status", "body", "told"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=99-100", 416, b"", "bytes */10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("bytes=x-y", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
async def test_a_range_of_a_file_is_served(work: AtWork, asked, status, body, told):
    job = await work.submit()
    own = await work.attempt(job["id"], JobState.RUNNING)
    (own / "artifacts" / "ten").write_bytes(b"0123456789")

    answer = await work.ask("GET", f"jobs/{job['id']}/artifacts/ten", headers={"Range": asked})

    assert (answer.status_code, answer.content, answer.headers.get("Content-Range")) == (status, body, told)
    assert answer.headers["Accept-Ranges"] == "bytes"


async def test_the_head_of_a_file_tells_its_size_alone(work: AtWork):
    _, artifacts = await with_artifacts(work, "a")

    head = await work.ask("HEAD", f"{artifacts}/a")

    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, "12", b"")


async def test_an_empty_file_is_served(work: AtWork):
    job = await work.submit()
    own = await work.attempt(job["id"], JobState.RUNNING)
    (own / "artifacts" / "empty").touch()

    answer = await work.ask("GET", f"jobs/{job['id']}/artifacts/empty")

    assert (answer.status_code, answer.content) == (200, b"")


async def test_nothing_is_followed_out_of_the_artifacts(work: AtWork):
    job = await work.submit()
    own = await work.attempt(job["id"], JobState.RUNNING, log=b"the log")
    artifacts = own / "artifacts"
    (artifacts / "link").symlink_to("/etc/passwd")
    (artifacts / "up").symlink_to("..")
    os.mkfifo(artifacts / "pipe")
    (artifacts / "dir").mkdir()

    listed = {
        entry["path"]: entry["type"]
        for entry in (await work.ask("GET", f"jobs/{job['id']}/artifacts")).json()["artifacts"]
    }
    assert listed == {"dir": "dir", "link": "symlink", "pipe": "other", "up": "symlink"}
    for path in (
        "link",
        "up/run/log",
        "pipe",
        "dir",
        "%2e%2e/run/log",
        "a%00b",
        "none",
        "%ff",
        "x" * 300,
        "d/" * 300 + "f",
    ):
        answer = await work.ask("GET", f"jobs/{job['id']}/artifacts/{path}")
        assert answer.status_code in (400, 404), path
        assert set(answer.json()) == {"error"}
    zipped = zipfile.ZipFile(io.BytesIO((await work.ask("GET", f"jobs/{job['id']}/artifacts.zip")).content))
    assert zipped.namelist() == []


async def test_a_name_that_is_no_utf_8_can_be_fetched_as_it_is_listed(work: AtWork):
    job = await work.submit()
    own = await work.attempt(job["id"], JobState.RUNNING)
    (own / "artifacts" / os.fsdecode(b"caf\xe9")).mkdir()
    (own / "artifacts" / os.fsdecode(b"caf\xe9/\xff.txt")).write_text("bytes")
    (own / "artifacts" / "plain\\xe9").write_text("backslash")
    path = f"jobs/{job['id']}/artifacts"

    listed = [entry["path"] for entry in (await work.ask("GET", path)).json()["artifacts"] if entry["type"] == "file"]
    zipped = zipfile.ZipFile(io.BytesIO((await work.ask("GET", f"{path}.zip")).content))

    assert listed == ["caf\\xe9/\\xff.txt", "plain\\xe9"]
    assert [(await work.ask("GET", f"{path}/{quote(name)}")).text for name in listed] == ["bytes", "backslash"]
    assert {name: zipped.read(name) for name in zipped.namelist()} == dict(
        zip(listed, [b"bytes", b"backslash"], strict=True)
    )


async def test_an_artifacts_directory_that_is_a_link_gives_nothing(work: AtWork):
    job = await work.submit()
    own = await work.attempt(job["id"], JobState.RUNNING)
    (own / "artifacts").rmdir()
    (own / "artifacts").symlink_to("/etc")

    assert (await work.ask("GET", f"jobs/{job['id']}/artifacts")).json()["artifacts"] == []
    assert (await work.ask("GET", f"jobs/{job['id']}/artifacts/passwd")).status_code == 404


async def test_a_file_that_shrinks_while_it_is_sent_does_not_look_whole(work: AtWork, monkeypatch):
    job = await work.submit()
    own = await work.attempt(job["id"], JobState.RUNNING)
    file = own / "artifacts" / "big"
    file.write_bytes(b"x" * 5_000_000)
    real = os.pread

    def shrinking(descriptor: int, count: int, offset: int) -> bytes:
        if offset:
            os.truncate(file, 0)
        return real(descriptor, count, offset)

    monkeypatch.setattr("himalia_jobs.api.artifacts.os.pread", shrinking)

    with pytest.raises(Exception, match="peer closed|incomplete|disconnected"):
        await work.ask("GET", f"jobs/{job['id']}/artifacts/big")


async def test_each_attempt_has_artifacts_of_its_own(work: AtWork):
    job = await work.submit(retries=1)
    await work.attempt(job["id"], JobState.QUEUED, files=["first"])
    await work.attempt(job["id"], JobState.SUCCEEDED, files=["second"])
    path = f"jobs/{job['id']}/artifacts"

    async def names(query: str) -> list[str]:
        return [entry["path"] for entry in (await work.ask("GET", path + query)).json()["artifacts"]]

    assert await names("") == await names("?attempt=2") == ["second"]
    assert await names("?attempt=1") == ["first"]
    assert (await work.ask("GET", f"{path}?attempt=3")).status_code == 404
    assert (await work.ask("GET", f"{path}?attempt=x")).status_code == 422


async def test_a_job_that_waits_has_no_artifacts_yet(work: AtWork):
    job = await work.submit()

    answer = await work.ask("GET", f"jobs/{job['id']}/artifacts")

    assert (answer.status_code, answer.json()["artifacts"], answer.json()["live"]) == (200, [], True)
    assert (await work.ask("GET", f"jobs/{job['id']}/artifacts/a")).status_code == 404
    assert (await work.ask("GET", f"jobs/{job['id']}/artifacts.zip")).status_code == 404


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


async def test_the_packages_of_an_attempt_are_told_or_that_they_are_not_known(work: AtWork):
    job = await work.submit()
    before = await work.ask("GET", f"jobs/{job['id']}/packages")
    own = await work.attempt(str(job["id"]), JobState.RUNNING)
    (own / "packages.txt").write_text("# image sha256:1\nnumpy==2.0\n")

    mine, second, strange = [
        await work.ask("GET", f"jobs/{job['id']}/packages{query}", who)
        for query, who in (("", "ada"), ("?attempt=2", "ada"), ("", "eve"))
    ]

    assert (mine.status_code, mine.text) == (200, "# image sha256:1\nnumpy==2.0\n")
    assert mine.headers["Content-Type"].startswith("text/plain")
    assert [answer.status_code for answer in (before, second, strange)] == [404, 404, 404]
    assert "listed when an attempt starts" in before.json()["error"]["message"]
