"""A directory becomes a job in a real container: its output, its end and its artifacts come back."""

from __future__ import annotations

import pytest
from live_platform import eventually, output, run, state

from himalia.errors import HimaliaError, NotFound
from himalia.reasons import Reason
from himalia.states import JobState


@pytest.fixture
def code(tmp_path):
    """A small directory to submit."""
    folder = tmp_path / "code"
    (folder / "pkg").mkdir(parents=True)
    (folder / "train.py").write_text(
        "from pkg import greet\nprint(greet())\nopen('/artifacts/model.txt', 'w').write('42')\n"
    )
    (folder / "pkg" / "__init__.py").write_text("def greet():\n    return 'hello from a job'\n")
    return folder


def test_a_directory_runs_and_its_output_and_artifacts_come_back(client, code, tmp_path):
    job = run(client("ada"), ["python3", "train.py"], code, project="road")

    assert (job.state, job.exit_code) == (JobState.SUCCEEDED, 0)
    assert output(job) == b"hello from a job\n"
    (file,) = job.download(tmp_path / "out")
    assert file.read_text() == "42"


def test_editing_files_after_the_submit_changes_nothing(client, code, tmp_path):
    ada = client("ada")
    blocker = run(ada, "sleep 60", gpus="4", wait=False)
    job = run(ada, ["python3", "train.py"], code, gpus="1", wait=False)
    (code / "pkg" / "__init__.py").write_text("def greet():\n    return 'edited'\n")

    blocker.cancel()

    assert output(job) == b"hello from a job\n"
    job.wait(60)


@pytest.mark.fault(81)
def test_a_job_never_reaches_the_submitted_files_of_the_next(client, code):
    ada = client("ada")
    first = run(ada, "echo spoiled > train.py; rm -r pkg; echo done", code)
    second = run(ada, ["python3", "train.py"], code)

    assert output(first) == b"done\n"
    assert output(second) == b"hello from a job\n"


@pytest.mark.parametrize(
    ("command", "state_", "reason", "code_"),
    [
        ("exit 3", JobState.FAILED, Reason.EXITED, 3),
        (["no-such-command"], JobState.FAILED, Reason.COMMAND_NOT_FOUND, 127),
        (["/etc/passwd"], JobState.FAILED, Reason.COMMAND_NOT_EXECUTABLE, 126),
        ("kill -9 $$", JobState.FAILED, Reason.KILLED_BY_SIGNAL, 137),
        (["python3", "-c", "x = bytearray(10**9)"], JobState.FAILED, Reason.OUT_OF_MEMORY, 137),
        ("python3 -c 'x = bytearray(10**9)'; exit 0", JobState.SUCCEEDED, Reason.SUCCEEDED_WITH_CHILD_OOM, 0),
    ],
)
def test_how_it_ended_is_told(client, command, state_, reason, code_):
    job = run(client("ada"), command, profile="tiny")

    assert (job.state, job.view.reason, job.exit_code) == (state_, reason, code_)
    assert job.view.sentence


def test_a_time_limit_ends_a_job_and_keeps_its_artifacts(client, tmp_path):
    job = run(client("ada"), "echo half > /artifacts/part; sleep 600", timeout="2s")

    assert (job.state, job.view.reason) == (JobState.FAILED, Reason.TIMED_OUT)
    assert job.download(tmp_path)[0].read_text() == "half\n"


def test_cancelling_a_running_job_ends_all_its_processes(client, live):
    job = run(client("ada"), "sleep 600 & trap '' TERM; echo ready; sleep 600", wait=False)
    assert next(iter(job.log(follow=True))) == b"ready\n"

    job.cancel()

    job.wait(60)
    assert (job.state, job.view.reason, job.view.cancelled_by) == (JobState.CANCELLED, Reason.CANCELLED, "ada")
    assert not [found for found in live.containers("job") if job.id in found.attrs["Names"][0]]


