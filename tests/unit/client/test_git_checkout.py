"""Getting back what a job ran: its files byte for byte, or a branch of one's own clone."""

from __future__ import annotations

import base64
from pathlib import Path

import httpx
import pytest
from git_host import git
from job_service import TOKEN, URL
from job_sources import ServiceThatFetches

from himalia.client.http import Http
from himalia.git.worktree import describe
from himalia.models import Entry, EntryType, Manifest, Source
from himalia.snapshot import pack, scan


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> ServiceThatFetches:
    """A job service in memory that keeps files, and an environment that points to it."""
    fake = ServiceThatFetches()
    monkeypatch.setattr(Http, "transport", httpx.MockTransport(fake))
    monkeypatch.setenv("HIMALIA_API_URL", URL)
    monkeypatch.setenv("HIMALIA_TOKEN", TOKEN)
    return fake


def keeps(service: ServiceThatFetches, folder: Path) -> None:
    """Let the service have the files of a directory."""
    scanned = scan(folder, homes=())
    service.manifest = pack(scanned).manifest
    files = [entry for entry in scanned.entries if entry.type is EntryType.FILE]
    service.files = {entry.path: (folder / entry.path).read_bytes() for entry in files}


def test_the_files_come_back_byte_for_byte_with_their_modes_and_links(service, himalia, tmp_path, monkeypatch):
    folder = tmp_path / "code"
    (folder / "pkg").mkdir(parents=True)
    (folder / "pkg" / "a").write_bytes(b"\x00\xff\r\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "empty").touch()
    (folder / "link").symlink_to("/etc/passwd")
    keeps(service, folder)
    job = service.add_job().view
    monkeypatch.chdir(tmp_path)

    outcome = himalia("checkout", job.id)

    assert outcome.code == 0, outcome.err
    back = tmp_path / f"digits-{job.id}"
    assert pack(scan(back, homes=())).digest == pack(scan(folder, homes=())).digest
    assert "3 files" in outcome.err


def test_a_directory_that_has_something_in_it_is_left_alone(service, himalia, tmp_path):
    job = service.add_job().view
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a").write_text("mine")

    outcome = himalia("checkout", job.id, "--to", str(tmp_path / "there"))

    assert outcome.code == 125
    assert "is there already" in outcome.err
    assert (tmp_path / "there" / "a").read_text() == "mine"


def test_nothing_of_a_strangers_job_is_written_outside_or_into_a_repository_of_its_own(service, himalia, tmp_path):
    one = {"type": "file", "size_bytes": 1, "chunks": ("0" * 64,)}
    link = Entry(path="out", type=EntryType.SYMLINK, target=str(tmp_path))
    paths = (".git/config", "a/.GIT/hooks/x", "fine")
    service.manifest = Manifest(entries=(link, *(Entry.model_validate(one | {"path": path}) for path in paths)))
    service.files = dict.fromkeys(paths, b"x")
    job = service.add_job().view

    assert himalia("checkout", job.id, "--to", str(tmp_path / "to")).code == 0
    assert sorted(found.name for found in (tmp_path / "to").iterdir()) == ["fine", "out"]

    service.manifest = Manifest(entries=(Entry.model_validate(one | {"path": "../out"}),))
    assert himalia("checkout", job.id, "--to", str(tmp_path / "two")).code == 125
    assert not (tmp_path / "out").exists()


def test_in_a_clone_a_branch_has_the_jobs_commit_and_its_changes(service, himalia, tmp_path, monkeypatch):
    clone = tmp_path / "clone"
    git(None, "init", "--quiet", "--initial-branch=main", str(clone))
    for name in ("train.py", "old.py"):
        (clone / name).write_text("first\n")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "first")
    (clone / "train.py").write_text("changed\n")
    (clone / "new.py").write_text("new\n")
    (clone / "old.py").unlink()
    known = describe(scan(clone, homes=()))
    assert known is not None
    keeps(service, clone)
    service.diff = base64.b64decode(known.diff or "")
    job = service.add_job(source=Source(commit=known.commit, ref="main", changed=2)).view
    git(clone, "checkout", "--quiet", "--", ".")
    monkeypatch.chdir(clone)

    outcome = himalia("checkout", job.id, "--branch", "again", "--to", str(tmp_path / "back"))

    assert outcome.code == 0, outcome.err
    assert git(tmp_path / "back", "rev-parse", "HEAD", "--abbrev-ref", "HEAD").split() == [known.commit, "again"]
    assert git(tmp_path / "back", "status", "--porcelain").splitlines() == [" D old.py", " M train.py", "?? new.py"]


def test_a_branch_needs_the_commit_and_says_what_to_do_without(service, himalia, tmp_path, monkeypatch):
    git(None, "init", "--quiet", str(tmp_path / "other"))
    monkeypatch.chdir(tmp_path / "other")
    source = Source(commit="a" * 40, remote="https://github.com/ada/digits")
    known, unknown = service.add_job(source=source).view, service.add_job().view

    assert "Go to a clone of https://github.com/ada/digits" in himalia("checkout", known.id, "--branch", "x").err
    assert "Leave --branch out" in himalia("checkout", unknown.id, "--branch", "x").err


def test_the_recorded_difference_is_printed_as_git_wrote_it(service, himalia):
    service.diff = b"diff --git a/a b/a\n+\xff\n"
    job = service.add_job().view

    assert himalia("diff", job.id).out == service.diff
