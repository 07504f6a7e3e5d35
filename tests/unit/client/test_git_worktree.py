"""What git knows of a directory that is submitted; and that nothing in it, and no git at all, keeps it from being submitted."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path

import pytest
from git_host import git

from himalia.errors import FieldError
from himalia.git import worktree
from himalia.git.worktree import describe
from himalia.snapshot import scan


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A work tree with one commit, cloned from somewhere."""
    folder = tmp_path / "tree"
    git(None, "init", "--quiet", "--initial-branch=main", str(folder))
    git(folder, "remote", "add", "origin", "https://ada:s3cret@github.com/ada/digits.git")
    (folder / "train.py").write_text("print(1)\n")
    (folder / "old.py").write_text("old\n")
    (folder / "pkg").mkdir()
    (folder / "pkg" / "a.py").write_text("a\n")
    (folder / ".gitignore").write_text("data/\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def described(folder: Path):
    """Return what git knows of a directory."""
    return describe(scan(folder, homes=()))


def diff_of(source) -> str:
    """Return the recorded difference."""
    return base64.b64decode(source.diff or "").decode()


def test_a_work_tree_as_committed_has_a_commit_a_branch_a_remote_and_no_difference(tree):
    source = described(tree)

    assert source.commit == git(tree, "rev-parse", "HEAD").strip()
    assert (source.branch, source.remote) == ("main", "https://github.com/ada/digits.git")
    assert (source.changed, source.untracked, source.diff, source.directory) == (0, 0, None, "")


def test_what_differs_from_the_commit_is_recorded_so_that_it_can_be_applied(tree, tmp_path):
    (tree / "train.py").write_text("print(2)\n")
    (tree / "old.py").unlink()
    (tree / "pkg" / "a.py").write_bytes(b"\xff\x00binary")
    (tree / "new.py").write_text("new\n")
    (tree / "data").mkdir()
    (tree / "data" / "large").write_text("left out\n")
    git(tree, "add", "pkg")

    source = described(tree)

    assert (source.changed, source.untracked) == (3, 1)
    fresh = tmp_path / "fresh"
    git(tree, "worktree", "add", "--quiet", str(fresh), source.commit)
    (tmp_path / "diff").write_bytes(base64.b64decode(source.diff or ""))
    git(fresh, "apply", "--binary", str(tmp_path / "diff"))
    assert (fresh / "train.py").read_text() == "print(2)\n"
    assert (fresh / "pkg" / "a.py").read_bytes() == b"\xff\x00binary"
    assert not (fresh / "old.py").exists()


def test_a_directory_below_the_top_speaks_of_itself_alone(tree):
    (tree / "train.py").write_text("changed\n")
    (tree / "pkg" / "a.py").write_text("changed\n")

    source = described(tree / "pkg")

    assert (source.directory, source.changed) == ("pkg", 1)
    assert "a/pkg/a.py" in diff_of(source)
    assert "train.py" not in diff_of(source)


def test_what_is_left_out_of_the_snapshot_is_left_out_of_the_difference(tree):
    (tree / ".himaliaignore").write_text("old.py\n")
    (tree / "old.py").write_text("secret\n")
    (tree / "train.py").write_text("changed\n")

    source = described(tree)

    assert source.changed == 1
    assert "secret" not in diff_of(source)
    assert "changed" in diff_of(source)


def test_a_difference_that_is_too_large_is_counted_and_not_recorded(tree):
    (tree / "train.py").write_bytes(os.urandom(worktree.MOST_DIFF_BYTES + 1000))

    source = described(tree)

    assert (source.changed, source.diff) == (1, None)


def test_a_commit_without_a_branch_and_a_work_tree_of_its_own_are_known(tree, tmp_path):
    other = tmp_path / "other"
    git(tree, "worktree", "add", "--quiet", "--detach", str(other))
    (other / "train.py").write_text("changed\n")

    source = described(other)

    assert (source.branch, source.changed) == ("", 1)
    assert "changed" in diff_of(source)


def test_nothing_that_a_directorys_own_configuration_names_is_run(tree, tmp_path):
    trap = tmp_path / "trap"
    command = f"touch {trap}; cat"
    for key in (
        "core.fsmonitor",
        "filter.odd.clean",
        "filter.odd.process",
        "diff.odd.textconv",
        "diff.odd.command",
        "diff.external",
    ):
        git(tree, "config", key, command)
    git(tree, "config", "filter.odd.required", "true")
    (tree / ".gitattributes").write_text("*.py filter=odd diff=odd\n")
    for name in ("post-index-change", "post-checkout", "pre-commit"):
        hook = tree / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {trap}\n")
        hook.chmod(0o755)
    (tree / "train.py").write_text("changed\n")

    source = described(tree)

    assert "changed" in diff_of(source)
    assert not trap.exists()


def test_the_index_of_a_work_tree_stays_as_it_is(tree):
    (tree / "train.py").write_text("print(1)\n")  # the same, written anew
    before = (tree / ".git" / "index").read_bytes()

    assert described(tree).changed == 0

    assert (tree / ".git" / "index").read_bytes() == before
    assert not (tree / ".git" / "index.lock").exists()


def test_a_directory_of_somebody_else_is_looked_at_as_well(tree):
    if os.geteuid() == 0:
        os.chown(tree, 12345, 12345)
        os.chown(tree / ".git", 12345, 12345)

    assert described(tree).branch == "main"


def test_a_directory_that_git_does_not_know_says_nothing(tree, tmp_path):
    (tree / "data").mkdir()
    (tree / "data" / "x").write_text("x")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a").write_text("a")

    assert described(tree / "data") is None
    assert described(tmp_path / "plain") is None


@pytest.mark.parametrize("broken", ["no commit", "no index", "odd marker", "no objects", "no git"])
def test_whatever_is_wrong_with_a_repository_the_directory_is_submitted(tree, tmp_path, monkeypatch, broken):
    if broken == "no commit":
        git(None, "init", "--quiet", str(tmp_path / "empty"))
        (tmp_path / "empty" / "a").write_text("a")
        tree = tmp_path / "empty"
    elif broken == "no index":
        (tree / ".git" / "index").write_bytes(b"DIRCgarbage")
    elif broken == "odd marker":
        (tree / "pkg" / ".git").write_text("no repository")
        tree = tree / "pkg"
    elif broken == "no objects":
        (tree / ".git" / "HEAD").write_text("f" * 40)
    else:
        monkeypatch.setenv("PATH", str(tmp_path))

    source = described(tree)

    assert source is None or source.diff is None


def test_a_job_says_what_git_knew_of_its_directory(service, tree, himalia, monkeypatch):
    monkeypatch.chdir(tree)
    (tree / "train.py").write_text("print(2)\n")

    outcome = himalia("submit", "--detach", "--", "python", "train.py")

    assert outcome.code == 0, outcome.err
    (request,) = service.requests
    assert (request.source.branch, request.source.changed) == ("main", 1)
    assert "+print(2)" in diff_of(request.source)


def test_a_platform_that_takes_no_source_gets_the_job_without_it(service, tree, himalia, monkeypatch):
    monkeypatch.chdir(tree)
    service.breaks("POST", "jobs", FieldError("source", "source is not known here. Check its name, or upgrade."))

    outcome = himalia("submit", "--detach", "--", "python", "train.py")

    assert outcome.code == 0, outcome.err
    assert [request.source for request in service.requests] == [None]


def test_a_work_tree_that_takes_git_too_long_is_submitted_with_its_commit_alone(tree, monkeypatch, tmp_path):
    slow, go_on = tmp_path / "bin", tmp_path / "go"
    slow.mkdir()
    real = shutil.which("git")
    wait = f"while [ ! -e {go_on} ]; do sleep 0.02; done"
    (slow / "git").write_text(f'#!/bin/sh\ncase "$*" in *ls-files*) {wait};; esac\nexec {real} "$@"\n')
    (slow / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow}:{os.environ['PATH']}")
    monkeypatch.setattr(worktree, "PATIENCE_SECONDS", 1.0)
    noted = worktree.Noted()

    noted.begin(scan(tree, homes=()))
    source = noted.source()
    go_on.touch()

    assert source is not None
    assert (source.branch, source.changed) == ("main", None)


def test_a_laptop_without_git_submits_as_ever(service, tree, himalia, monkeypatch, tmp_path):
    monkeypatch.chdir(tree)
    monkeypatch.setenv("PATH", str(tmp_path))

    outcome = himalia("submit", "--detach", "--", "python", "train.py")

    assert outcome.code == 0, outcome.err
    assert service.requests[0].source is None
