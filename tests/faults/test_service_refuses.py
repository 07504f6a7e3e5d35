"""A service that must not work keeps listening, says why and what to do, and touches nothing."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from live_platform import eventually, free_ports, output, run, state

from himalia.credentials import load_credentials
from himalia.states import JobState
from himalia_spawner.platform.engine import belongings, remove_belongings


def refusal(own, path: str = "jobs") -> str:
    """Return what the service answers instead of working."""
    answer = httpx.get(f"{own.url}/{path}", headers={"Authorization": "Bearer ada-token"}, timeout=10)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert answer.json()["error"]["message"] == own.complaints()
    return str(answer.json()["error"]["message"])


@pytest.fixture
def running(own):
    """A job that runs, and a service that has been stopped."""
    job = run(own.client(), "echo begun; sleep 600", gpus="1", wait=False)
    eventually(lambda: b"".join(job.log()) == b"begun\n")
    own.stop()
    return job


@pytest.mark.fault(12)
def test_a_lost_database_is_not_replaced_by_an_empty_one(own, running):
    database = own.data / "himalia.sqlite"
    kept = own.folder / "kept.sqlite"
    for file in own.data.glob("himalia.sqlite*"):
        shutil.move(file, own.folder / file.name.replace("himalia", "kept"))

    own.start(ready=False)

    said = refusal(own)
    assert f"{database} is missing" in said
    assert "1 containers" in said
    assert "--adopt" in said
    assert not database.exists()
    own.stop()
    for file in own.folder.glob("kept.sqlite*"):
        shutil.move(file, own.data / file.name.replace("kept", "himalia"))
    assert database.exists()
    assert not kept.exists()
    own.start()
    eventually(lambda: state(running).state is JobState.RUNNING)
    running.cancel().wait(60)


@pytest.mark.fault(12)
def test_adopt_begins_a_new_database_and_holds_what_runs(own, running):
    for file in own.data.glob("himalia.sqlite*"):
        file.unlink()

    own.start("--adopt", ready=False)

    ada = own.client()
    eventually(lambda: ada.gpus().free == 1)
    assert list(ada.jobs()) == []
    assert running.id in eventually(own.complaints)
    assert run(ada, "echo beside", gpus="1").state is JobState.SUCCEEDED
    name = f"himalia-{own.installation}-{running.id}.1"
    subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True)
    eventually(lambda: ada.gpus().free == 2)


@pytest.mark.fault(13)
def test_a_damaged_database_is_left_as_it_is(own, running):
    database = own.data / "himalia.sqlite"
    for file in own.data.glob("himalia.sqlite-*"):
        file.unlink()
    whole = database.read_bytes()
    damaged = whole[:100] + b"\xff" * (len(whole) - 100)
    database.write_bytes(damaged)

    own.start(ready=False)

    said = refusal(own)
    assert "is damaged" in said
    assert "Put a backup in its place" in said
    assert database.read_bytes() == damaged
    own.stop()
    database.write_bytes(whole)
    own.start()
    running.cancel().wait(60)


@pytest.mark.fault(13)
def test_a_damaged_journal_is_left_as_it_is_and_no_network_is_made(own):
    assert run(own.client(), "echo before").state is JobState.SUCCEEDED
    own.stop()
    journal = own.data / "engine" / "journal.sqlite"
    whole = journal.read_bytes()
    damaged = whole[:100] + b"\xff" * (len(whole) - 100)
    journal.write_bytes(damaged)
    remove_belongings(own.installation, belongings(own.installation))

    own.start(ready=False)

    said = refusal(own)
    assert f"journal {journal} is damaged" in said
    assert "Put a backup in its place" in said
    assert journal.read_bytes() == damaged
    assert belongings(own.installation).networks == ()
    own.stop()
    journal.write_bytes(whole)
    own.start()
    assert run(own.client(), "echo after").state is JobState.SUCCEEDED


@pytest.mark.fault(19)
def test_a_database_of_a_newer_version_is_left_as_it_is(own):
    own.stop()
    database = own.data / "himalia.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    own.start(ready=False)

    said = refusal(own)
    assert "written by a newer Himalia (step 9999)" in said
    assert "Start the newer version" in said


@pytest.mark.fault(14)
def test_a_second_service_on_the_same_data_says_so_and_the_first_goes_on(own, tmp_path):
    (port,) = free_ports(1)
    second = tmp_path / "second.toml"
    second.write_text(own.config.read_text().replace(f"service_port = {own.port}", f"service_port = {port}"))
    program = Path(sys.executable).with_name("himalia-service")

    process = subprocess.Popen([program, "--config", second], stderr=subprocess.DEVNULL)
    try:
        answer = eventually(lambda: answer_of(port))
        assert answer.status_code == 503
        assert "Another job service works on" in answer.json()["sentences"][0]
        assert run(own.client(), "echo fine").state is JobState.SUCCEEDED
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def answer_of(port: int) -> httpx.Response | None:
    """Return the health of a service; none while it does not listen."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/services/jobs/api/health", timeout=10)
    except httpx.TransportError:
        return None


def test_a_port_that_is_taken_is_named_with_its_setting(own, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text(own.config.read_text().replace(str(own.data), str(tmp_path / "other-data")))
    program = Path(sys.executable).with_name("himalia-service")

    try:
        ended = subprocess.run([program, "--config", other], capture_output=True, text=True, timeout=60)
    finally:
        installation = load_credentials(tmp_path / "other-data").installation
        remove_belongings(installation, belongings(installation))

    assert ended.returncode == 1
    assert f"Port {own.port} on 127.0.0.1 is taken" in ended.stderr
    assert "service_port" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert own.complaints() == ""


@pytest.mark.fault(1)
def test_a_killed_service_loses_no_job_that_it_has_taken(own):
    ada = own.client()
    taken = [run(ada, f"echo {number}", gpus="2", wait=False) for number in range(3)]

    own.stop(signal.SIGKILL)
    own.start()

    assert [(job.wait(60).state, output(job)) for job in taken] == [
        (JobState.SUCCEEDED, f"{number}\n".encode()) for number in range(3)
    ]


@pytest.mark.fault(20)
def test_the_service_ends_within_seconds_and_leaves_jobs_and_streams_to_the_next(own):
    ada = own.client()
    job = run(ada, "echo begun; sleep 4; echo ended", wait=False)
    lines = job.log(follow=True)
    assert next(lines) == b"begun\n"

    assert own.stop() == 0
    own.start()

    assert b"".join(lines) == b"ended\n"
    assert job.wait(60).state is JobState.SUCCEEDED
