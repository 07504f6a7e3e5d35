"""`himalia submit`: what is sent, what is said, and with which code it ends."""

from __future__ import annotations

import json
import re

import httpx
import pytest
from job_bodies import ended, succeed

from himalia.errors import Unauthenticated
from himalia.reasons import Reason
from himalia.states import JobState


def ends(service, output: bytes = b"", **changes):
    """Let the next job end like this."""
    service.script = lambda job: succeed(job, output, **changes)


def only(service):
    (job,) = service.jobs.values()
    return job.view


def test_the_output_is_on_stdout_and_the_rest_on_stderr(service, code, himalia):
    ends(service, b"epoch 1\r\nepoch 2\xff\x00\n")

    outcome = himalia("submit", "--", "python", "train.py")

    assert (outcome.code, outcome.out) == (0, b"epoch 1\r\nepoch 2\xff\x00\n")
    job = only(service).id
    lines = outcome.err.splitlines()
    assert lines[0] == f"sending {code.resolve()}: 2 files, 15 bytes"
    assert lines[1] == "sending 15 bytes that the platform does not have yet"
    assert lines[2] == f"job {job} (digits): python train.py"
    assert lines[3] == f"{job}: queued. Waiting in line; others are first."
    assert lines[-1] == f"{job}: succeeded. The command ended."


@pytest.mark.parametrize(
    ("changes", "code_"),
    [
        ({}, 0),
        ({"reason": Reason.SUCCEEDED_WITH_CHILD_OOM}, 0),
        ({"state": JobState.FAILED, "exit_code": 3}, 3),
        ({"state": JobState.FAILED, "reason": Reason.COMMAND_NOT_FOUND, "exit_code": 127}, 127),
        ({"state": JobState.FAILED, "reason": Reason.COMMAND_NOT_EXECUTABLE, "exit_code": 126}, 126),
        ({"state": JobState.FAILED, "reason": Reason.KILLED_BY_SIGNAL, "exit_code": 139}, 139),
        ({"state": JobState.FAILED, "reason": Reason.TIMED_OUT, "exit_code": 143}, 124),
        ({"state": JobState.CANCELLED, "reason": Reason.CANCELLED, "exit_code": 143}, 130),
        ({"state": JobState.FAILED, "reason": Reason.OUT_OF_MEMORY, "exit_code": 1}, 137),
        ({"state": JobState.FAILED, "reason": Reason.NODE_REBOOTED, "exit_code": None}, 125),
        ({"state": JobState.FAILED, "reason": Reason.START_FAILED, "exit_code": None}, 125),
        ({"state": JobState.FAILED, "reason": Reason.IMAGE_MISSING, "exit_code": 0}, 125),
    ],
)
def test_it_ends_with_the_jobs_exit_code_and_so_do_the_others_that_wait(service, code, himalia, changes, code_):
    ends(service, **changes)

    assert himalia("submit", "--", "true").code == code_
    assert himalia("wait", "last").code == code_
    assert himalia("logs", "-f", "last").code == code_
    assert himalia("rerun", "last").code == code_


def test_every_option_reaches_the_service(service, code, himalia):
    words = (
        "--project p --experiment e --name n --profile small --image i --gpu H200:2 --cpus 2.5 --memory 8G "
        "--env A=1 --env B=x=y --workdir pkg --timeout 2h --warn 5m --retries 3 --retry-on oom,lost --owner team:nlp --clean --preemptible --detach"
    )
    outcome = himalia("submit", ".", *words.split(), "--", "python", "train.py", "--detach", "--", "-x")

    assert outcome.code == 0
    (wish,) = service.requests
    sent = wish.model_dump(exclude={"snapshot", "idempotency_key"}, exclude_none=True)
    assert sent == {
        "project": "p",
        "owner": "team:nlp",
        "experiment": "e",
        "name": "n",
        "profile": "small",
        "image": "i",
        "gpus": "H200:2",
        "cpus": 2.5,
        "memory": "8G",
        "command": ["python", "train.py", "--detach", "--", "-x"],
        "workdir": "pkg",
        "env": {"A": "1", "B": "x=y"},
        "timeout": "2h",
        "warn": "5m",
        "retries": 3,
        "retry_on": "oom,lost",
        "preemptible": True,
        "clean": True,
    }


