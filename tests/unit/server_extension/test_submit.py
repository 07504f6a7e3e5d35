"""A directory becomes a job: packed in a thread, told how far it is, ended on demand, and never twice."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import tracemalloc

import pytest
import pytest_asyncio
from git_host import git
from tornado.simple_httpclient import HTTPTimeoutError

from himalia.errors import TooMany
from himalia.models import JobRequest
from himalia.snapshot.chunks import LAYOUTS
from himalia.units import MiB
from himalia_server_extension import packing
from himalia_server_extension.directories import Directory
from himalia_server_extension.packing import preview, submit
from himalia_server_extension.submissions import MOST_AT_ONCE, Submissions

WHOLE_BYTES = LAYOUTS[0].whole_bytes
LARGE_BYTES = 15 * MiB  #: more than goes into the sockets, less than two packs
JOB = {"project": "digits", "command": "python train.py", "idempotency_key": "key"}


def wish(directory: str = "digits", **change: object) -> dict[str, object]:
    return {"directory": directory, "job": {**JOB, **change}}


async def until(condition) -> None:
    """Wait for something that another thread does."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest_asyncio.fixture
async def held(service):
    """A service that takes the first bytes of a pack and no more, until the test lets it."""
    service.may_receive.clear()
    yield service
    service.may_receive.set()


async def test_a_job_of_a_work_tree_says_what_git_knows_of_it(ask, service, home):
    git(home / "digits", "init", "--quiet", "--initial-branch=main")
    git(home / "digits", "add", "--all")
    git(home / "digits", "commit", "--quiet", "-m", "first")
    (home / "digits" / "train.py").write_text("changed\n")

    status, _ = await ask("POST", "submit", wish())

    assert status == 201
    (source,) = service.sources
    assert (source["branch"], source["changed"], source["untracked"]) == ("main", 1, 0)
    assert source["commit"] == git(home / "digits", "rev-parse", "HEAD").strip()


async def test_a_page_does_not_say_itself_where_a_directory_came_from(ask):
    status, answer = await ask("POST", "submit", wish(source={"commit": "a" * 40}))

    assert (status, answer["error"]["code"]) == (422, "invalid")


async def test_a_directory_becomes_a_job_of_who_clicked(ask, service, home):
    status, job = await ask("POST", "submit", wish())

    assert status == 201
    assert job["id"] in {known["id"] for known in service.jobs.values()}
    assert (job["project"], job["user"]) == ("digits", "ada")
    assert set(service.tokens) == {"ada"}
    assert service.owners == ["user:ada"]
    (manifest,) = service.manifests.values()
    assert [entry.path for entry in manifest.entries] == ["train.py"]
    assert sum(service.contents.values()) == len("print('training')\n")


async def test_a_teams_project_gets_the_files_of_its_owner(ask, service, home):
    await ask("POST", "submit", wish(owner="team:nlp"))

    assert service.owners == ["team:nlp"]


async def test_what_is_sent_and_what_is_left_out_is_told_before(ask, home):
    (home / "digits" / "data").mkdir()
    (home / "digits" / "data" / "big.bin").write_bytes(bytes(5000))
    (home / "digits" / ".himaliaignore").write_text("data/\n")

    status, seen = await ask("POST", "preview", {"directory": "digits"})

    assert status == 200
    assert (seen["project"], seen["file_count"]) == ("digits", 2)
    assert seen["size_bytes"] == len("print('training')\n") + len("data/\n")
    assert (seen["left_out_count"], seen["left_out_bytes"]) == (1, 5000)
    assert seen["left_out"][0]["path"] == "data"
    assert seen["problems"] == []


async def test_what_is_private_in_home_and_storage_is_told_first_and_stays_there(ask, home, service, tmp_path):
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id").write_text("key")
    (home / "big.bin").write_bytes(bytes(5000))
    (home / ".gitignore").write_text("*.bin\n")
    (tmp_path / "storage" / ".himalia").mkdir()
    (tmp_path / "storage" / "data").write_text("x")
    (home / "storage").symlink_to(tmp_path / "storage")

    _, seen = await ask("POST", "preview", {"directory": ""})
    _, stored = await ask("POST", "preview", {"directory": "storage"})
    status, _ = await ask("POST", "submit", wish(""))

    assert [(left["path"], left["rule"]) for left in seen["left_out"]] == [
        (".ssh", "secrets"),
        ("big.bin", ".gitignore"),
    ]
    assert [(left["path"], left["rule"]) for left in stored["left_out"]] == [(".himalia", "cache")]
    assert status == 201
    (manifest,) = service.manifests.values()
    assert not [entry.path for entry in manifest.entries if ".ssh" in entry.path]


