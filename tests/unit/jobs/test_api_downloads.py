"""What a job left is a stranger's: its names and contents come back whole, and act on nobody."""

from __future__ import annotations

import io
import os
import zipfile
from urllib.parse import quote

import pytest
from service_at_work import AtWork

from himalia.states import JobState
from himalia_jobs.api.zipstream import member

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
    "..%2f..%2fetc",
    "..\\..\\evil",
    "<img src=x onerror=alert(1)>.svg",
    "gpj.\u202eexe",
    "CON",
    "x" * 255,
    "😀",
)


async def with_artifacts(work: AtWork, *names: str, state: JobState = JobState.SUCCEEDED) -> tuple[str, str]:
    """Return the addresses of a job with artifacts, and of its artifacts."""
    job = await work.submit()
    await work.attempt(job["id"], state, files=names)
    return f"jobs/{job['id']}", f"jobs/{job['id']}/artifacts"


@pytest.mark.fault(48)
async def test_names_of_every_kind_are_listed_fetched_and_zipped(work: AtWork):
    job, artifacts = await with_artifacts(work, *NAMES)

    listed = (await work.ask("GET", artifacts)).json()
    fetched = {name: (await work.ask("GET", f"{artifacts}/{quote(name)}")).text for name in NAMES}
    zipped = zipfile.ZipFile(io.BytesIO((await work.ask("GET", f"{artifacts}.zip")).content))

    assert {entry["path"] for entry in listed["artifacts"] if entry["type"] == "file"} == set(NAMES)
    assert (listed["live"], listed["truncated"], listed["attempt"].partition(".")[2]) == (False, False, "1")
    assert fetched == {name: f"content of {name}" for name in NAMES}
    assert {name: zipped.read(name).decode() for name in zipped.namelist()} == {
        member(name): content for name, content in fetched.items()
    }
    assert zipped.testzip() is None


@pytest.mark.fault(48)
@pytest.mark.fault(49)
async def test_every_download_is_an_attachment_that_cannot_act_as_a_page(work: AtWork):
    _, artifacts = await with_artifacts(work, *NAMES)

    for path in [f"{artifacts}/{quote(name)}" for name in NAMES] + [f"{artifacts}.zip"]:
        headers = (await work.ask("GET", path)).headers
        assert headers["Content-Disposition"].startswith('attachment; filename="'), path
        assert headers["Content-Disposition"].isascii()
        assert "%0A" not in headers["Content-Disposition"] and "%E2%80%AE" not in headers["Content-Disposition"]
        assert headers["Content-Disposition"].count('"') == 2
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert "html" not in headers["Content-Type"]
        assert "svg" not in headers["Content-Type"]


MANY = ",".join("0-9" for _ in range(1_000))


