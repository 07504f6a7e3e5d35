"""What a job's own user wrote is read without following anything, whatever is swapped meanwhile."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from himalia_jobs.engines import names
from himalia_jobs.engines.listing import NoCursor, page, walk
from himalia_jobs.hostile import open_regular, read_small

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


@pytest.mark.fault(45)
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


@pytest.mark.fault(46)
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_pipes_sockets_and_devices_are_looked_at_and_never_opened(root, kind, monkeypatch):
    make_odd(root / "odd", kind)
    opened = []
    real = os.open

    def noting(path: object, flags: int, *rest: object, **options: object) -> int:
        opened.append((str(path), flags))
        return real(path, flags, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", noting)

    assert content(root, "odd") is None
    assert {entry.path: entry.type for entry in walk(root)}["odd"] == "other"
    assert not [path for path, flags in opened if path.startswith("/proc") or (path == "odd" and not flags & os.O_PATH)]
    assert content(Path("/dev"), "null") is None


@pytest.mark.fault(46)
def test_who_writes_to_a_pipe_still_waits_for_a_reader_after_it_was_asked_for(root):
    assert content(root, "pipe") is None

    with pytest.raises(OSError, match="No such device or address"):
        os.open(root / "pipe", os.O_WRONLY | os.O_NONBLOCK)


@pytest.mark.fault(47)
def test_a_file_that_is_swapped_for_a_link_meanwhile_never_gives_a_byte_of_the_host(root, tmp_path):
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (root / "new").symlink_to(tmp_path / "secret")
            (root / "new").rename(root / "file")
            (root / "new").write_bytes(b"mine")
            (root / "new").rename(root / "file")

    thread = threading.Thread(target=swap)
    thread.start()
    found = Counter(content(root, "file") for _ in range(10_000))
    stop.set()
    thread.join()

    assert set(found) == {None, b"mine"}


@pytest.mark.fault(47)
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
    listed = {entry.path for _ in range(100) for entry in (*walk(root), *page(root, 100)[0])}
    stop.set()
    thread.join()

    assert set(found) <= {None, b"inner"}
    assert not [path for path in listed if "secret" in path]


@pytest.mark.fault(45)
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
    assert 200 < len(list(page(tmp_path, 1000)[0])) < 300


TREES = st.recursive(
    st.none(),
    lambda inner: st.dictionaries(st.sampled_from(["a", "a-", "b", "a.b", "ö", "\udce9", "z"]), inner, max_size=5),
    max_leaves=30,
)


def grow(folder: Path, tree: dict[str, object] | None) -> list[str]:
    """Make a tree, and return the paths of what is in it, directories before what they hold."""
    grown = []
    for name in sorted(tree or {}):
        inner = (tree or {})[name]
        grown.append(name)
        if inner is None:
            (folder / name).touch()
        else:
            (folder / name).mkdir()
            grown += [f"{name}/{below}" for below in grow(folder / name, inner)]  # type: ignore[arg-type]
    return grown


@pytest.mark.fault(41)
@settings(deadline=None, max_examples=100, derandomize=True, database=None)
@given(tree=TREES, limit=st.integers(1, 7))
def test_pages_hold_each_entry_once_and_in_order(tree, limit):
    with tempfile.TemporaryDirectory() as folder:
        paths = grow(Path(folder), tree)
        pages, after = [], ""
        while not pages or after:
            entries, after = page(Path(folder), limit, after)
            pages.append([entry.path for entry in entries])

    assert sum(pages, []) == [path.replace("\udce9", "\\xe9") for path in paths]
    assert all(len(one) == limit for one in pages[:-1])


@pytest.mark.fault(41)
def test_a_page_goes_on_behind_an_entry_that_is_gone_meanwhile(root):
    entries, after = page(root, 2)
    assert [entry.path for entry in entries] == ["dir", "dir/inner"]
    (root / "dir" / "inner").unlink()
    (root / "dir").rmdir()

    assert [entry.path for entry in page(root, 2, after)[0]] == ["dirlink", "file"]


@pytest.mark.fault(41)
def test_a_page_of_a_very_large_directory_needs_memory_for_the_page_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(names, "MOST_OF_ONE", 1_000)
    for number in range(30_000):
        os.mknod(tmp_path / f"{number:05}")
    list(page(tmp_path, 100)[0])
    tracemalloc.start()

    entries, after = page(tmp_path, 100)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert [entry.path for entry in entries] == [f"{number:05}" for number in range(100)]
    assert page(tmp_path, 100, after)[0][0].path == "00100"
    assert most < 500_000


@pytest.mark.parametrize("cursor", ["x", "ö", "====", "a" * 7])
def test_what_is_no_cursor_is_told_or_leads_nowhere_else(root, cursor):
    try:
        entries, _ = page(root, 100, cursor)
    except NoCursor:
        return
    assert {entry.path for entry in entries} <= {entry.path for entry in walk(root)}


def make_odd(path: Path, kind: str) -> None:
    """Make something that is neither a file nor a directory nor a link."""
    if kind == "pipe":
        os.mkfifo(path)
    else:
        folder = os.open(path.parent, os.O_RDONLY)  # a socket's whole path may have a hundred letters only
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)


@pytest.mark.parametrize(
    ("made", "read"), [(b"", b""), (b"x" * 10, b"x" * 10), (b"x" * 11, None), (None, None)], ids=str
)
def test_a_small_file_is_read_whole_or_not_at_all(tmp_path, made, read):
    if made is not None:
        (tmp_path / "record").write_bytes(made)

    assert read_small(tmp_path, "record", 10) == read
