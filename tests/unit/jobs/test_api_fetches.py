"""Repositories as jobs: `POST fetches` to the snapshot and the job, with a real git and a real host."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from git_host import GitHost
from service_at_work import AtWork, at_work

from himalia.snapshot import scan
from himalia_jobs.store import diffs, jobs

pytestmark = pytest.mark.asyncio
JOB = {"project": "digits", "command": "true"}


@pytest_asyncio.fixture
async def work(host: GitHost, tmp_path: Path) -> AsyncIterator[AtWork]:
    """A service whose operator allows that host."""
    allowed = {"hosts": [host.site], "networks": ["127.0.0.0/8", "::1/128"], "certificates": str(host.certificate)}
    async with at_work(tmp_path / "data", git=allowed) as found:
        yield found
        await found.service.fetches.close()


async def begun(work: AtWork, url: str, who: str = "ada", token: str | None = None, **job: Any) -> dict[str, Any]:
    """Begin a fetch that is taken."""
    answer = await work.ask("POST", "fetches", who, json={"git": url, "token": token, "job": JOB | job})
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


async def ended(work: AtWork, fetch: dict[str, Any], who: str = "ada") -> dict[str, Any]:
    """Wait for the end of a fetch."""
    async with asyncio.timeout(60):
        while fetch["state"] not in ("done", "failed"):
            await asyncio.sleep(0.02)
            fetch = (await work.ask("GET", f"fetches/{fetch['id']}", who)).json()
    return fetch


async def test_a_repository_becomes_a_snapshot_and_a_job_that_says_its_commit(work, host):
    commit = host.make("ada/digits").commit(train="print(1)\n", pkg__a="x")

    fetch = await begun(work, host.url("ada/digits") + "@main")

    assert fetch["sentence"].endswith(f"main of {host.site}/ada/digits…") or "Waiting" in fetch["sentence"]
    done = await ended(work, fetch)
    assert done["state"] == "done", done
    job = (await work.ask("GET", f"jobs/{done['job_id']}")).json()
    assert job["source"]["commit"] == commit
    assert (job["source"]["fetched"], job["source"]["ref"], job["source"]["changed"]) == (True, "main", 0)
    assert job["source"]["remote"] == host.url("ada/digits")
    assert (await work.ask("GET", f"jobs/{job['id']}/files/pkg/a")).content == b"x"
    listed = (await work.ask("GET", "jobs")).json()["jobs"]
    assert listed[0]["source"]["commit"] == commit


async def test_a_fetched_job_may_have_as_long_a_command_as_any_other(work, host):
    host.make("ada/digits").commit(train="print(1)\n")
    command = 'echo "\n"' * 20_000  # half as long again as JSON
    assert (await work.ask("POST", "jobs", json=JOB | {"command": command})).status_code == 201

    done = await ended(work, await begun(work, host.url("ada/digits"), command=command))

    assert done["state"] == "done", done


async def test_a_job_keeps_its_commit_whatever_happens_to_the_branch_and_so_does_its_rerun(work, host):
    repository = host.make("digits")
    first = repository.commit(train="first")
    job_id = (await ended(work, await begun(work, host.url("digits") + "@main")))["job_id"]

    repository.commit(train="second")
    again = (await work.ask("POST", f"jobs/{job_id}/rerun")).json()

    assert again["source"]["commit"] == first
    assert (await work.ask("GET", f"jobs/{again['id']}/files/train")).content == b"first"


async def test_the_same_files_are_the_same_snapshot_fetched_or_sent(work, host):
    repository = host.make("digits")
    repository.commit(train="same", pkg__a="x")
    repository.tree.chmod(0o755)

    fetched = (await ended(work, await begun(work, host.url("digits"))))["job_id"]
    sent = await work.submit(snapshot=await work.send(repository.tree))

    first, second = (await work.ask("GET", f"jobs/{fetched}")).json(), sent
    assert scan(repository.tree).file_count == 2
    assert first["snapshot_digest"] == second["snapshot_digest"]


async def test_what_is_wrong_is_told_before_anything_is_fetched(work, host):
    host.make("digits").commit(a="1")
    refused = {
        "git": await work.ask("POST", "fetches", json={"git": "https://elsewhere.example/a/b", "job": JOB}),
        "profile": await work.ask(
            "POST", "fetches", json={"git": host.url("digits"), "job": JOB | {"profile": "huge"}}
        ),
        "owner": await work.ask(
            "POST", "fetches", json={"git": host.url("digits"), "job": JOB | {"owner": "user:bob"}}
        ),
        "command": await work.ask("POST", "fetches", json={"git": host.url("digits"), "job": {"project": "digits"}}),
    }

    assert {field: answer.status_code for field, answer in refused.items()} == dict.fromkeys(refused, 422)
    assert all(field in answer.json()["error"]["fields"] for field, answer in refused.items())
    assert host.asked == []


@pytest.mark.fault(90)
@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch",
        "file:///etc",
        "-uhttps://x/y",
        "https://127.0.0.1/a",
        "https://0x7f.1/a",
        "ssh://-oProxyCommand=x/y",
    ],
)
async def test_an_odd_address_of_a_repository_is_refused_and_no_request_leaves(work, host, url):
    answer = await work.ask("POST", "fetches", json={"git": url, "job": JOB})

    assert answer.status_code == 422
    assert "git" in answer.json()["error"]["fields"]
    assert host.asked == []


async def test_a_failure_is_told_with_its_field_and_leaves_no_job_and_no_file(work, host):
    host.make("digits").commit(a="1")

    done = await ended(work, await begun(work, host.url("digits") + "@nowhere"))

    assert (done["state"], done["status"]) == ("failed", 422)
    assert done["sentence"] == done["error"]["message"]
    assert "has no branch, tag or commit nowhere" in done["error"]["fields"]["git"]
    assert (await work.ask("GET", "jobs")).json()["jobs"] == []
    assert os.listdir(work.service.layout.fetches) == []


async def test_what_is_to_run_must_be_in_the_repository(work, host):
    host.make("digits").commit(a="1", pkg__b="2")

    for job, field in (
        ({"workdir": "nowhere"}, "workdir"),
        ({"workdir": "a"}, "workdir"),
        ({"command": None, "notebook": {"path": "no.ipynb"}}, "notebook"),
    ):
        done = await ended(work, await begun(work, host.url("digits"), **job))
        assert field in done["error"]["fields"]
    assert (await ended(work, await begun(work, host.url("digits"), workdir="./pkg/")))["job_id"]


async def test_a_token_is_in_no_log_no_answer_no_file_and_no_database(work, host, caplog):
    caplog.set_level(logging.DEBUG)
    host.make("private").commit(a="1")
    host.tokens["private"] = "s3cret-t0ken"

    done = await ended(work, await begun(work, host.url("private"), token="s3cret-t0ken"))
    wrong = await ended(work, await begun(work, host.url("private"), token="wr0ng-t0ken"))

    assert done["state"] == "done"
    assert "token" in wrong["error"]["fields"]
    told = "".join([str(done), str(wrong), caplog.text, (await work.ask("GET", f"jobs/{done['job_id']}")).text])
    secrets = [form for token in ("s3cret-t0ken", "wr0ng-t0ken") for form in (token, _basic(token))]
    assert [secret for secret in secrets if secret in told] == []
    kept = b"".join(file.read_bytes() for file in work.service.layout.data.rglob("*") if file.is_file())
    assert [secret for secret in secrets if secret.encode() in kept] == []
    assert all(secret not in repr(fetch) for fetch in work.service.fetches._known.values() for secret in secrets)


async def test_a_repeated_key_is_the_same_fetch_and_the_same_job(work, host):
    host.make("digits").commit(a="1")

    first = await begun(work, host.url("digits"), idempotency_key="once")
    second = await begun(work, host.url("digits"), idempotency_key="once")
    done = await ended(work, first)
    third = await begun(work, host.url("digits"), idempotency_key="once")
    work.service.fetches._known.clear()  # as after a restart
    fourth = await begun(work, host.url("digits"), idempotency_key="once")

    assert first["id"] == second["id"] == third["id"]
    assert (fourth["state"], fourth["job_id"]) == ("done", done["job_id"])
    assert len((await work.ask("GET", "jobs")).json()["jobs"]) == 1


async def test_a_fetch_is_its_persons_alone_and_can_be_stopped_by_them(work, host):
    host.make("digits").commit(a="1")
    host.silent.set()
    fetch = await begun(work, host.url("digits"))

    assert (await work.ask("GET", f"fetches/{fetch['id']}", "bob")).status_code == 404
    assert (await work.ask("DELETE", f"fetches/{fetch['id']}", "bob")).status_code == 404
    assert (await work.ask("DELETE", f"fetches/{fetch['id']}")).status_code == 204

    done = await ended(work, fetch)
    assert (done["state"], done["error"]["code"]) == ("failed", "cancelled")
    assert (await work.ask("DELETE", f"fetches/{fetch['id']}")).status_code == 409


async def test_a_service_that_stops_ends_its_fetches_and_leaves_nothing_of_them(work, host):
    host.make("digits").commit(a="1")
    host.silent.set()
    fetch = await begun(work, host.url("digits"))
    async with asyncio.timeout(30):
        while not host.asked:
            await asyncio.sleep(0.01)

    await work.service.fetches.close()

    assert (await ended(work, fetch))["error"]["code"] == "cancelled"
    assert os.listdir(work.service.layout.fetches) == []


async def test_what_a_killed_service_left_of_its_fetches_is_removed_at_the_next_start(work):
    left = work.service.layout.fetches / "left" / "git"
    left.mkdir(parents=True)

    work.service.fetches.tidy()

    assert not left.exists()


async def test_one_person_has_a_few_fetches_at_once_and_others_are_not_kept_from_theirs(work, host):
    host.make("digits").commit(a="1")
    host.silent.set()
    for _ in range(4):
        await begun(work, host.url("digits"))

    refused = await work.ask("POST", "fetches", json={"git": host.url("digits"), "job": JOB})
    bob = await begun(work, host.url("digits"), "bob")
    host.silent.clear()

    assert refused.status_code == 429
    assert (await ended(work, bob, "bob"))["state"] == "done"


async def test_what_git_knows_of_a_directory_that_is_sent_is_kept_with_the_job(work, tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "a").write_text("1")
    diff = b"diff --git a/a b/a\n-0\n+1\xff\n"
    source = {
        "remote": "https://ada:s3cret@github.com/ada/digits.git",
        "branch": "main",
        "commit": "a" * 40,
        "changed": 1,
        "untracked": 2,
        "diff": base64.b64encode(diff).decode(),
    }

    job = await work.submit(snapshot=await work.send(folder), source=source)
    again = (await work.ask("POST", f"jobs/{job['id']}/rerun")).json()

    assert job["source"]["remote"] == "https://github.com/ada/digits.git"
    assert (job["source"]["fetched"], job["source"]["diff_bytes"]) == (False, len(diff))
    for one in (job, again):
        assert (await work.ask("GET", f"jobs/{one['id']}/diff")).content == diff
    assert (await work.ask("GET", f"jobs/{job['id']}/diff", "eve")).status_code == 404
    assert (await work.ask("GET", f"jobs/{job['id']}/files")).json()["entries"][0]["path"] == "a"
    assert b"s3cret" not in b"".join(file.read_bytes() for file in work.service.layout.data.glob("himalia.sqlite*"))


async def test_a_difference_is_kept_once_and_as_long_as_a_job_has_it(work):
    source = {"commit": "a" * 40, "changed": 1, "diff": base64.b64encode(b"the same").decode()}
    first, second = [await work.submit(source=source) for _ in range(2)]

    def kept(db: Any) -> int:
        return int(db.exec_driver_sql("SELECT COUNT(*) FROM diffs").scalar_one())

    counts = [await work.service.db.read(kept)]
    for job in (first, second):
        record = await work.service.db.read(lambda db, job_id=job["id"]: jobs.get(db, job_id))
        await work.service.db.write(lambda db, record=record: jobs.remove(db, record))
        counts.append(await work.service.db.read(kept))

    assert counts == [1, 1, 0]
    assert await work.service.db.read(lambda db: diffs.read(db, record.owner_id, record.diff_digest)) is None


@pytest.mark.parametrize(
    "source",
    [
        {"commit": "main"},
        {"commit": "a" * 40, "branch": "x\ny"},
        {"commit": "a" * 40, "remote": "x" * 2000},
        {"commit": "a" * 40, "changed": -1},
        {"commit": "a" * 40, "diff": "no base64!"},
        {"commit": "a" * 40, "diff": base64.b64encode(bytes(1024 * 1024 + 1)).decode()},
        {"commit": "a" * 40, "fetched": True},
    ],
)
async def test_a_source_that_cannot_be_is_refused(work, source):
    answer = await work.ask("POST", "jobs", json=JOB | {"source": source})

    assert answer.status_code == 422
    assert any(field.startswith("source") for field in answer.json()["error"]["fields"])


async def test_a_job_without_files_or_without_a_difference_says_so(work):
    job = await work.submit()

    for path in ("files", "diff"):
        assert (await work.ask("GET", f"jobs/{job['id']}/{path}")).status_code == 404


def _basic(token: str) -> str:
    return base64.b64encode(f"x-access-token:{token}".encode()).decode()
