"""The other commands: what they print for people and for programs, and how they refuse."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import httpx
import pytest
from job_bodies import NOW, attempt, ended

from himalia.errors import Unauthenticated
from himalia.models import NotebookRun, ProjectView
from himalia.reasons import Sure
from himalia.states import JobState

ID = "abcdefghijkl"


@pytest.fixture
def job(service):
    job = service.add_job(**ended(ID), id=ID, env={"KEY": "value"})
    job.logs = [b"first\nlast\n"]
    job.artifacts = {"model.bin": b"0123456789", "plots/a.png": b"png"}
    return job


def test_jobs_are_a_table_with_a_line_each(service, himalia, job):
    service.add_job(
        name="other", sentence="Waiting for GPUs that others hold; it starts by itself when they are free." * 3
    )

    lines = himalia("jobs").out.decode().splitlines()

    assert lines[0].split() == ["ID", "STATE", "PROJECT", "NAME", "GPUS", "SUBMITTED", "RAN", "FOR", "WHY"]
    assert len(lines) == 3
    assert lines[2].startswith(f"{ID}  succeeded  digits") and "5 s" in lines[2] and "ago" in lines[2]


def test_jobs_as_json_are_a_line_each(service, himalia, job):
    service.add_job()

    found = himalia("jobs", "--json").lines

    assert [line["state"] for line in found] == ["queued", "succeeded"]
    assert found[1]["id"] == ID and found[1]["created_at"] == "2026-01-02T03:04:05.000Z"


def test_twenty_jobs_are_listed_unless_all_are_asked_for(service, himalia):
    for _ in range(150):
        service.add_job()

    assert len(himalia("jobs", "--json").lines) == 20
    assert len(himalia("jobs", "--all", "--json").lines) == 150


def test_jobs_are_chosen_by_project_and_state(service, himalia, job):
    service.add_job(project="other")

    assert [line["id"] for line in himalia("jobs", "--state", "succeeded,failed", "--json").lines] == [ID]
    assert [line["project"] for line in himalia("jobs", "--project", "other", "--json").lines] == ["other"]
    assert "No such jobs." in himalia("jobs", "--project", "none").err
    assert "There are: queued, starting" in himalia("jobs", "--state", "x").err


def test_the_first_time_there_is_a_hint(service, himalia):
    assert "himalia submit -- python train.py" in himalia("jobs").err


def test_an_id_may_be_shortened_in_any_case_and_last_is_the_last_one(service, code, himalia, job):
    assert himalia("show", "abc", "--json").lines[0]["id"] == ID
    assert himalia("show", "ABCD", "--json").lines[0]["id"] == ID
    himalia("submit", "-d", "--", "true")
    assert himalia("show", "last", "--json").lines[0]["id"] == list(service.jobs)[1]


@pytest.mark.parametrize("command", ["show", "logs", "wait", "cancel", "rerun", "delete", "artifacts", "download"])
def test_an_id_that_is_none_or_not_unique_or_unknown_is_told(service, himalia, job, command):
    service.add_job(id="abcdefghijk2")
    for given, said in (
        ("last", "Nothing was submitted from here yet. See `himalia jobs`."),
        ("../me", "is no id of a job"),
        ("", "is no id of a job"),
        (f"{ID}.1", "is no id of a job"),
        ("zzz", "There is no job zzz that you may see."),
        ("abc", "More than one job begins with abc. Write more of the id."),
    ):
        outcome = himalia(command, given, *(("--yes",) if command == "delete" else ()))

        assert outcome.code == 125, given
        assert outcome.err.startswith("himalia: ") and said in outcome.err


def test_a_broken_note_of_the_last_job_is_as_good_as_none(service, himalia, home):
    (home / ".cache" / "himalia").mkdir(parents=True)
    (home / ".cache" / "himalia" / "last").write_bytes(b"\xff")

    assert "Nothing was submitted from here yet" in himalia("show", "last").err


def test_show_tells_all_about_a_job(service, himalia, job):
    job.become(command=["python", "-c", "print('a b')"])

    text = himalia("show", ID).out.decode()

    for line in (
        "state        succeeded. The command ended.",
        "project      user:ada/digits",
        "exit code    0",
        "command      python -c 'print('\"'\"'a b'\"'\"')'",
        "asked for    1 CPU, 2.0 GB, GPUs 0, 1 h",
        "environment  KEY=value",
    ):
        assert line in text.splitlines()


def test_show_says_of_a_preemptible_job_that_it_gives_way(service, himalia, job):
    assert "preemptible" not in himalia("show", ID).out.decode()

    job.become(preemptible=True)

    line = "preemptible  yes: it gives way when others need the GPU, and is run again"
    assert line in himalia("show", ID).out.decode().splitlines()


def test_show_tells_a_notebook_and_its_parameters(service, himalia, job):
    job.become(notebook=NotebookRun(path="train.ipynb", parameters={"epochs": 3, "name": "x"}), command=["papermill"])

    text = himalia("show", ID).out.decode()

    assert 'notebook     train.ipynb epochs=3 name="x"' in text
    assert "papermill" not in text


@pytest.mark.fault(48)
@pytest.mark.fault(86)
def test_names_of_strangers_steer_no_terminal(service, himalia, job):
    job.become(name="\x1b[2Jgone\x9b1m", command=["\x1b]0;x\x07"])
    job.artifacts = {"a\x1b[31m": b"", "b\nc": b""}

    for words in (("jobs",), ("show", ID), ("artifacts", ID), ("cancel", ID), ("rerun", "-d", ID)):
        outcome = himalia(*words)
        assert not {"\x1b", "\x9b", "\x07"} & set(outcome.out.decode() + outcome.err), words
    assert "\\x1b[2Jgone" in himalia("jobs").out.decode()


def test_show_tells_the_label_of_the_last_attempt(service, himalia):
    labelled = attempt("b" * 12, 1).model_copy(update={"label": "gpu-out-of-memory"})
    service.add_job(id="b" * 12, state=JobState.FAILED, attempt=1, attempts=(labelled,))

    assert b"label        gpu-out-of-memory\n" in himalia("show", "b" * 12).out


def test_logs_are_the_bytes_that_were_printed(service, himalia, job):
    job.logs = [b"\xff\x00\r\n" * 3]

    outcome = himalia("logs", ID)

    assert (outcome.code, outcome.out, outcome.err) == (0, b"\xff\x00\r\n" * 3, "")


def test_logs_of_an_attempt_can_be_asked_for(service, himalia, job):
    job.logs = [b"one", b"two"]
    job.become(attempt=2)

    assert himalia("logs", ID).out == b"two"
    assert himalia("logs", ID, "--attempt", "1").out == b"one"
    assert "has no attempt 3" in himalia("logs", ID, "--attempt", "3").err


def test_logs_ask_for_the_lines_that_are_wanted(service, himalia, job):
    outcome = himalia("logs", ID, "-n", "5", "--since", "2026-05-04T10:00Z", "--grep", "loss", "-i", "-t")

    assert outcome.code == 0
    asked = service.queries[-1]
    assert {name: asked[name] for name in ("tail", "grep", "ignore_case", "timestamps")} == {
        "tail": "5",
        "grep": "loss",
        "ignore_case": "1",
        "timestamps": "1",
    }
    assert asked["since"] == "2026-05-04T10:00:00+00:00"
    assert "is no moment" in himalia("logs", ID, "--since", "noon").err


def test_logs_followed_tell_the_end(service, himalia, job):
    outcome = himalia("logs", "-f", ID)

    assert (outcome.code, outcome.out) == (0, b"first\nlast\n")
    assert outcome.err == f"{ID}: succeeded. The command ended.\n"


def test_wait_ends_with_the_jobs_code_and_ctrl_c_ends_the_waiting_alone(service, himalia, job, monkeypatch):
    job.become(state=JobState.FAILED, exit_code=7)

    outcome = himalia("wait", ID)

    assert (outcome.code, outcome.err) == (7, f"{ID}: failed. The command ended.\n")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("himalia.sdk.Job.wait", interrupted)
    outcome = himalia("wait", ID)
    assert (outcome.code, outcome.err) == (130, f"\nNo longer waiting; {ID} goes on.\n")


def test_cancel_says_what_will_be(service, himalia, job):
    live = service.add_job(state=JobState.RUNNING)

    assert himalia("cancel", live.view.id).err == f"{live.view.id}: is being ended.\n"
    assert himalia("cancel", ID).err == f"{ID}: succeeded. The command ended.\n"


def test_extend_says_what_the_time_limit_is_now(service, himalia):
    service.add_job(id=ID)

    assert himalia("extend", "last", "1h").err.startswith("himalia: Nothing was submitted")
    assert himalia("extend", ID, "30m").err == f"{ID}: its time limit is 1 h 30 min now.\n"
    assert "allows 2 h in all" in himalia("extend", ID, "4h").err


def test_move_says_where_to(service, himalia):
    service.add_job(id=ID)
    service.add_job(id="bbbbbbbbbbbb")

    assert "first=True, last=False, before=None" in himalia("move", ID, "--first").err
    assert "before=bbb" in himalia("move", ID, "--before", "bbb").err
    assert "Say where to" in himalia("move", ID).err
    assert "Say where to" in himalia("move", ID, "--first", "--last").err


def test_what_waits_is_told_in_the_readers_zone_with_its_expected_start(service, himalia, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    waiting = "1st in line. Waiting for 1 of: GPU 0 (in use, ends before 2030-01-01T08:50Z)."
    service.add_job(id=ID, sentence=waiting, estimate_at=datetime(2030, 1, 1, 8, 50, tzinfo=UTC), sure=Sure.LIKELY)

    said = himalia("show", ID).out.decode()

    monkeypatch.undo()
    time.tzset()
    assert "ends before Tue 1 Jan 14:20). It should start about Tue 1 Jan 14:20." in said


def test_rerun_follows_the_new_job_and_makes_it_the_last(service, himalia, job):
    outcome = himalia("rerun", ID)

    again = list(service.jobs)[1]
    assert outcome.code == 0
    assert outcome.err.startswith(f"job {again} (digits): python train.py\n")
    assert himalia("show", "last", "--json").lines[0]["rerun_of"] == ID


def test_delete_asks_a_person_and_needs_a_yes_from_a_program(service, himalia, job):
    outcome = himalia("delete", ID, stdin="y\n")
    assert (outcome.code, list(service.jobs)) == (125, [ID])
    assert "Nobody is here to be asked. Add --yes." in outcome.err

    outcome = himalia("delete", ID, "--yes")
    assert (outcome.code, outcome.err, service.jobs) == (0, f"{ID}: deleted.\n", {})


def test_a_job_that_runs_is_not_deleted(service, himalia):
    live = service.add_job(state=JobState.RUNNING)

    assert "is running. Cancel it first" in himalia("delete", live.view.id, "--yes").err


def test_artifacts_are_listed_for_people_and_programs(service, himalia, job):
    job.kinds = {"plots/a.png": "symlink"}

    lines = himalia("artifacts", ID).out.decode().splitlines()

    assert lines[0].split() == ["PATH", "SIZE", "CHANGED"]
    assert lines[1].split()[:3] == ["model.bin", "10", "bytes"]
    assert lines[2].split()[:2] == ["plots/a.png", "symlink"]
    assert [line["size_bytes"] for line in himalia("artifacts", ID, "--json").lines] == [10, 3]


def test_no_artifacts_are_told(service, himalia, job):
    job.artifacts = {}
    assert "Nothing is in /artifacts." in himalia("artifacts", ID).err
    assert "Nothing is in /artifacts." in himalia("download", ID).err
    job.become(state=JobState.RUNNING)
    assert "Nothing is in /artifacts yet." in himalia("artifacts", ID).err


def test_download_prints_what_was_written(service, himalia, job, tmp_path):
    outcome = himalia("download", ID, "plots/*", "--to", str(tmp_path / "out"))

    assert outcome.out.decode().splitlines() == [str(tmp_path / "out" / "plots" / "a.png")]
    assert (tmp_path / "out" / "plots" / "a.png").read_bytes() == b"png"


def test_download_refuses_in_words(service, himalia, job, tmp_path):
    (tmp_path / "file").write_text("x")

    assert "No artifact matches *.pt" in himalia("download", ID, "*.pt").err
    outcome = himalia("download", ID, "--to", str(tmp_path / "file"))
    assert outcome.code == 125 and "is a file" in outcome.err


def test_gpus_and_profiles_are_told(service, himalia):
    outcome = himalia("gpus")
    assert "No GPU was found on this platform." in outcome.err
    assert "6 of 8 CPUs and 8.0 GB of 16.0 GB memory are free." in outcome.err
    assert himalia("gpus", "--json").lines[0]["nodes"][0]["cpus"] == 8.0
    assert himalia("profiles").out.decode().splitlines()[1].split()[:3] == ["small", "Small", "1"]
    assert himalia("profiles", "--json").lines[0]["name"] == "small"


def test_projects_are_made_listed_shown_and_deleted(service, himalia):
    assert "No projects yet." in himalia("projects").err
    assert himalia("projects", "create", "digits").err == "user:ada/digits is there.\n"
    assert himalia("projects").out.decode().splitlines()[1].split()[:3] == ["digits", "user:ada", "0"]
    assert himalia("projects", "--json").lines[0]["name"] == "digits"
    assert "project    user:ada/digits" in himalia("projects", "show", "digits").out.decode()
    assert himalia("projects", "delete", "digits").err == "digits: deleted.\n"
    assert "There is no project digits" in himalia("projects", "show", "digits").err
    service.projects["x"] = ProjectView(owner="team:nlp", name="x", created_at=NOW)
    assert "Only members may do that." in himalia("projects", "delete", "x", "--owner", "team:nlp").err


@pytest.mark.parametrize(
    "words", [("jobs",), ("gpus",), ("profiles",), ("projects",), ("show", "abc"), ("wait", "abc")]
)
def test_without_a_login_every_command_says_how_to_log_in(himalia, words):
    outcome = himalia(*words)

    assert outcome.code == 125
    assert outcome.err.startswith("himalia: There is no platform to talk to.") and "himalia login" in outcome.err


def test_a_token_that_does_not_count_any_more_is_told_where_it_came_from(service, himalia, monkeypatch):
    service.breaks("GET", "jobs", *[Unauthenticated("The token is not known here (any more). Log in again.")] * 2)

    assert "Make a new one and run: himalia login URL" in himalia("jobs").err
    monkeypatch.delenv("HIMALIA_TOKEN")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "token-of-ada")
    assert "Restart your server" in himalia("jobs").err


def test_a_mistyped_command_or_option_is_told_in_words(himalia):
    outcome = himalia("job")
    assert outcome.code == 125 and "No such command" in outcome.err
    assert "No such option" in himalia("jobs", "--nope").err


def test_help_and_version_need_no_platform(himalia):
    assert himalia("--version").out == b"himalia, version 0.1.0\n"
    for words in ((), ("submit",), ("projects", "create")):
        assert himalia(*words, "--help").out.startswith(b"Usage: ")


def test_a_bug_of_the_service_is_told_as_one(service, himalia):
    service.breaks(
        "GET", "gpus", httpx.Response(500, content=json.dumps({"error": {"code": "error", "message": "Oops."}}))
    )

    assert himalia("gpus").err == "himalia: Oops.\n"