async def test_of_much_that_is_left_out_all_is_counted_and_the_largest_are_named(ask, home):
    for number in range(80):
        (home / "digits" / f"{number}.bin").write_bytes(bytes(number))
    (home / "digits" / ".himaliaignore").write_text("*.bin\n")

    _, seen = await ask("POST", "preview", {"directory": "digits"})

    assert seen["left_out_count"] == 80
    assert seen["left_out_bytes"] == sum(range(80))
    assert len(seen["left_out"]) < 80
    assert seen["left_out"][0]["path"] == "79.bin"


async def test_an_empty_directory_says_so_before_and_is_refused_after(ask, home, service):
    (home / "empty").mkdir()

    _, seen = await ask("POST", "preview", {"directory": "empty"})
    status, answer = await ask("POST", "submit", wish("empty"))

    assert seen["problems"] == ["The directory is empty: there is nothing to submit."]
    assert status == 422
    assert "nothing to submit" in answer["error"]["message"]
    assert service.jobs == {}


async def test_a_file_that_cannot_be_sent_is_named(ask, home):
    (home / "digits" / os.fsdecode(b"\xff.py")).write_text("")

    status, answer = await ask("POST", "submit", wish())

    assert status == 422
    assert "UTF-8" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.unlink(), "last.bin went away while it was read. Submit again."),
        (lambda file: file.write_bytes(os.urandom(10)), "last.bin changed while it was sent. Submit again."),
        (lambda file: file.unlink() or file.symlink_to("/etc/passwd"), "last.bin became a link while it was read."),
    ],
    ids=["gone", "rewritten", "a link"],
)
async def test_a_file_that_changes_while_the_directory_is_sent_is_named_and_no_job_is_made(
    ask, home, held, change, said
):
    (home / "digits" / "first.bin").write_bytes(os.urandom(LARGE_BYTES))
    (home / "digits" / "last.bin").write_bytes(b"to be sent")
    sending = asyncio.ensure_future(ask("POST", "submit", wish()))
    await until(held.is_receiving.is_set)

    change(home / "digits" / "last.bin")
    held.may_receive.set()
    status, answer = await sending

    assert (status, held.jobs) == (422, {})
    assert said in answer["error"]["message"]
    _, progress = await ask("GET", "submissions/key")
    assert (progress["stage"], progress["message"]) == ("failed", answer["error"]["message"])


async def test_a_path_outside_is_refused_at_its_field(ask):
    for path in ("../..", "digits/../../x", "/etc", "nowhere"):
        for route, body in (("preview", {"directory": path}), ("submit", wish(path))):
            status, answer = await ask("POST", route, body)
            assert (status, set(answer["error"]["fields"])) == (422, {"directory"}), (route, path)


async def test_a_snapshot_cannot_be_smuggled_in(ask, home):
    status, answer = await ask("POST", "submit", wish(snapshot="abc"))

    assert (status, list(answer["error"]["fields"])) == (422, ["snapshot"])


async def test_what_the_service_refuses_arrives_at_its_field(ask, home, service):
    service.refusal = {"code": "invalid", "message": "There is no such.", "fields": {"profile": "There is no such."}}

    status, answer = await ask("POST", "submit", wish(profile="huge"))

    assert (status, answer["error"]["fields"]) == (422, {"profile": "There is no such."})


@pytest.mark.fault(58)
async def test_one_key_is_one_job_even_when_both_ask_at_once(ask, home, service):
    both = await asyncio.gather(ask("POST", "submit", wish()), ask("POST", "submit", wish()))
    again = await ask("POST", "submit", wish())

    assert len({job["id"] for _, job in [*both, again]}) == 1
    assert len(service.manifests) == 1, "it was packed once"


async def test_how_far_it_is_can_be_asked_meanwhile_and_after(ask, home, held):
    sending = asyncio.ensure_future(ask("POST", "submit", wish()))
    await until(held.is_receiving.is_set)

    _, meanwhile = await ask("GET", "submissions/key")
    held.may_receive.set()
    _, job = await sending
    _, after = await ask("GET", "submissions/key")

    assert meanwhile["stage"] in ("reading", "sending")
    assert meanwhile["job_id"] is None
    assert (after["stage"], after["job_id"]) == ("done", job["id"])


async def test_a_page_that_is_closed_meanwhile_does_not_end_it(jp_fetch, home, held):
    with pytest.raises(HTTPTimeoutError):
        await jp_fetch("himalia/api", "submit", method="POST", body=json.dumps(wish()), request_timeout=0.5)

    held.may_receive.set()

    await until(lambda: held.jobs)


async def test_a_submission_on_its_way_is_ended_and_leaves_no_job(ask, home, held):
    with (home / "digits" / "data.bin").open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    sending = asyncio.ensure_future(ask("POST", "submit", wish()))
    await until(held.is_receiving.is_set)

    status, _ = await ask("DELETE", "submissions/key")
    held.may_receive.set()
    refused, answer = await sending

    assert status == 204
    assert (refused, answer["error"]["code"]) == (409, "cancelled")
    assert held.jobs == {}
    _, again = await ask("POST", "submit", wish())
    assert again["id"], "the same key may try again"