def test_cancelling_a_queued_job_ends_it_at_once_and_again_changes_nothing(client):
    ada = client("ada")
    blocker = run(ada, "sleep 600", gpus="4", wait=False)
    eventually(lambda: state(blocker).state is JobState.RUNNING)
    waiting = run(ada, "true", gpus="1", wait=False)
    assert "in line" in eventually(lambda: state(waiting).position and state(waiting).sentence)

    waiting.cancel()

    assert state(waiting).state is JobState.CANCELLED
    assert waiting.cancel().state is JobState.CANCELLED
    blocker.cancel().wait(60)


def test_a_failed_job_is_tried_again_with_an_attempt_of_its_own(client):
    ada = client("ada")

    job = run(
        ada,
        "echo attempt $HIMALIA_ATTEMPT; touch /artifacts/$HIMALIA_ATTEMPT; exit 75",
        retries=2,
        retry_on="lost,exit:75",
    )

    assert [attempt.number for attempt in job.view.attempts] == [1, 2, 3]
    assert b"".join(job.log(attempt=2)) == f"attempt {job.id}.2\n".encode()
    assert [file.path for file in ada.artifacts(job.id, 1).artifacts] == [f"{job.id}.1"]


def test_a_job_is_warned_before_its_time_limit_and_may_save(client, tmp_path):
    save = "trap 'echo saved > /artifacts/checkpoint; exit 0' USR1; sleep 600 & wait"

    job = run(client("ada"), save, timeout="60s", warn="57s")

    assert (job.state, job.view.attempts[0].warned_at is not None) == (JobState.SUCCEEDED, True)
    assert job.download(tmp_path)[0].read_text() == "saved\n"


def test_a_submit_repeated_with_its_key_is_the_same_job(client):
    ada = client("ada")
    first = run(ada, "true", idempotency_key="the-same", wait=False)
    second = run(ada, "true", idempotency_key="the-same", wait=False)

    assert first.id == second.id
    first.wait(60)


def test_a_job_can_be_run_again_with_the_same_files(client, code):
    first = run(client("ada"), ["python3", "train.py"], code)

    again = first.rerun().wait(60)

    assert again.view.rerun_of == first.id
    assert again.view.snapshot_digest == first.view.snapshot_digest
    assert output(again) == output(first)


def test_strangers_find_nothing_and_members_of_the_team_see_and_stop(client):
    job = run(client("ada"), "echo team; sleep 600", owner="team:nlp", wait=False, env={"KEY": "secret"})
    eventually(lambda: state(job).state is JobState.RUNNING)
    bob, eve = client("bob"), client("eve")

    for call in (eve.job, eve.cancel, eve.artifacts, eve.delete, eve.rerun):
        with pytest.raises(NotFound):
            call(job.id)
    assert bob.job(job.id).env == {"KEY": ""}
    assert bob.cancel(job.id).cancel_requested
    job.wait(60)


def test_a_deleted_job_is_gone_with_its_files(client, live):
    ada = client("ada")
    job = run(ada, "echo x > /artifacts/x")

    ada.delete(job.id)

    with pytest.raises(NotFound):
        ada.job(job.id)
    eventually(lambda: not (live.place.site.data / "jobs" / job.id).exists())


def test_a_running_job_cannot_be_deleted(client):
    ada = client("ada")
    job = run(ada, "sleep 600", wait=False)

    with pytest.raises(HimaliaError, match="Cancel it first"):
        ada.delete(job.id)
    job.cancel().wait(60)


def test_projects_make_themselves_and_count_their_jobs(client, code):
    ada = client("ada")
    run(ada, "true", code, project=None)

    project = next(project for project in ada.projects() if project.name == "code")
    assert (project.owner, project.job_count) == ("user:ada", 1)


def test_nothing_of_an_ended_job_is_left_in_the_engine(client, live):
    job = run(client("ada"), "true")

    names = [found.attrs["Names"][0] for found in live.containers("job", everything=True)]
    assert not [name for name in names if job.id in name]
    volumes = live.docker.volumes.list(filters={"label": f"himalia={live.place.installation}"})
    assert not [volume.name for volume in volumes if job.id in volume.name]
