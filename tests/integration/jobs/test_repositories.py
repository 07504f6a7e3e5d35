"""A repository on its way through a real service to a real container; and a work tree, whose commit the job remembers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from git_host import GitHost, git_host
from live_platform import output, run
from own_service import SETTINGS, OwnService

import himalia
from himalia.states import JobState


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    """A host of repositories on this machine."""
    with git_host(tmp_path) as found:
        yield found


@pytest.fixture
def own(tmp_path: Path, host: GitHost) -> Iterator[OwnService]:
    """A service whose operator allows that host."""
    allowed = f'networks = ["127.0.0.0/8", "::1/128"]\ncertificates = "{host.certificate}"\n'
    (tmp_path / "service").mkdir()
    service = OwnService(tmp_path / "service", settings=f'{SETTINGS}[git]\nhosts = ["{host.site}"]\n{allowed}')
    service.start()
    yield service
    service.end()


def test_a_private_repository_runs_as_a_job_that_says_its_commit_and_keeps_no_token(own, host):
    commit = host.make("ada/digits").commit(run="echo trained; cat pkg/a", pkg__a="deep\n")
    host.tokens["ada/digits"] = "s3cret-t0ken"
    told: list[str] = []

    job = himalia.submit(
        git=host.url("ada/digits") + "@main",
        token="s3cret-t0ken",
        command="sh run",
        client=own.client(),
        told=told.append,
    )

    assert job.wait(120).state is JobState.SUCCEEDED
    assert output(job) == b"trained\ndeep\n"
    assert job.view.source is not None and job.view.source.commit == commit
    assert any("main of" in sentence for sentence in told)
    assert job.rerun().wait(120).view.source == job.view.source
    kept = b"".join(file.read_bytes() for file in own.data.rglob("*") if file.is_file())
    assert b"s3cret-t0ken" not in kept
    assert "s3cret-t0ken" not in own.log()
    assert list((own.data / "fetches").iterdir()) == []


def test_a_job_of_a_work_tree_says_its_commit_and_what_its_files_had_over_it(own, host):
    work = host.make("digits")
    commit = work.commit(a="first\n")
    (work.tree / "a").write_text("changed\n")

    job = run(own.client(), "cat a", work.tree)

    source = job.view.source
    assert source is not None
    assert (source.commit, source.ref, source.changed) == (commit, "main", 1)
    assert output(job) == b"changed\n"
    assert b"+changed" in own.client().diff(job.id)
