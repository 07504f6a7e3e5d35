"""`import himalia`: submit, wait, log, download."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from job_bodies import ended, succeed
from job_service import TOKEN, URL

import himalia
from himalia.errors import Busy, FieldError, LocalError, TooLarge, Unavailable
from himalia.states import JobState


@pytest.fixture
def notebook(code):
    content = {"nbformat": 4, "nbformat_minor": 5, "cells": [], "metadata": {"kernelspec": {"name": "python3"}}}
    (code / "train.ipynb").write_text(json.dumps(content))
    return code / "train.ipynb"


def test_the_example_of_the_first_page(service, code, tmp_path):
    def run(job):
        succeed(job, b"hello\n")
        job.artifacts = {"model.txt": b"42"}

    service.script = run
    job = himalia.submit(".", command=["python", "train.py"], profile="small")
    job.wait()
    job.download(to=tmp_path / "out")

    assert (job.state, job.exit_code) == (JobState.SUCCEEDED, 0)
    assert (tmp_path / "out" / "model.txt").read_bytes() == b"42"
    assert b"".join(job.log()) == b"hello\n"
    (wish,) = service.requests
    assert (wish.project, wish.command, wish.profile, wish.owner) == ("digits", ["python", "train.py"], "small", None)
    assert wish.snapshot in service.committed


def test_a_job_tells_what_it_used(service):
    job = himalia.submit(None, project="work", command="true")

    (sample,) = job.metrics()

    assert (sample.cpu_percent, sample.memory_bytes) == (150.0, None)


def test_importing_it_is_light():
    code = "import sys, himalia; assert not {'httpx', 'pydantic', 'rich', 'click', 'sqlalchemy', 'docker'} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_same_directory_again_sends_no_content(service, code):
    himalia.submit(command="true")
    himalia.submit(command="true")

    assert service.count("PUT", ".*") == 1


@pytest.mark.fault(58)
def test_a_submit_repeated_after_a_cut_is_one_job(service, code):
    def lose_the_answer(job):
        service.script = lambda _: None
        raise httpx.ReadError("cut")

    service.script = lose_the_answer
    himalia.submit(command="true")

    keys = {wish.idempotency_key for wish in service.requests}
    assert service.count("POST", "jobs") == 2
    assert len(keys) == 1 and len(service.jobs) == 1


@pytest.mark.parametrize(
    "fault", [httpx.WriteError("broken pipe"), httpx.Response(503, text="away"), httpx.ReadTimeout("slow")]
)
def test_an_upload_that_is_cut_goes_on_with_what_is_missing(service, code, fault):
    service.breaks("PUT", ".*", fault)

    himalia.submit(command="true")

    assert service.count("PUT", ".*") == 2
    assert len(service.jobs) == 1


def test_an_upload_that_never_gets_through_is_told_and_nothing_is_submitted(service, code):
    service.breaks("PUT", ".*", *[httpx.WriteError("broken pipe")] * 5)

    with pytest.raises(Unavailable, match="The connection to .* broke"):
        himalia.submit(command="true")
    assert service.jobs == {}


def test_a_file_that_changes_during_the_upload_is_named_and_nothing_is_submitted(service, code):
    def edit(phase, *_):
        if phase == "sending":
            (code / "train.py").write_text("print('HELLO')\n")

    with pytest.raises(LocalError, match=r"train\.py changed while it was sent. Submit again"):
        himalia.submit(command="true", progress=edit)
    assert service.jobs == {}


def test_contents_that_went_missing_before_the_commit_are_sent_again(service, code):
    service.breaks("POST", "snapshots/.*/commit", Busy("1 contents are still missing."))

    himalia.submit(command="true")

    assert len(service.jobs) == 1


def test_what_cannot_run_is_refused_before_a_byte_is_sent(service, code):
    for options, field in (
        ({"cpus": "two"}, "cpus"),
        ({"gpu": 1}, "gpu"),
        ({"retries": "many"}, "retries"),
        ({"env": {"A": 1}}, "env.A"),
    ):
        with pytest.raises(FieldError, match=f"^{field} ") as refused:
            himalia.submit(command="true", **options)
        assert refused.value.field == field
    with pytest.raises(LocalError, match="either a command or a notebook"):
        himalia.submit()
    with pytest.raises(LocalError, match="either a command or a notebook"):
        himalia.submit(command="true", notebook="train.ipynb")
    with pytest.raises(FieldError, match="Parameters are for a notebook"):
        himalia.submit(command="true", parameters={"a": 1})
    with pytest.raises(LocalError, match="needs a project"):
        himalia.submit(None, command="true")
    assert service.asked == []


def test_a_command_may_have_paths_and_numbers(service, code):
    himalia.submit(command=["python", Path("train.py"), "--epochs", 3])

    assert service.requests[0].command == ["python", "train.py", "--epochs", "3"]


def test_without_a_directory_nothing_is_sent(service):
    himalia.submit(None, command="true", project="empty")

    assert service.requests[0].snapshot is None
    assert service.count("POST", "snapshots") == 0


def test_a_teams_job_sends_its_files_to_the_team(service, code):
    himalia.submit(command="true", owner="team:nlp")

    assert [asked.owner for asked in service.manifests.values()] == ["team:nlp"]


def test_an_empty_directory_is_refused_and_told_why(service, code, tmp_path):
    (tmp_path / "empty" / "d").mkdir(parents=True)
    with pytest.raises(LocalError, match="nothing to submit in .*: it is empty. Go to the directory of your code"):
        himalia.submit(tmp_path / "empty", command="true")
    (code / ".himaliaignore").write_text("*\n")
    with pytest.raises(LocalError, match="all of it is left out by the ignore rules"):
        himalia.submit(command="true")


def test_a_directory_that_is_too_large_is_refused_before_it_is_read(service, code, monkeypatch):
    monkeypatch.setattr("himalia.sdk.pack", None)
    service.me = service.me.model_copy(update={"largest_workspace_bytes": 10})
    with pytest.raises(TooLarge, match=r"more than the 10 bytes that can be submitted .*train\.py"):
        himalia.submit(command="true")
    service.me = service.me.model_copy(update={"most_workspace_entries": 1})
    with pytest.raises(TooLarge, match="more than the 1 files and directories"):
        himalia.submit(command="true")


def test_a_service_without_limits_of_its_own_is_served_too(service, code):
    service.me = service.me.model_copy(update={"largest_workspace_bytes": None, "most_workspace_entries": None})

    himalia.submit(command="true")


@pytest.mark.parametrize(
    ("workdir", "said"),
    [
        ("nowhere", "There is no nowhere in"),
        ("train.py", "train.py is a file"),
        ("data/x", "is left out by .gitignore"),
    ],
)
def test_a_directory_to_run_in_that_is_not_sent_is_told(service, code, workdir, said):
    (code / "data" / "x").mkdir(parents=True)
    (code / ".gitignore").write_text("data\n")

    with pytest.raises(LocalError, match=said):
        himalia.submit(command="true", workdir=workdir)


def test_a_directory_to_run_in_may_lie_behind_a_link(service, code):
    (code / "link").symlink_to("pkg")
    (code / "pkg" / "sub").mkdir()

    for workdir in ("pkg", "./pkg/sub", "link/sub", "link"):
        himalia.submit(command="true", workdir=workdir)


def test_a_notebook_is_sent_with_its_parameters_as_values(service, notebook):
    himalia.submit(notebook=Path("train.ipynb"), parameters={"epochs": 3, "rate": 1e-5, "name": "x", "layers": [1, 2]})

    (wish,) = service.requests
    assert wish.notebook is not None
    assert (wish.notebook.path, wish.command, wish.workdir) == ("train.ipynb", None, "")
    assert wish.notebook.parameters == {"epochs": 3, "rate": 1e-5, "name": "x", "layers": [1, 2]}


def test_a_notebook_runs_in_its_own_directory_unless_another_is_named(service, notebook, code):
    notebook.rename(code / "pkg" / "train.ipynb")

    himalia.submit(notebook="./pkg/train.ipynb")
    himalia.submit(notebook="pkg/train.ipynb", workdir="")

    assert [(wish.notebook.path, wish.workdir) for wish in service.requests if wish.notebook] == [
        ("pkg/train.ipynb", "pkg"),
        ("pkg/train.ipynb", ""),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("not json", "its content is not JSON"),
        ('{"cells": [', "its content is not JSON"),
        (b"\xff\xfe\x00", "its content is not JSON"),
        ("", "its content is not JSON"),
        ("[" * 100_000, "its content is not JSON"),
        ("[]", "its content has no nbformat"),
        ('{"cells": []}', "its content has no nbformat"),
        ('{"nbformat": 4, "cells": []}', "names no kernel. Open it in JupyterLab, choose a kernel and save it"),
        ('{"nbformat": 4, "metadata": {"kernelspec": {"name": ""}}}', "names no kernel"),
        ('{"nbformat": 4, "metadata": []}', "names no kernel"),
    ],
)
def test_a_notebook_that_cannot_run_is_told_before_anything_is_sent(service, notebook, content, said):
    notebook.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(LocalError, match=said):
        himalia.submit(notebook="train.ipynb")
    assert service.count("POST", ".*") == 0


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("other.ipynb", "There is no other.ipynb in"),
        ("train.py", "does not end in .ipynb"),
        ("out/x.ipynb", "left out by"),
    ],
)
def test_a_notebook_that_is_not_sent_is_told(service, code, path, said):
    (code / "out").mkdir()
    (code / "out" / "x.ipynb").write_text("{}")
    (code / ".gitignore").write_text("out/\n")

    with pytest.raises(LocalError, match=said):
        himalia.submit(notebook=path)


@pytest.mark.parametrize("name", ["", "a b", "1x", "import", "x=1;y", "import os; os.system('x') #"])
def test_the_name_of_a_parameter_is_never_code(service, notebook, name):
    with pytest.raises(FieldError, match="is no name of a parameter"):
        himalia.submit(notebook="train.ipynb", parameters={name: 1})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), b"x"])
def test_the_value_of_a_parameter_is_plain(service, notebook, value):
    with pytest.raises(FieldError, match="The parameter rate must be a number"):
        himalia.submit(notebook="train.ipynb", parameters={"rate": value})


def test_waiting_goes_on_while_the_service_is_away(service):
    job = himalia.job(service.add_job(id="a" * 12).view.id)
    service.job("a").looks = [ended("a" * 12)]
    service.breaks("GET", "jobs/.*", *[httpx.ConnectError("refused")] * 12)

    assert job.wait().state is JobState.SUCCEEDED


def test_waiting_ends_in_words_when_the_service_stays_away(service, monkeypatch):
    job = himalia.job(service.add_job(id="a" * 12).view.id)
    monkeypatch.setattr("himalia.client.patience.GIVE_UP_SECONDS", 0)
    service.breaks("GET", "jobs/.*", *[httpx.ConnectError("refused")] * 5)

    with pytest.raises(Unavailable, match="Nothing answers"):
        job.wait()


def test_waiting_has_an_end_of_its_own_where_one_is_given(service):
    job = himalia.job(service.add_job(id="a" * 12).view.id)

    with pytest.raises(TimeoutError, match="a{12} is still queued after 0.01 s"):
        job.wait(timeout=0.01)


def test_jobs_are_listed_with_one_question_and_looked_at_when_needed(service):
    for name in ("one", "two", "three"):
        service.add_job(name=name)

    found = himalia.jobs(limit=2)

    assert [job.view.name for job in found] == ["three", "two"]
    assert service.count("GET", "jobs") == 1


def test_cancel_and_rerun_give_the_job_as_it_is_then(service):
    job = himalia.job(service.add_job().view.id)

    assert job.cancel().view.cancel_requested
    assert job.rerun().view.rerun_of == job.id


def test_a_job_is_given_another_place_in_line(service):
    job, other = (himalia.job(service.add_job().view.id) for _ in range(2))

    assert job.move(first=True).view.sentence == "Moved: first=True, last=False, before=None."
    assert job.move(last=True).view.sentence == "Moved: first=False, last=True, before=None."
    assert job.move(before=other).view.sentence == f"Moved: first=False, last=False, before={other.id}."
    assert job.move(before=other.id[:4]).view.sentence == f"Moved: first=False, last=False, before={other.id[:4]}."


def test_a_client_of_ones_own_can_be_given(service, code, monkeypatch):
    monkeypatch.delenv("HIMALIA_TOKEN")
    with himalia.Client(URL, TOKEN) as client:
        assert himalia.submit(command="true", client=client).wait().state is JobState.SUCCEEDED


def test_without_a_login_it_says_how_to_log_in(code):
    with pytest.raises(LocalError, match="run `himalia login https://your-hub.example.org` first"):
        himalia.submit(command="true")


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        himalia.nothing  # noqa: B018