async def test_a_submission_that_is_through_is_cancelled_as_a_job(ask, home):
    await ask("POST", "submit", wish())

    status, answer = await ask("DELETE", "submissions/key")

    assert status == 409
    assert "Cancel its job" in answer["error"]["message"]


async def test_nobody_elses_submission_is_known(ask):
    for method in ("GET", "DELETE"):
        status, answer = await ask(method, "submissions/somebodys")
        assert (status, answer["error"]["code"]) == (404, "not_found")


@pytest.mark.asyncio
async def test_what_waits_for_a_thread_is_ended_at_once_and_there_is_an_end_to_what_may_wait():
    submissions = Submissions(1)
    may_end = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(report):
        asyncio.run_coroutine_threadsafe(may_end.wait(), loop).result(10)
        raise AssertionError("only the first one began")

    waiting = [asyncio.ensure_future(submissions.submit(("ada", str(n)), work)) for n in range(MOST_AT_ONCE)]
    await asyncio.sleep(0)
    with pytest.raises(TooMany, match="are on their way"):
        await submissions.submit(("ada", "one more"), work)

    for number in range(MOST_AT_ONCE):
        submissions.cancel(("ada", str(number)))
    ended = await asyncio.wait_for(asyncio.gather(*waiting[1:], return_exceptions=True), 5)

    assert {str(one) for one in ended} == {"The submission was cancelled before it began. No job was made."}
    may_end.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    submissions.close()


async def test_a_service_that_is_away_is_told_in_words_before_anything_is_read(jp_serverapp, ask, home, monkeypatch):
    (extension,) = jp_serverapp.extension_manager.extension_apps["himalia_server_extension"]
    settings = extension.room.settings
    object.__setattr__(settings, "api_url", "http://127.0.0.1:9/services/jobs/api")
    monkeypatch.setattr("himalia.client.http.FIRST_PAUSE_SECONDS", 0)
    monkeypatch.setattr("himalia_server_extension.packing.scan", lambda *_, **__: pytest.fail("it was read"))

    status, answer = await ask("POST", "submit", wish())
    object.__setattr__(settings, "api_url", "")
    unset, advice = await ask("POST", "submit", wish(idempotency_key="another"))

    assert (status, answer["error"]["code"]) == (503, "unavailable")
    assert "Nothing answers at 127.0.0.1:9" in answer["error"]["message"]
    assert unset == 503
    assert "HIMALIA_API_URL" in advice["error"]["message"]


async def test_the_server_answers_while_two_thousand_files_are_packed(jp_fetch, ask, home, service, monkeypatch):
    directory = home / "many"
    directory.mkdir()
    for number in range(2000):
        (directory / f"{number}.bin").write_bytes(os.urandom(1024))
    threads = set()

    def watched(work):
        def works(*args, **kwargs):
            threads.add(threading.current_thread())
            return work(*args, **kwargs)

        return works

    for work in ("scan", "pack", "send"):
        monkeypatch.setattr(f"himalia_server_extension.packing.{work}", watched(getattr(packing, work)))
    sending = asyncio.ensure_future(ask("POST", "submit", wish("many")))
    answers = 0

    while not sending.done():
        await jp_fetch("api/status")
        answers += 1

    assert (await sending)[0] == 201
    assert len(service.contents) == 2000
    assert answers >= 3
    assert threads and threading.current_thread() not in threads, "walked, packed and sent beside the event loop"


def test_a_large_file_is_sent_without_being_held_in_memory(tmp_path, service, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "large").mkdir()
    with (tmp_path / "large" / "data.bin").open("wb") as file:
        file.truncate(WHOLE_BYTES)
    directory = Directory(path=tmp_path / "large", contents_path="large", project="large")

    tracemalloc.start()
    submit(directory, JobRequest(project="large", command="true"), service.url, "ada", lambda progress: None)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sum(service.contents.values()) == WHOLE_BYTES
    assert most < WHOLE_BYTES / 2, "sender and receiver together"


@pytest.mark.fault(77)
def test_a_preview_names_what_looks_like_passwords(tmp_path):
    for name in (".env", "a.pem", "b.pem", "c.pem", "train.py"):
        (tmp_path / name).write_text("x")

    seen = preview(Directory(path=tmp_path, contents_path="code", project="code"))

    assert seen["problems"] == [
        ".env, a.pem, b.pem and 1 more look like keys or passwords, and are sent: who may see the project's jobs can read them. "
        "If that is not meant, leave them out in .himaliaignore."
    ]


def test_a_preview_of_what_cannot_be_read_says_so(tmp_path):
    directory = Directory(path=tmp_path / "gone", contents_path="gone", project="gone")

    seen = preview(directory)

    assert (seen["file_count"], seen["left_out_count"]) == (0, 0)
    assert "is not there" in seen["problems"][0]
