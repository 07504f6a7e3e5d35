"""Fetching with a real git from a real host over https: what comes, and what is told where nothing does."""

from __future__ import annotations

import threading

import pytest
from git_host import git
from repositories import add_submodule, command_lines, digits_in, into, until

from himalia.errors import FieldError, HimaliaError, Unavailable
from himalia.models import Source
from himalia_jobs.git.cage import Cage


def test_the_files_of_the_default_branch_come_with_their_commit(host, fetch):
    work = host.make("ada/digits.git")
    work.commit(train="first")
    (work.tree / "run.sh").write_text("#!/bin/sh\n")
    (work.tree / "run.sh").chmod(0o755)
    (work.tree / "link").symlink_to("pkg/a")
    commit = work.commit(train="second", pkg__a="inner")

    found = fetch("ada/digits.git")

    assert found.files == {"train": "second", "pkg/a": "inner", "run.sh": "#!/bin/sh\n", "link": "-> pkg/a"}
    assert {entry.path: entry.mode for entry in found.scanned.entries} == {
        "train": 0o644,
        "run.sh": 0o755,
        "link": 0o777,
        "pkg": 0o755,
        "pkg/a": 0o644,
    }
    assert found.source == Source(fetched=True, remote=host.url("ada/digits.git"), commit=commit, changed=0)


def test_a_branch_a_tag_and_a_commit_are_found_by_their_names(host, fetch):
    work = host.make("digits")
    first = work.commit(train="first")
    git(work.tree, "tag", "-a", "v1", "-m", "the first")
    git(work.tree, "push", "--quiet", str(work.bare), "v1")
    work.commit(branch="feature/two", train="second")

    assert fetch("digits", "v1").source.commit == first
    assert fetch("digits", "feature/two").files == {"train": "second"}
    assert fetch("digits", first).files == {"train": "first"}


def test_a_name_that_is_not_there_is_told_and_a_short_commit_is_explained(host, fetch):
    host.make("digits").commit(a="1")

    with pytest.raises(FieldError, match="has no branch, tag or commit nowhere"):
        fetch("digits", "nowhere")
    with pytest.raises(FieldError, match="Write the whole id of a commit"):
        fetch("digits", "abcdef1")
    with pytest.raises(FieldError, match="is not there, or is private"):
        fetch("missing")


def test_a_repository_without_a_commit_is_told(host, fetch):
    host.make("empty")

    with pytest.raises(FieldError, match="is empty, or has no default branch"):
        fetch("empty")


def test_a_private_repository_opens_with_its_token_alone(host, fetch):
    host.make("private").commit(a="1")
    host.tokens["private"] = "s3cret"

    assert fetch("private", token="s3cret").files == {"a": "1"}
    assert {asked.token for asked in host.asked} == {"s3cret"}
    with pytest.raises(FieldError, match="the token may not read it") as refused:
        fetch("private", token="wr0ng")
    assert "wr0ng" not in refused.value.message
    with pytest.raises(FieldError, match="for a private one give a token"):
        fetch("private")


def test_a_host_that_wants_git_behind_a_name_gets_it(host, fetch):
    host.make("digits.git").commit(a="1")
    host.moved["digits"] = host.url("digits.git")

    assert fetch("digits").files == {"a": "1"}


def test_submodules_come_too_where_the_operator_allows_them_from_hosts_of_the_list(host, fetch):
    inner = host.make("group/inner")
    inner.commit(b="2")
    work = host.make("group/digits")
    work.commit(a="1")
    add_submodule(work.tree, str(inner.bare), "below/inner", "../inner")
    work.commit_all()

    found = fetch("group/digits", submodules=True)

    assert found.files["below/inner/b"] == "2"
    assert found.source.left_out == ()


def test_a_host_that_does_not_answer_is_given_up_when_the_time_is_over(host, fetch):
    host.make("digits").commit(a="1")
    host.silent.set()

    with pytest.raises(Unavailable, match="longer than 1 seconds"):
        fetch("digits", seconds=1)


def test_a_fetch_that_is_stopped_ends_at_once_and_leaves_no_process(host, tmp_path):
    host.make("digits").commit(a="1")
    host.silent.set()
    cage = Cage(tmp_path / "stopped" / "git", seconds=60, largest_bytes=1024**3)
    failures: list[HimaliaError] = []
    fetching = threading.Thread(
        target=lambda: into(failures, digits_in(host, cage).bring, tmp_path / "stopped" / "files", lambda known: None)
    )

    fetching.start()
    until(lambda: bool(host.asked))
    cage.stop()
    fetching.join(20)

    assert [failure.code for failure in failures] == ["cancelled"]
    assert not [line for line in command_lines() if host.url("digits") in line]