def test_what_is_left_out_is_said_largest_first(service, code, himalia):
    (code / ".gitignore").write_text("data/\n*.tmp\n")
    (code / "data").mkdir()
    with (code / "data" / "big").open("wb") as file:
        file.truncate(int(3.2 * 1024**3))
    (code / ".git").mkdir()
    (code / ".git" / "objects").write_bytes(bytes(2048))
    for number in range(5):
        (code / f"{number}.tmp").write_text("x" * (9 - number))

    outcome = himalia("submit", "--detach", "--", "true")

    said = [line for line in outcome.err.splitlines() if line.startswith("left out")]
    assert said == [
        "left out: data/ 3.2 GB by .gitignore",
        "left out: .git/ 2.0 KB (always left out)",
        "left out: 0.tmp 9 bytes by .gitignore",
        "left out: 1.tmp 8 bytes by .gitignore",
        "left out: 2.tmp 7 bytes by .gitignore",
        "left out: 2 more",
    ]


def test_detached_it_returns_at_once_and_says_how_to_follow(service, code, himalia):
    outcome = himalia("submit", "-d", "--", "true")

    assert outcome.out == b""
    assert outcome.err.splitlines()[-1] == f"follow it: himalia logs {only(service).id} -f"
    assert service.count("GET", "jobs/.*") == 0


def test_a_directory_elsewhere_can_be_named(service, code, himalia, monkeypatch):
    monkeypatch.chdir("/")

    himalia("submit", str(code), "-d", "--", "true")

    assert service.requests[0].project == "digits"


def test_the_home_directory_is_the_project_home(service, code, himalia, monkeypatch):
    monkeypatch.setenv("HOME", str(code))

    himalia("submit", "-d", "--", "true")

    assert service.requests[0].project == "home"


def test_json_lines_are_all_that_is_on_stdout(service, code, himalia):
    ends(service, b"noise\n", state=JobState.FAILED, exit_code=3)

    outcome = himalia("submit", "--json", "--", "false")

    assert outcome.code == 3
    assert [line["state"] for line in outcome.lines] == ["queued", "running", "failed"]
    assert {line["id"] for line in outcome.lines} == {only(service).id}
    assert outcome.err == ""


def test_json_and_detached_is_one_line(service, code, himalia):
    (line,) = himalia("submit", "--json", "-d", "--", "true").lines

    assert (line["state"], line["project"]) == ("queued", "digits")


def test_defaults_come_from_the_directorys_file(service, code, himalia):
    (code / "himalia-job.toml").write_text(
        'project = "p"\ncommand = ["python", "train.py"]\ngpu = 1\nretries = 2\ntimeout = "2h"\nclean = true\n'
        "[env]\nA = 1\nB = 'file'\n"
    )

    himalia("submit", "-d", "--env", "B=line", "--retries", "0")

    (wish,) = service.requests
    assert (wish.project, wish.command, wish.gpus, wish.retries, wish.timeout) == (
        "p",
        ["python", "train.py"],
        1,
        0,
        "2h",
    )
    assert (wish.env, wish.clean) == ({"A": "1", "B": "line"}, True)


def test_zero_cpus_are_asked_for_and_not_taken_for_nothing(service, code, himalia):
    himalia("submit", "-d", "--cpus", "0", "--", "true")

    assert service.requests[0].cpus == 0