@pytest.mark.fault(95)
@pytest.mark.parametrize(
    ("asked", "status", "body", "told"),
    [
        ("bytes=0-", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=-1", 206, b"9", "bytes 9-9/10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("BYTES = 1-2", 206, b"12", "bytes 1-2/10"),
        (f"bytes={MANY}", 416, b"", "bytes */10"),
        ("bytes=" + ",".join("0-4" for _ in range(99)) + ",3-6", 206, b"0123456", "bytes 0-6/10"),
        ("bytes=0-1,2-3,99-", 206, b"0123", "bytes 0-3/10"),
        ("bytes=50-,60-70", 416, b"", "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=0-99999999999999999999999", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=", 200, b"0123456789", None),
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


@pytest.mark.fault(45)
@pytest.mark.fault(46)
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
    assert zipped.namelist() == ["himalia-left-out.txt"]
    assert zipped.read("himalia-left-out.txt").decode().splitlines() == [
        "Not in this zip:",
        "'link': a link, which is never followed",
        "'pipe': neither a file nor a directory",
        "'up': a link, which is never followed",
    ]


@pytest.mark.fault(95)
async def test_a_part_is_sent_of_the_file_that_it_was_asked_of_or_all_of_the_new_one(work: AtWork):
    job = await work.submit()
    own = await work.attempt(job["id"], JobState.RUNNING)
    file, path = own / "artifacts" / "ten", f"jobs/{job['id']}/artifacts/ten"
    file.write_bytes(b"0123456789")
    tag = (await work.ask("GET", path)).headers["ETag"]

    same = await work.ask("GET", path, headers={"Range": "bytes=4-", "If-Range": tag})
    file.write_bytes(b"abcdefghij")
    other = await work.ask("GET", path, headers={"Range": "bytes=4-", "If-Range": tag})
    dated = await work.ask("GET", path, headers={"Range": "bytes=4-", "If-Range": "Tue, 01 Dec 2026 00:00:00 GMT"})

    assert (same.status_code, same.content) == (206, b"456789")
    assert (other.status_code, other.content) == (dated.status_code, dated.content) == (200, b"abcdefghij")
    assert other.headers["ETag"] != tag


@pytest.mark.fault(44)
async def test_a_file_that_claims_a_terabyte_is_refused_and_left_out_of_the_zip_without_being_read(
    work: AtWork, monkeypatch
):
    job = await work.submit()
    own = await work.attempt(job["id"], JobState.RUNNING)
    for name, size in (("huge", 2**40), ("small", 100_000)):
        with (own / "artifacts" / name).open("wb") as file:
            file.write(b"begin")
            file.truncate(size)
    path, read = f"jobs/{job['id']}/artifacts", []
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda *asked: read.append(asked[1]) or real(*asked))

    listed = {one["path"]: one["size_bytes"] for one in (await work.ask("GET", path)).json()["artifacts"]}
    whole = await work.ask("GET", f"{path}/huge")
    head = await work.ask("HEAD", f"{path}/huge")
    part = await work.ask("GET", f"{path}/huge", headers={"Range": "bytes=0-9"})
    zipped = zipfile.ZipFile(io.BytesIO((await work.ask("GET", f"{path}.zip")).content))

    assert listed == {"huge": 2**40, "small": 100_000}
    assert (whole.status_code, whole.json()["error"]["code"]) == (413, "too_large")
    assert "most of that was never written" in whole.json()["error"]["message"]
    assert head.headers["Content-Length"] == str(2**40)
    assert (part.status_code, part.content) == (206, b"begin\0\0\0\0\0")
    assert zipped.namelist() == ["small", "himalia-left-out.txt"]
    assert "'huge': little but holes" in zipped.read("himalia-left-out.txt").decode()
    assert zipped.read("small") == b"begin" + bytes(99_995)
    assert sum(read) < 10 * 2**20


@pytest.mark.fault(44)
async def test_many_files_with_holes_are_as_bad_as_one(work: AtWork, monkeypatch):
    monkeypatch.setattr("himalia_jobs.api.packing.MOST_HOLES_BYTES", 2_500_000)
    job = await work.submit()
    own = await work.attempt(job["id"], JobState.RUNNING)
    for number in range(4):
        with (own / "artifacts" / f"{number}").open("wb") as file:
            file.truncate(1_000_000)
            file.seek(600_000)
            file.write(b"x")

    zipped = zipfile.ZipFile(io.BytesIO((await work.ask("GET", f"jobs/{job['id']}/artifacts.zip")).content))

    assert zipped.namelist() == ["0", "1", "himalia-left-out.txt"]


@pytest.mark.fault(41)
async def test_artifacts_are_listed_page_by_page(work: AtWork):
    _, artifacts = await with_artifacts(work, *(f"{number:02}/file" for number in range(6)))
    found, query = [], "?limit=5"

    while query:
        page = (await work.ask("GET", artifacts + query)).json()
        found.append([one["path"] for one in page["artifacts"]])
        query = f"?limit=5&cursor={quote(page['cursor'])}" if page["cursor"] else ""
        assert page["truncated"] == bool(query)

    assert [len(page) for page in found] == [5, 5, 2]
    assert sum(found, []) == [path for number in range(6) for path in (f"{number:02}", f"{number:02}/file")]
    assert (await work.ask("GET", f"{artifacts}?cursor=x")).status_code == 422
    assert len((await work.ask("GET", f"{artifacts}?limit=1000000000")).json()["artifacts"]) == 12


@pytest.mark.fault(48)
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


@pytest.mark.fault(45)
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
