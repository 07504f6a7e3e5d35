"""What `himalia doctor` says of repositories: from where they are fetched, or why none can be."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from looked_at import told

from himalia.site import Site
from himalia_jobs.doctor.here import Here
from himalia_jobs.doctor.repositories import repositories
from himalia_jobs.git import cage


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """What was found out about this machine is found out once more."""
    cage.why_not.cache_clear()
    yield
    cage.why_not.cache_clear()


def looked(**git: Any) -> tuple[bool | None, str]:
    """Return what is said of a platform with these settings."""
    return told(repositories(Here(site=Site.model_validate({"git": git}))))


def test_a_machine_that_can_says_from_where():
    ok, said = looked(hosts=["github.com", "git.example.org:8443"])

    assert ok
    assert "from github.com, git.example.org:8443" in said


def test_no_hosts_is_a_choice():
    assert looked(hosts=[]) == (None, "none are fetched: [git] hosts is empty ")


def test_a_machine_without_git_says_what_to_do(monkeypatch):
    monkeypatch.setattr(cage, "PROGRAMS", "/nonexistent")

    ok, said = looked()

    assert ok is False
    assert "git and prlimit and setpriv and unshare" in said
    assert "[git] hosts = []" in said


def test_a_git_that_cannot_be_told_addresses_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr(cage, "PROGRAMS", f"{_older(tmp_path)}:{cage.PROGRAMS}")

    assert looked() == (False, looked()[1])
    assert "older than 2.37" in looked()[1]


def test_a_file_of_certificates_that_is_not_there_is_named(tmp_path):
    ok, said = looked(certificates=str(tmp_path / "none.pem"))

    assert ok is False
    assert "none.pem, which is not there" in said


def _older(folder: Path) -> Path:
    (folder / "git").write_text("#!/bin/sh\necho git version 2.30.2\n")
    (folder / "git").chmod(0o755)
    assert subprocess.run([folder / "git"], capture_output=True, text=True).stdout == "git version 2.30.2\n"
    return folder
