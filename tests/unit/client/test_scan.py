"""Walking a directory: what is sent, what is refused, and that no link is ever followed."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from importlib import import_module

import pytest
from somebody import somebody_without_rights

from himalia.errors import LocalError, TooLarge
from himalia.models import EntryType
from himalia.snapshot import pack, refuse_too_large, scan
from himalia.snapshot.found import State
from himalia.snapshot.scan import DEEPEST


def test_files_directories_and_links_are_found_with_their_modes(tmp_path):
    (tmp_path / "d").mkdir(mode=0o750)
    (tmp_path / "d" / "run.sh").write_text("x" * 10)
    (tmp_path / "d" / "run.sh").chmod(0o4755)
    (tmp_path / "link").symlink_to("d/run.sh")

    found = scan(tmp_path)

    assert [(entry.path, entry.type, entry.mode, entry.size_bytes, entry.target) for entry in found.entries] == [
        ("d", EntryType.DIR, 0o750, 0, ""),
        ("d/run.sh", EntryType.FILE, 0o755, 10, ""),
        ("link", EntryType.SYMLINK, 0o777, 0, "d/run.sh"),
    ]
    assert (found.file_count, found.size_bytes) == (1, 10)


@pytest.mark.fault(76)
def test_links_are_kept_as_data_and_lead_the_walk_nowhere(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    code = tmp_path / "code"
    code.mkdir()
    (code / "out").symlink_to("../outside")
    (code / "loop").symlink_to(".")
    (code / "itself").symlink_to("itself")
    (code / "etc").symlink_to("/etc/passwd")

    found = scan(code)

    assert {entry.path: entry.target for entry in found.entries} == {
        "out": "../outside",
        "loop": ".",
        "itself": "itself",
        "etc": "/etc/passwd",
    }
    assert all(entry.type is EntryType.SYMLINK for entry in found.entries)


def test_the_directory_itself_may_be_named_by_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("x")
    (tmp_path / "link").symlink_to("real")

    assert scan(tmp_path / "link").root == (tmp_path / "real").resolve()


@pytest.mark.fault(76)
def test_a_directory_that_becomes_a_link_during_the_walk_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    inner = tmp_path / "code" / "inner"
    inner.mkdir(parents=True)
    real = os.open

    def become(path: str, *options: int) -> int:
        if path == str(inner) and not inner.is_symlink():
            inner.rmdir()
            inner.symlink_to("../outside")
        return real(path, *options)

    monkeypatch.setattr(os, "open", become)

    with pytest.raises(LocalError, match="inner became something else while it was read. Submit again"):
        scan(tmp_path / "code")


@pytest.mark.fault(76)
def test_pipes_and_sockets_are_left_out_and_told(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        found = scan(tmp_path)

    assert [(left.path, left.rule) for left in found.left_out] == [("pipe", "it is a pipe"), ("sock", "it is a socket")]
    assert found.entries == ()


def test_a_name_that_is_no_utf8_is_named_and_may_be_left_out(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")

    with pytest.raises(LocalError, match=r"caf\\udce9\.txt' is no UTF-8. Rename it, or leave it out"):
        scan(tmp_path)
    (tmp_path / ".himaliaignore").write_text("caf*\n")
    assert [entry.path for entry in scan(tmp_path).entries] == [".himaliaignore"]


def test_a_link_to_a_name_that_is_no_utf8_is_named(tmp_path):
    os.symlink(b"caf\xe9", tmp_path / "link")

    with pytest.raises(LocalError, match="link leads to a name that is no UTF-8"):
        scan(tmp_path)


def test_a_tree_of_a_thousand_levels_is_refused_in_words(tmp_path):
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1000):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)

    with pytest.raises(LocalError, match=f"more than {DEEPEST} directories deep. Leave it out"):
        scan(tmp_path)
    (tmp_path / ".himaliaignore").write_text("d/\n")
    assert [left.path for left in scan(tmp_path).left_out] == ["d"]
    subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)  # too deep for Python


@pytest.mark.fault(76)
def test_an_unreadable_file_or_directory_is_named_with_what_to_do(tmp_path):
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0)

    with (
        somebody_without_rights(tmp_path),
        pytest.raises(LocalError, match=r"secret cannot be read \(Permission denied\)"),
    ):
        pack(scan(tmp_path))
    (tmp_path / "locked").mkdir(mode=0)
    with (
        somebody_without_rights(tmp_path),
        pytest.raises(LocalError, match=r"locked cannot be read \(Permission denied\)"),
    ):
        scan(tmp_path)


def test_unreadable_rules_are_an_error_for_else_secrets_would_be_sent(tmp_path):
    (tmp_path / ".gitignore").write_text("secrets\n")
    (tmp_path / ".gitignore").chmod(0)

    with somebody_without_rights(tmp_path), pytest.raises(LocalError, match="nobody knows what to leave out"):
        scan(tmp_path)


def test_what_goes_away_during_the_walk_is_not_sent(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "stays").write_text("x")
    real = os.readlink

    def gone(path: str) -> str:
        os.unlink(path)
        return real(path)

    monkeypatch.setattr(os, "readlink", gone)

    assert [entry.path for entry in scan(tmp_path).entries] == ["stays"]


def test_a_directory_that_goes_away_during_the_walk_is_empty(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    (tmp_path / "stays").write_text("x")
    real = os.open

    def vanish(path: str, *options: int) -> int:
        if path == str(tmp_path / "inner"):
            os.rmdir(path)
        return real(path, *options)

    monkeypatch.setattr(os, "open", vanish)

    assert [entry.path for entry in scan(tmp_path).entries] == ["inner", "stays"]


@pytest.mark.parametrize("inode", [2**63 - 1, 2**63, 2**64 - 1])
def test_an_inode_of_64_bits_is_one_of_its_own(tmp_path, inode):
    told = list(os.stat(tmp_path))
    told[stat.ST_INO] = inode

    state = State.of(os.stat_result(told, {"st_mtime_ns": 1, "st_ctime_ns": 1}))

    assert -(2**63) <= state.inode < 2**63
    assert state.inode % 2**64 == inode


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nowhere", "is not there"),
        ("file", "is no directory"),
        ("a\0b", "is not there"),
        ("/", "root directory cannot"),
    ],
)
def test_what_cannot_be_submitted_is_refused_in_words(tmp_path, what, said):
    (tmp_path / "file").write_text("x")

    with pytest.raises(LocalError, match=said):
        scan(what if what == "/" else f"{tmp_path}/{what}")


def test_more_entries_than_allowed_end_the_walk_at_once(tmp_path):
    for number in range(5):
        (tmp_path / str(number)).write_text("x")

    assert scan(tmp_path, most_entries=5).file_count == 5
    with pytest.raises(TooLarge, match="more than the 4 files and directories"):
        scan(tmp_path, most_entries=4)


def test_more_bytes_than_allowed_are_refused_before_a_byte_is_read_and_the_largest_is_named(tmp_path):
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "huge.bin").open("wb") as file:
        file.truncate(50 * 1024**3)
    (tmp_path / "train.py").write_text("x")

    with pytest.raises(
        TooLarge, match=r"50\.0 GB, more than the 10\.0 GB .*most of it: data/ 50\.0 GB.*keep it in /storage"
    ):
        refuse_too_large(scan(tmp_path), 10 * 1024**3)


def test_the_size_of_a_very_large_directory_that_is_left_out_is_told_as_at_least(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("himalia.snapshot.scan"), "MOST_COUNTED", 10)
    data = tmp_path / "node_modules" / "a"
    data.mkdir(parents=True)
    for number in range(11):
        (data / str(number)).touch()
    (data / "z").mkdir()

    (left,) = scan(tmp_path).left_out

    assert left.at_least
