"""Jobs that write what they please, where they please: it comes back as it was, and nothing of the host with it."""

from __future__ import annotations

import json

import pytest
from live_platform import output, run

import himalia
from himalia.models import JobRequest, NotebookRun
from himalia.sdk import send_directory
from himalia.states import JobState


@pytest.fixture
def ada(client):
    return client("ada")


@pytest.mark.fault(37)
def test_a_log_is_kept_byte_for_byte(ada):
    script = (
        "import sys, os\n"
        "out = sys.stdout.buffer\n"
        "out.write(bytes(range(256)) * 4 + b'50%\\r100%\\r\\n\\0\\n'); out.flush()\n"
        "out.write(b'x' * 50_000_000 + b'\\nend\\n'); out.flush()\n"
        "os.system('echo to stderr > /dev/stderr')\n"
    )
    job = run(ada, ["python3", "-c", script])

    expected = bytes(range(256)) * 4 + b"50%\r100%\r\n\0\n" + b"x" * 50_000_000 + b"\nend\nto stderr\n"
    assert output(job) == expected


@pytest.mark.fault(36)
def test_a_child_that_keeps_the_output_open_does_not_keep_the_job(ada):
    job = run(ada, "setsid sleep 600 & echo done")

    assert (job.state, output(job)) == (JobState.SUCCEEDED, b"done\n")


@pytest.mark.parametrize(
    "command",
    [
        "ln -sf /etc/shadow /himalia/run/log.x && mv -f /himalia/run/log.x /himalia/run/log",
        "rm /himalia/run/log; mkdir /himalia/run/log",
        "rm /himalia/run/log; mkfifo /himalia/run/log",
        "rm -f /himalia/run/exit.json*; mkdir /himalia/run/exit.json; echo x > /himalia/run/exit.json/x",
        "ln -sf /etc/shadow /himalia/run/exit.json",
    ],
    ids=["log is a link", "log is a directory", "log is a pipe", "record is a directory", "record is a link"],
)
def test_a_job_that_replaces_its_files_gets_nothing_of_the_host(ada, command):
    job = run(ada, f"{command}; exit 5")

    assert (job.state, job.exit_code) == (JobState.FAILED, 5)
    assert b"root:" not in output(job)


@pytest.mark.fault(45)
@pytest.mark.fault(46)
@pytest.mark.fault(48)
@pytest.mark.fault(49)
@pytest.mark.fault(95)
def test_artifacts_are_listed_and_served_without_following_anything(ada, live, tmp_path):
    job = run(
        ada,
        "cd /artifacts; ln -s /etc/shadow link; ln -s / up; mkfifo pipe; mkdir d; echo ok > d/file; "
        "echo x > 'na\"me; <b>'; touch -- -dash",
    )
    token = live.person("ada").token

    kinds = {artifact.path: artifact.type for artifact in job.artifacts()}

    assert kinds["link"] == kinds["up"] == "symlink"
    assert kinds["pipe"] == "other"
    for path in ("link", "up/etc/passwd", "pipe", "d", "../run/log", "%2e%2e/log", "nothing"):
        assert live.ask("GET", f"jobs/{job.id}/artifacts/{path}", token).status_code == 404, path
    served = live.ask("GET", f"jobs/{job.id}/artifacts/d/file", token)
    assert served.text == "ok\n"
    assert served.headers["Content-Disposition"].startswith("attachment")
    assert served.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in served.headers["Content-Security-Policy"]
    part = live.ask("GET", f"jobs/{job.id}/artifacts/d/file", token, headers={"Range": "bytes=1-1"})
    assert (part.status_code, part.text, part.headers["Content-Range"]) == (206, "k", "bytes 1-1/3")
    assert live.ask("GET", f"jobs/{job.id}/artifacts/d/file", token, headers={"Range": "bytes=9-"}).status_code == 416
    assert {file.name for file in job.download(tmp_path / "out")} == {"file", 'na"me; <b>', "-dash"}


def test_a_notebook_runs_saves_each_cell_and_takes_parameters_as_values(ada, tmp_path):
    notebook = {
        "cells": [
            cell("name = 'nobody'\ncount = 1", tags=["parameters"]),
            cell("print('hello', name, count + 1)"),
            cell("raise ValueError('on purpose')"),
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (tmp_path / "train.ipynb").write_text(json.dumps(notebook))

    job = himalia.submit(
        tmp_path, notebook="train.ipynb", parameters={"name": "__import__('os')", "count": 41}, client=ada
    ).wait(120)

    assert job.state is JobState.FAILED
    assert b"hello __import__('os') 42" in output(job)
    (file,) = job.download(tmp_path / "out", ["train.ipynb"])
    assert "on purpose" in file.read_text()


@pytest.mark.parametrize(
    "content", ["{}", "not json", '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}']
)
def test_a_notebook_that_cannot_run_says_so_in_its_log(ada, tmp_path, content):
    (tmp_path / "bad.ipynb").write_text(content)
    snapshot = send_directory(ada, tmp_path)  # our own client looks at the notebook first; another need not

    request = JobRequest(project="tests", snapshot=snapshot, notebook=NotebookRun(path="bad.ipynb"))
    job = himalia.job(ada.submit(request).id, ada).wait(120)

    assert job.state is JobState.FAILED
    assert output(job)


def cell(source: str, tags: list[str] | None = None) -> dict[str, object]:
    """Return a code cell."""
    return {
        "cell_type": "code",
        "source": source,
        "metadata": {"tags": tags or []},
        "outputs": [],
        "execution_count": None,
        "id": f"c{abs(hash(source)) % 10**8}",
    }