def test_a_command_wins_over_the_files_notebook_and_a_notebook_over_the_files_command(service, code, himalia):
    write_notebook(code)
    (code / "himalia-job.toml").write_text('notebook = "train.ipynb"\n[param]\nepochs = 3\n')
    himalia("submit", "-d", "--", "true")
    himalia("submit", "-d")
    (code / "himalia-job.toml").write_text('command = "true"\n')
    himalia("submit", "-d", "--notebook", "train.ipynb")

    first, second, third = service.requests
    assert (first.command, first.notebook) == (["true"], None)
    assert second.notebook is not None and second.notebook.parameters == {"epochs": 3}
    assert third.command is None and third.notebook is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("project = ", "cannot be read"),
        ("\xff", "cannot be read"),
        ("projekt = 'p'", "has projekt, which is not known. There are: clean, command, cpus"),
        ("env = 'A=1'", "env must be a table"),
        ("param = 3", "param must be a table"),
        ("cpus = 'two'", "himalia-job.toml: cpus cannot be 'two'"),
        ("command = 'x'\nnotebook = 'train.ipynb'", "has a command and a notebook"),
        ("[env]\nA = true", "himalia-job.toml: env.A cannot be True"),
    ],
)
def test_a_mistake_in_the_directorys_file_is_told_with_its_name(service, code, himalia, text, said):
    (code / "himalia-job.toml").write_bytes(text.encode("latin-1"))

    outcome = himalia("submit", *(() if "notebook" in text else ("--", "true")))

    assert outcome.code == 125
    assert outcome.err.startswith("himalia: ") and "himalia-job.toml" in outcome.err and said in outcome.err
    assert service.jobs == {}


def write_notebook(code):
    content = {"nbformat": 4, "cells": [], "metadata": {"kernelspec": {"name": "python3"}}}
    (code / "train.ipynb").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-5", 1e-5),
        ("true", True),
        ("null", None),
        ("[1, 2]", [1, 2]),
        ('"3"', "3"),
        ("adam", "adam"),
        ("a=b", "a=b"),
        ("", ""),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("1e999", "1e999"),
        ("[", "["),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_a_parameter_is_the_value_that_it_looks_like(service, code, himalia, text, value):
    write_notebook(code)

    outcome = himalia("submit", "-d", "--notebook", "train.ipynb", "--param", f"x={text}")

    assert outcome.code == 0, outcome.err
    notebook = service.requests[0].notebook
    assert notebook is not None and notebook.parameters == {"x": value}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["submit"], "What is to run. Write it after two dashes: himalia submit -- python train.py"),
        (["submit", "python", "train.py"], "Only one directory .* -- python train.py"),
        (["submit", "--notebook", "a.ipynb", "--", "true"], "either a command or a notebook"),
        (["submit", "--param", "a=1", "--", "true"], "Parameters are for a notebook"),
        (["submit", "--notebook", "a.ipynb"], "There is no a.ipynb in"),
        (["submit", "nowhere", "--", "true"], "nowhere is not there"),
        (["submit", "train.py", "--", "true"], "train.py is no directory"),
        (["submit", "/", "--", "true"], "The root directory cannot be submitted"),
        (["submit", "--env", "A", "--", "true"], "'A' is no NAME=VALUE"),
        (["submit", "--env", "=1", "--", "true"], "'=1' is no NAME=VALUE"),
        (["submit", "--cpus", "two", "--", "true"], "'two' is not a valid float"),
        (["submit", "--profil", "small", "--", "true"], "No such option: --profil|No such option '--profil'"),
        (["submit", "--profile", "huge", "--", "true"], "There is no profile 'huge' .* There are: small"),
        (["submit", "--owner", "team:x", "--", "true"], "You are not team:x"),
        (["submit", "--workdir", "x", "--", "true"], "There is no x in"),
    ],
)
def test_what_cannot_be_submitted_ends_with_125_and_a_sentence(service, code, himalia, words, said):
    outcome = himalia(*words)

    assert (outcome.code, outcome.out) == (125, b"")
    assert re.search(said, outcome.err), outcome.err
    assert "Traceback" not in outcome.err
    assert service.jobs == {}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (httpx.ConnectError("refused"), "Nothing answers at gpu.example.org"),
        (httpx.Response(503, text="<html>"), "The platform does not answer at the moment"),
    ],
)
def test_a_platform_that_is_away_is_told(service, code, himalia, fault, said):
    service.breaks("GET", "me", *[fault] * 5)

    outcome = himalia("submit", "--", "true")

    assert outcome.code == 125
    assert outcome.err.startswith(f"himalia: {said}")


