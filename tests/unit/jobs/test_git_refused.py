"""Repositories of strangers: what is refused, what is never asked, and what git cannot do here."""

from __future__ import annotations

import os
import socket
import subprocess
import threading

import pytest
from git_host import git, git_host
from repositories import add_submodule, command_lines, digits_in, into, push_commit, push_tree, raw_tree, until

from himalia.errors import FieldError, HimaliaError, TooLarge, Unavailable
from himalia_jobs.git.cage import Cage, enclosed
from himalia_jobs.git.commit import Item, check_paths


def test_a_token_is_on_no_command_line_while_git_runs(host, fetch):
    host.make("private").commit(a="1")
    host.silent.set()
    failures: list[HimaliaError] = []
    fetching = threading.Thread(target=lambda: into(failures, fetch, "private", token="s3cret", seconds=30))

    fetching.start()
    until(lambda: bool(host.asked))
    lines = [line for line in command_lines() if "git" in line]
    host.silent.clear()
    fetching.join()

    assert any("private" in line for line in lines)
    assert not any("s3cret" in line or "czNjcmV0" in line for line in lines)
    assert failures == []


@pytest.mark.fault(90)
def test_a_repository_that_leads_to_another_host_is_not_followed(host, fetch, tmp_path):
    with git_host(tmp_path / "other") as other:
        other.make("digits").commit(a="1")
        host.moved["digits"] = other.url("digits")

        with pytest.raises(FieldError, match="has moved, is not there, or is private"):
            fetch("digits")

        assert other.asked == []


@pytest.mark.fault(90)
def test_a_repository_that_leads_to_the_metadata_of_a_cloud_is_not_followed(host, fetch):
    host.moved["digits"] = "http://169.254.169.254/latest"

    with pytest.raises(FieldError, match="has moved, is not there, or is private"):
        fetch("digits")


@pytest.mark.fault(90)
def test_a_host_whose_name_changes_its_address_meanwhile_is_asked_at_the_one_that_was_looked_at(
    host, fetch, monkeypatch
):
    host.make("digits").commit(a="1")
    answers: list[str] = []

    def rebinding(name, port, **options):
        answers.append("127.0.0.1" if not answers else "127.0.0.2")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers[-1], port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)

    # Nobody but the test knows the name, so git can only have its address from us.
    found = fetch("digits", called="repositories.test")

    assert found.files == {"a": "1"}
    assert answers == ["127.0.0.1"]


@pytest.mark.fault(90)
def test_submodules_are_left_empty_and_told_and_nobody_is_asked_for_them(host, fetch, tmp_path):
    with git_host(tmp_path / "other") as other:
        inner = other.make("inner")
        inner.commit(b="2")
        work = host.make("digits")
        work.commit(a="1")
        add_submodule(work.tree, str(inner.bare), "below/inner", other.url("inner"))
        work.commit_all()

        found = fetch("digits")

        assert found.files.keys() == {"a", ".gitmodules"}
        assert "below/inner" in {entry.path for entry in found.scanned.entries}
        assert found.source.left_out == ("submodules: below/inner",)
        assert other.asked == []


@pytest.mark.fault(90)
@pytest.mark.parametrize(
    "url", ["file:///etc", "ext::sh -c touch", "https://127.0.0.1/a", "https://elsewhere.example/a/b"]
)
def test_a_submodule_is_fetched_by_the_same_rules_as_a_repository(host, fetch, url):
    inner = host.make("inner")
    inner.commit(b="2")
    work = host.make("digits")
    work.commit(a="1")
    add_submodule(work.tree, str(inner.bare), "inner", url)
    work.commit_all()

    with pytest.raises(FieldError):
        fetch("digits", submodules=True)


@pytest.mark.fault(90)
def test_what_lies_in_git_lfs_stays_a_pointer_and_is_told(host, fetch):
    """What lies in Git LFS stays a pointer, and is told."""
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    host.make("digits").commit(model=pointer, **{".gitattributes": "model filter=lfs diff=lfs merge=lfs -text\n"})

    found = fetch("digits")

    assert found.files["model"] == pointer
    assert found.source.left_out == ("contents of 1 file in Git LFS",)
    assert all("git-upload-pack" in asked.path for asked in host.asked)


