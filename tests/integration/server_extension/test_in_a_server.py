"""The extension in real servers of a real platform: who clicks is who submits, and looking keeps nothing alive."""

from __future__ import annotations

import statistics
import threading
import time

import pytest
from live_platform import eventually

FILES = 2000
FILE_BYTES = 10_000


@pytest.fixture(scope="module")
def ada(live):
    """Somebody whose server runs."""
    person = live.person("ada")
    person.start_server("cpu")
    return person


@pytest.fixture
def server(live, ada):
    """The container of ada's server."""
    return live.docker.containers.get(f"himalia-{live.place.installation}-server-ada")


@pytest.fixture
def code(ada, tmp_path) -> str:
    """A directory of ada's home, as her file browser shows it."""
    (tmp_path / "train.py").write_text("print('training')\n")
    ada.upload(tmp_path, "extension-tests")
    return "extension-tests"


@pytest.fixture
def bob(live, ada):
    """Somebody to whom ada's server is shared."""
    shared = {"user": "bob", "scopes": ["access:servers!server=ada/"]}
    assert live.person("root-admin").post("hub/api/shares/ada/", shared).is_success
    return live.person("bob")


def submit(person, directory: str, **job: object):
    """Submit a directory of ada's server, as who clicks there."""
    wish = {"project": "extension", "profile": "tiny", "command": "cat train.py; echo $HIMALIA_USER", **job}
    return person.post("user/ada/himalia/api/submit", {"directory": directory, "job": wish})


def test_what_a_visitor_submits_on_a_shared_server_is_the_visitors(live, ada, bob, code):
    job = submit(bob, code).json()

    assert (job["user"], job["owner"]) == ("bob", "user:bob")
    assert b"".join(bob.follow(job["id"])).splitlines() == [b"print('training')", b"bob"]
    assert ada.get(f"services/jobs/api/jobs/{job['id']}").status_code == 404


def test_what_the_owner_submits_there_is_the_owners(ada, bob, code):
    job = submit(ada, code).json()

    assert (job["user"], job["owner"]) == ("ada", "user:ada")
    assert bob.get(f"services/jobs/api/jobs/{job['id']}").status_code == 404


def test_whom_the_server_is_not_shared_with_gets_nowhere(live, ada, code):
    stranger = live.person("grace")

    for route in ("info", "preview", "submit", "submissions/x"):
        answer = stranger.get(f"user/ada/himalia/api/{route}")
        assert answer.status_code in (302, 403, 405), route
        assert "directory" not in answer.text
    assert submit(stranger, code).status_code == 403


def test_a_directory_of_the_storage_and_of_a_team_can_be_submitted_and_all_teams_cannot(ada, tmp_path):
    (tmp_path / "train.py").write_text("here")
    for directory in ("storage/code", "team/nlp/code"):
        ada.upload(tmp_path, directory)
        assert submit(ada, directory).status_code == 201, directory

    for directory in ("team", "../ada", "storage/code/../../..", "/etc", "storage/code\0"):
        answer = submit(ada, directory)
        assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, ["directory"]), directory


def test_a_link_out_of_the_home_is_refused(ada, server):
    server.exec_run(["ln", "-sfn", "/etc", "/home/jovyan/link"])

    answer = submit(ada, "link")

    assert answer.status_code == 422
    assert "lies outside" in answer.json()["error"]["message"]


def test_the_server_answers_while_two_thousand_files_are_sent(ada, server):
    make = f"mkdir -p many && cd many && for n in $(seq {FILES}); do head -c {FILE_BYTES} /dev/urandom > $n.bin; done"
    assert server.exec_run(["sh", "-c", make], workdir="/home/jovyan").exit_code == 0
    answers: list[object] = []
    sending = threading.Thread(target=lambda: answers.append(submit(ada, "many", command="ls | wc -l")))
    sending.start()
    waits = []

    while sending.is_alive():
        before = time.monotonic()
        assert ada.get("user/ada/api/status").is_success
        waits.append(time.monotonic() - before)

    sending.join()
    job = answers[0].json()  # type: ignore[attr-defined]
    assert b"".join(ada.follow(job["id"])).strip() == str(FILES).encode()
    print(f"{len(waits)} answers, median {statistics.median(waits):.3f} s, longest {max(waits):.3f} s")
    assert statistics.median(waits) < 0.25
    assert max(waits) < 1.5, "half a CPU for both, on a machine that runs all tests"


def test_a_submission_is_seen_on_its_way_and_after(ada, code):
    key = "seen-on-its-way"
    job = submit(ada, code, idempotency_key=key).json()

    after = ada.get(f"user/ada/himalia/api/submissions/{key}").json()

    assert (after["stage"], after["job_id"]) == ("done", job["id"])
    assert submit(ada, code, idempotency_key=key).json()["id"] == job["id"]


def test_a_service_that_is_away_is_told_in_words_and_the_server_lives_on(live, ada, code):
    with live.stopped("service"):
        answer = submit(ada, code)
        assert answer.status_code == 503
        assert "Nothing answers" in answer.json()["error"]["message"]
        assert ada.get("user/ada/api/status").is_success

    eventually(lambda: submit(ada, code).status_code == 201)


def test_the_extension_is_there_without_anything_to_set_up(server):

    enabled = server.exec_run(["jupyter", "server", "extension", "list"]).output.decode()
    shown = server.exec_run(["jupyter", "labextension", "list"]).output.decode()

    assert "himalia_server_extension" in enabled
    assert "himalia v" in shown