def test_an_old_client_is_told_before_anything_is_sent(service, code, himalia):
    service.me = service.me.model_copy(update={"oldest_client": "9.0"})

    outcome = himalia("submit", "--", "true")

    assert (outcome.code, service.jobs, service.manifests) == (125, {}, {})
    assert "too old for the platform" in outcome.err


def interrupted(*_args, **_options):
    raise KeyboardInterrupt


def test_ctrl_c_while_following_leaves_the_job_and_says_so(service, code, himalia, monkeypatch):
    monkeypatch.setattr("himalia.sdk.Job.log", interrupted)

    outcome = himalia("submit", "--", "true")

    job = only(service)
    assert outcome.code == 130
    assert f"No longer following; the job goes on. Follow: himalia logs {job.id} -f" in outcome.err
    assert f"End it: himalia cancel {job.id}" in outcome.err
    assert not job.cancel_requested


def test_ctrl_c_while_sending_submits_nothing(service, code, himalia, monkeypatch):
    monkeypatch.setattr("himalia.sdk.pack", interrupted)

    outcome = himalia("submit", "--", "true")

    assert (outcome.code, service.jobs) == (130, {})
    assert "Interrupted. Nothing was submitted" in outcome.err


def test_a_token_that_ends_while_following_is_told_and_the_job_goes_on(service, code, himalia):
    service.breaks("GET", "jobs/.*/logs", Unauthenticated("The token is not known here (any more)."))

    outcome = himalia("submit", "--", "true")

    assert outcome.code == 125
    assert f"No longer following {only(service).id}; the job goes on without you." in outcome.err
    assert "Make a new one and run: himalia login URL" in outcome.err


def test_a_service_that_restarts_while_following_is_told_and_waited_for(service, code, himalia):
    ends(service, b"all of it\n")
    service.breaks("GET", "jobs/.*", *[httpx.ConnectError("refused")] * 12)
    service.breaks("GET", "jobs/.*/logs", *[httpx.ConnectError("refused")] * 3)

    outcome = himalia("submit", "--", "true")

    assert (outcome.code, outcome.out) == (0, b"all of it\n")
    assert "Traceback" not in outcome.err


def test_a_job_that_is_tried_again_is_followed_through_all_its_attempts(service, code, himalia):
    def run(job):
        succeed(job)
        job.logs = [b"one\n", b"two\n"]
        job.looks = [{"state": JobState.RUNNING, "attempt": 1}] * 3 + [ended(job.view.id, attempt=2)]

    service.script = run

    assert himalia("submit", "--retries", "1", "--", "true").out == b"one\ntwo\n"


def test_a_long_upload_is_told_as_it_goes_where_there_is_no_terminal(service, code, himalia, monkeypatch):
    monkeypatch.setattr("himalia.cli.progress.PLAIN_SECONDS", 0)
    for number in range(3):
        (code / f"{number}.bin").write_bytes(bytes([number]) * 1000)

    said = himalia("submit", "-d", "--", "true").err.splitlines()

    assert any(re.fullmatch(r"hashing .* of 2\.9 KB", line) for line in said)
    assert any(re.fullmatch(r"sending .* of 2\.9 KB", line) for line in said)


def test_on_a_terminal_progress_is_a_bar_that_goes_away(service, code, himalia, monkeypatch):
    monkeypatch.setattr("himalia.cli.progress.sys.stderr.isatty", lambda: True, raising=False)

    outcome = himalia("submit", "-d", "--", "true")

    assert outcome.code == 0
    assert "that the platform does not have yet" not in outcome.err


@pytest.mark.fault(77)
def test_a_file_that_looks_like_a_password_is_named_before_it_is_sent(service, code, himalia):
    (code / ".env").write_text("KEY=1")

    done = himalia("submit", "--detach", "--", "true")

    assert (
        ".env looks like a key or a password, and is sent: who may see the project's jobs can read it. If that is not meant, "
        "leave it out in .himaliaignore." in done.err
    )