def test_more_files_or_bytes_than_a_workspace_may_have_are_refused_before_they_are_read(host, fetch):
    host.make("digits").commit(a="1" * 2000, b="2" * 2000, c="3")

    with pytest.raises(TooLarge, match="more than the 2 files"):
        fetch("digits", entries=2)
    with pytest.raises(TooLarge, match="Clone it, and submit the part"):
        fetch("digits", workspace=3000)


def test_a_pack_that_is_larger_than_allowed_is_cut_off(host, tmp_path):
    work = host.make("digits")
    (work.tree / "noise").write_bytes(os.urandom(600_000))
    work.commit_all()
    cage = Cage(tmp_path / "small" / "git", seconds=60, largest_bytes=100_000)

    with pytest.raises(TooLarge):
        digits_in(host, cage).bring(tmp_path / "small" / "files", lambda known: None)

    assert sum(file.stat().st_size for file in cage.folder.rglob("*") if file.is_file()) < 400_000


def test_a_host_with_a_certificate_that_nobody_trusts_is_refused(host, fetch):
    host.make("digits").commit(a="1")

    with pytest.raises(Unavailable, match="certificate of .* is not trusted"):
        fetch("digits", certificates=None)

    assert host.asked == []


@pytest.mark.parametrize("path", ["../out", ".git/config", "a/.GIT/config", "./a"])
def test_a_commit_whose_paths_lead_out_is_refused(host, fetch, path):
    work = host.make("digits")
    work.commit(a="1")
    blob = git(work.tree, "rev-parse", "HEAD:a").strip()
    push_tree(work, {path: blob})

    with pytest.raises(FieldError, match="a path that leads elsewhere"):
        fetch("digits")


@pytest.mark.parametrize(
    "paths", [("a//b",), ("/etc/x",), ("",), ("a", "a"), ("a", "a/b"), ("n" * 256,), ("d/" * 300 + "x",)]
)
def test_paths_that_cannot_be_are_refused_before_one_is_written(paths):
    items = [Item(mode="100644", object_id="0" * 40, size_bytes=0, path=path) for path in paths]

    with pytest.raises(FieldError, match="cannot be a workspace"):
        check_paths(items)


def test_a_link_with_a_file_below_it_is_refused(host, fetch):
    work = host.make("digits")
    work.commit(a="1")
    blob = git(work.tree, "rev-parse", "HEAD:a").strip()
    inner = raw_tree(work, [("100644", "shadow", blob)])
    outer = raw_tree(work, [("120000", "x", blob), ("40000", "x", inner)])
    push_commit(work, outer)

    with pytest.raises(FieldError, match="path"):
        fetch("digits")


def test_nobodys_settings_of_git_change_what_is_fetched(host, fetch, monkeypatch, tmp_path):
    host.make("digits").commit(a="1")
    trap = tmp_path / "trap"
    (tmp_path / ".gitconfig").write_text(
        f"[core]\n\tfsmonitor = touch {trap}\n[credential]\n\thelper = !touch {trap}\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_SSL_NO_VERIFY", "1")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")

    assert fetch("digits").files == {"a": "1"}
    assert not trap.exists()


def test_git_is_nobody_else_sees_no_other_process_and_cannot_read_what_is_not_everybodys(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    cage = Cage(tmp_path / "cage", seconds=20, largest_bytes=1024)
    ask = f"id -u; ls -d /proc/[0-9]*; cat {secret}; grep CapEff /proc/self/status; pwd"

    done = subprocess.run(enclosed(["sh", "-c", ask], cage.folder, 1024, 20), capture_output=True, text=True)

    uid, *processes, label, capabilities, place = done.stdout.split()
    assert (uid, label, capabilities, place) == ("65533", "CapEff:", "0" * 16, "/tmp")
    assert processes[0] == "/proc/1"
    assert len(processes) <= 3
