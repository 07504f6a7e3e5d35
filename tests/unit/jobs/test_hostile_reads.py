"""What a job's own user wrote is read without following anything, whatever is swapped meanwhile."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from himalia_jobs.engines.hostile import open_regular, read_small, walk

SECRET = b"a file of the host"


@pytest.fixture
def root(tmp_path):
    """A directory that a job filled, beside a secret of the host."""
    (tmp_path / "secret").write_bytes(SECRET)
    folder = tmp_path / "artifacts"
    (folder / "dir").mkdir(parents=True)
    (folder / "file").write_bytes(b"mine")
    (folder / "dir" / "inner").write_bytes(b"inner")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "dirlink").symlink_to(tmp_path)
    (folder / "inside").symlink_to("file")
    os.mkfifo(folder / "pipe")
    return folder


def content(root: Path, path: str) -> bytes | None:
    """Return what a path gives; none when there is nothing."""
    try:
        descriptor = open_regular(root, path)
    except FileNotFoundError:
        return None
    try:
        return os.read(descriptor, 1000)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        ".",
        "..",
        "link",
        "inside",
        "dirlink/secret",
        "dir",
        "pipe",
        "../secret",
        "dir/../file",
        "dir/../../secret",
    ]
    + ["/etc/passwd", "file/", "file/x", "dir//inner", "a\0b", "x" * 300, "/".join("d" * 300), "\ud800", "./file"],
)
def test_only_a_plain_path_to_a_regular_file_gives_anything(root, path):
    assert content(root, path) is None


def test_files_are_read(root):
    assert (content(root, "file"), content(root, "dir/inner")) == (b"mine", b"inner")


def test_a_root_that_is_a_link_or_missing_gives_nothing(root, tmp_path):
    (tmp_path / "other").symlink_to(root)

    assert content(tmp_path / "other", "file") is None
    assert content(tmp_path / "missing", "file") is None
    assert list(walk(tmp_path / "other")) == list(walk(tmp_path / "missing")) == []


PARTS = st.one_of(
    st.sampled_from(["..", ".", "", "dir", "file", "link", "dirlink", "secret", "\\xff"]), st.text(max_size=5)
)


@settings(deadline=None, max_examples=150, derandomize=True, database=None)
@given(parts=st.lists(PARTS, max_size=6))
def test_no_path_whatever_leads_out(parts):
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "secret").write_bytes(SECRET)
        (base / "in" / "dir").mkdir(parents=True)
        (base / "in" / "file").write_bytes(b"mine")
        (base / "in" / "link").symlink_to(base / "secret")
        (base / "in" / "dirlink").symlink_to(base)

        assert content(base / "in", "/".join(parts)) in (None, b"mine")


def test_a_directory_that_is_swapped_for_a_link_meanwhile_never_leads_out(root, tmp_path):
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "inner").write_bytes(SECRET)
    (root / "swap").symlink_to(tmp_path / "host")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (root / "dir").rename(root / "kept")
            (root / "swap").rename(root / "dir")
            (root / "dir").rename(root / "swap")
            (root / "kept").rename(root / "dir")

    thread = threading.Thread(target=swap)
    thread.start()
    found: Counter[bytes | None] = Counter()
    while found[b"inner"] < 20 or found.total() < 3000:  # often enough inside the directory, whatever the machine does
        found[content(root, "dir/inner")] += 1
    listed = {entry.path for _ in range(100) for entry in walk(root)}
    stop.set()
    thread.join()

    assert set(found) <= {None, b"inner"}
    assert not [path for path in listed if "secret" in path]


def test_everything_is_listed_and_nothing_followed(root):
    found = {entry.path: entry.type for entry in walk(root)}

    assert found == {
        "dir": "dir",
        "dir/inner": "file",
        "dirlink": "symlink",
        "file": "file",
        "inside": "symlink",
        "link": "symlink",
        "pipe": "other",
    }


def test_a_tree_that_is_deeper_than_allowed_is_listed_as_far_as_it_goes(tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(400):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)

    assert 200 < len(list(walk(tmp_path))) < 300


@pytest.mark.parametrize(
    ("made", "read"), [(b"", b""), (b"x" * 10, b"x" * 10), (b"x" * 11, None), (None, None)], ids=str
)
def test_a_small_file_is_read_whole_or_not_at_all(tmp_path, made, read):
    if made is not None:
        (tmp_path / "record").write_bytes(made)

    assert read_small(tmp_path, "record", 10) == read
