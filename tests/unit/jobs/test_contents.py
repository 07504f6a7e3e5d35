"""Contents, manifests and trees: whole or not at all, for each owner apart, and the tree is what was packed."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from sent_files import OTHER, OWNER, take

from himalia.errors import DiskFull, HimaliaError, NotFound, Unparsable
from himalia.models import Manifest
from himalia.snapshot import chunks, pack, scan
from himalia.snapshot.chunks import Layout
from himalia.snapshot.ignore import ALWAYS
from himalia.snapshot.wire import END, PLAIN
from himalia_jobs.contents import ContentStore, PackReceiver, Sweeper
from himalia_jobs.contents.files import write_whole


@pytest.fixture
def code(tmp_path):
    """A directory to send."""
    folder = tmp_path / "code"
    (folder / "pkg").mkdir(parents=True)
    (folder / "train.py").write_text("print(1)")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "pkg" / "empty").touch()
    (folder / "pkg" / "same").write_text("print(1)")
    (folder / "link").symlink_to("pkg/same")
    (folder / "out").symlink_to("/etc/passwd")
    return folder


@pytest.fixture
def store(tmp_path):
    """An empty store."""
    return ContentStore(tmp_path / "data")


def seen(root: Path) -> dict[str, object]:
    """Return what is in a directory: kinds, modes, contents, targets."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name, state = path.relative_to(root).as_posix(), path.lstat()
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = "dir"
        else:
            found[name] = (stat.S_IMODE(state.st_mode) & 0o111, path.read_bytes())
    return found


def test_the_tree_is_the_directory_as_it_was_sent(store, code):
    tree = store.materialize(OWNER, take(store, code))

    assert seen(tree) == seen(code)
    assert {(path.lstat().st_uid, path.lstat().st_gid) for path in [tree, *tree.rglob("*")]} == {(1000, 100)}
    assert not [path for path in tree.rglob("*") if not path.is_symlink() and not path.stat().st_mode & stat.S_IWUSR]


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda name: name not in {".", "..", *ALWAYS} and not name.startswith((".git", ".himalia"))
)
TREES = st.recursive(
    st.one_of(st.binary(max_size=300), st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)),
    lambda children: st.dictionaries(NAMES, children, max_size=4),
    max_leaves=8,
)


def lay_out(root: Path, tree: dict[str, object]) -> None:
    """Write a tree: bytes are files, texts are links, dictionaries are directories."""
    for name, value in tree.items():
        path = root / name
        if isinstance(value, bytes):
            path.write_bytes(value)
        elif isinstance(value, str):
            path.symlink_to(value)
        else:
            assert isinstance(value, dict)
            path.mkdir()
            lay_out(path, value)


@settings(deadline=None, max_examples=40, derandomize=True, database=None)
@given(tree=st.dictionaries(NAMES, TREES, min_size=1, max_size=5))
def test_whatever_is_packed_is_the_tree_in_the_end(tree):
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        lay_out(source, tree)
        (source / "always").write_text("one file at least")
        store = ContentStore(Path(folder) / "data")

        made = store.materialize(OWNER, take(store, source))

        expected = seen(source)
        assert seen(made) == {name: expected[name] for name in seen(made)}
        assert {name for name, kept in expected.items() if kept != "dir"} == {
            name for name, kept in seen(made).items() if kept != "dir"
        }


@settings(deadline=None, max_examples=60, derandomize=True, database=None)
@given(
    cuts=st.lists(st.integers(0, 2000), max_size=8), contents=st.lists(st.binary(max_size=400), max_size=4, unique=True)
)
def test_a_pack_may_be_cut_into_pieces_anywhere(cuts, contents):
    with tempfile.TemporaryDirectory() as folder:
        whole = [content for content in contents if content]
        expected = {blake3(content).hexdigest(): len(content) for content in whole}
        stream = PLAIN + b"".join(
            blake3(content).digest() + len(content).to_bytes(8, "big") + content for content in whole
        )
        receiver = PackReceiver(Path(folder) / "blobs", Path(folder) / "drafts", expected)
        places = sorted({0, len(stream + END), *(cut for cut in cuts if cut < len(stream + END))})

        for begin, end in zip(places, places[1:], strict=False):
            receiver.feed((stream + END)[begin:end])
        receiver.finish()

        kept = {path.name: path.read_bytes() for path in Path(folder, "blobs").rglob("*") if path.is_file()}
        assert kept == {blake3(content).hexdigest(): content for content in whole}


@pytest.mark.fault(71)
@settings(deadline=None, max_examples=80, derandomize=True, database=None)
@given(noise=st.binary(max_size=400), place=st.integers(0, 200))
def test_noise_in_a_pack_never_passes_for_a_content(noise, place):
    with tempfile.TemporaryDirectory() as folder:
        content = b"the only content"
        stream = PLAIN + blake3(content).digest() + len(content).to_bytes(8, "big") + content + END
        broken = stream[:place] + noise + stream[place + len(noise) :]
        receiver = PackReceiver(Path(folder) / "blobs", Path(folder) / "drafts", {blake3(content).hexdigest(): 16})

        try:
            receiver.feed(broken)
            receiver.finish()
        except Unparsable:
            pass

        for path in Path(folder, "blobs").rglob("*"):
            assert path.is_dir() or (path.name, path.read_bytes()) == (blake3(content).hexdigest(), content)
        assert not list(Path(folder).glob("drafts/*"))


def test_a_pack_given_up_while_it_is_fed_leaves_nothing(tmp_path):
    content = os.urandom(200_000)
    stream = PLAIN + blake3(content).digest() + len(content).to_bytes(8, "big") + content[:-1]

    for _ in range(50):
        receiver = PackReceiver(tmp_path / "blobs", tmp_path / "drafts", {blake3(content).hexdigest(): len(content)})
        thread = threading.Thread(target=feed_quietly, args=(receiver, stream))
        thread.start()
        receiver.close()
        thread.join()
        receiver.close()
        assert not list(tmp_path.glob("drafts/*"))


def feed_quietly(receiver: PackReceiver, stream: bytes) -> None:
    """Feed a pack in pieces until it is given up."""
    try:
        for place in range(0, len(stream), 10_000):
            receiver.feed(stream[place : place + 10_000])
    except Unparsable:
        pass


def pack_of(contents: list[bytes]) -> tuple[bytes, dict[str, int]]:
    """Return a pack without its end, and what is expected of it."""
    parts = [blake3(content).digest() + len(content).to_bytes(8, "big") + content for content in contents]
    return PLAIN + b"".join(parts), {blake3(content).hexdigest(): len(content) for content in contents}


@pytest.mark.fault(66)
def test_what_came_whole_before_the_connection_broke_is_kept(tmp_path):
    stream, expected = pack_of([b"first", b"second", b"third"])
    receiver = PackReceiver(tmp_path / "blobs", tmp_path / "drafts", expected)

    receiver.feed(stream[:-1])
    receiver.close()

    kept = {path.read_bytes() for path in tmp_path.glob("blobs/*/*")}
    assert kept == {b"first", b"second"}
    assert not list(tmp_path.glob("drafts/*"))


def test_thousands_of_small_contents_in_one_piece_need_few_descriptors(tmp_path):
    stream, expected = pack_of([b"%05d" % number for number in range(2000)])
    receiver = PackReceiver(tmp_path / "blobs", tmp_path / "drafts", expected)
    few, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    there = len(os.listdir("/proc/self/fd"))

    resource.setrlimit(resource.RLIMIT_NOFILE, (there + 200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    try:
        receiver.feed(stream + END)
        receiver.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    assert len(list(tmp_path.glob("blobs/*/*"))) == 2000


def full(_: int) -> None:
    """Be a disk on which nothing fits."""
    raise OSError(28, "No space left on device")


def test_a_content_that_the_disk_did_not_take_has_no_name(tmp_path, monkeypatch):
    stream, expected = pack_of([b"first", b"second"])
    receiver = PackReceiver(tmp_path / "blobs", tmp_path / "drafts", expected)

    monkeypatch.setattr("himalia_jobs.contents.settling.os.fsync", full)
    receiver.feed(stream + END)
    with pytest.raises(DiskFull):
        receiver.finish()

    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_contents_come_in_while_earlier_ones_go_to_the_disk_and_have_their_names_only_when_they_are_there(
    tmp_path, monkeypatch
):
    stream, expected = pack_of([b"first", b"second", b"third"])
    receiver = PackReceiver(tmp_path / "blobs", tmp_path / "drafts", expected)
    on_disk, fsync = threading.Event(), os.fsync

    def slow(descriptor: int) -> None:
        assert on_disk.wait(20)
        fsync(descriptor)

    monkeypatch.setattr("himalia_jobs.contents.settling.os.fsync", slow)
    receiver.feed(stream + END)  # it would never return
    named_before = list(tmp_path.glob("blobs/*/*"))
    on_disk.set()
    receiver.finish()

    assert named_before == []
    assert {path.read_bytes() for path in tmp_path.glob("blobs/*/*")} == {b"first", b"second", b"third"}


def test_a_disk_that_is_full_ends_an_upload_before_all_of_it_has_come(tmp_path, monkeypatch):
    stream, expected = pack_of([b"%05d" % number for number in range(200)])
    receiver = PackReceiver(tmp_path / "blobs", tmp_path / "drafts", expected)

    monkeypatch.setattr("himalia_jobs.contents.settling.os.fsync", full)
    with pytest.raises(DiskFull):
        receiver.feed(stream)

    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.fault(69)
def test_contents_are_each_owners_own(store, code):
    digest = take(store, code)

    assert store.missing_of(OWNER, digest) == []
    with pytest.raises(NotFound):
        store.missing_of(OTHER, digest)
    assert len(store.missing(OTHER, [blake3(b"print(1)").hexdigest()])) == 1


@pytest.mark.parametrize("owner", ["", "..", "a/b", "A" * 12, "a" * 13])
@pytest.mark.parametrize("digest", ["", "..", "../" * 21 + "x", "zz" * 32])
def test_an_owner_or_digest_that_is_no_id_never_becomes_a_path(store, owner, digest):
    for call in (lambda: store.missing(owner, []), lambda: store.materialize(OWNER, digest)):
        with pytest.raises(HimaliaError):
            call()


HALF_AN_UPLOAD = """
import sys, time
from pathlib import Path
from himalia.snapshot import pack, scan
from himalia_jobs.contents import ContentStore
store = ContentStore(Path(sys.argv[1]))
packed = pack(scan(sys.argv[2]))
accepted = store.accept(sys.argv[3], packed.manifest)
receiver = store.receive(sys.argv[3], accepted.digest)
stream = b"".join(packed.stream(store.missing_of(sys.argv[3], accepted.digest)))
receiver.feed(stream[: len(stream) // 2])
print("half", flush=True)
time.sleep(600)
"""


@pytest.mark.fault(9)
def test_killed_in_the_middle_of_an_upload_nothing_half_is_seen_and_it_is_sent_again(store, tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    for number in range(4):
        (folder / f"f{number}").write_bytes(os.urandom(300_000))
    service = subprocess.Popen(
        [sys.executable, "-c", HALF_AN_UPLOAD, tmp_path / "data", folder, OWNER],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with service:
        assert service.stdout is not None
        assert service.stdout.readline() == b"half\n"
        service.kill()

    store.tidy()
    for path in (tmp_path / "data" / "blobs" / OWNER).rglob("*"):
        assert path.is_dir() or path.name == blake3(path.read_bytes()).hexdigest()
    Sweeper(store, 3600).empty()
    left = [path for place in ("blobs", "snapshots") for path in (tmp_path / "data" / place).rglob("tmp*")]
    tree = store.materialize(OWNER, take(store, folder))

    assert left == []
    assert seen(tree) == seen(folder)


@pytest.mark.fault(9)
def test_what_a_crash_left_half_written_is_gone_after_the_start(store, code, tmp_path):
    digest = take(store, code)
    content = b"never whole"
    receiver = PackReceiver(
        tmp_path / "data" / "blobs" / OWNER, tmp_path / "data" / "blobs" / ".drafts", {blake3(content).hexdigest(): 11}
    )
    receiver.feed(PLAIN + blake3(content).digest() + (11).to_bytes(8, "big") + b"never")
    (tmp_path / "data" / "snapshots" / ".drafts" / "tree-x" / "deep").mkdir(parents=True)

    again = ContentStore(tmp_path / "data")
    again.tidy()

    assert not list((tmp_path / "data").rglob(".drafts/*"))
    assert again.missing_of(OWNER, digest) == []
    assert seen(again.materialize(OWNER, digest)) == seen(code)


def test_a_content_that_is_gone_from_the_disk_is_told_and_asked_for_again(store, code, tmp_path):
    digest = take(store, code)
    lost = blake3(b"print(1)").hexdigest()
    (tmp_path / "data" / "blobs" / OWNER / lost[:2] / lost).unlink()

    with pytest.raises(FileNotFoundError):
        store.open_file(OWNER, digest, "train.py")
    assert store.missing_of(OWNER, digest) == [lost]
    take(store, code)
    assert seen(store.materialize(OWNER, digest)) == seen(code)


def test_a_file_of_many_contents_is_put_together_in_order(store, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "LAYOUTS", (Layout(whole_bytes=1000, chunk_bytes=300),))
    folder = tmp_path / "large"
    folder.mkdir()
    content = os.urandom(2345)
    (folder / "file").write_bytes(content)

    tree = store.materialize(OWNER, take(store, folder))

    assert (tree / "file").read_bytes() == content


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "deep" / "file"
    write_whole(file, b"first", tmp_path / "drafts")

    monkeypatch.setattr("himalia_jobs.contents.files.os.fsync", full)
    with pytest.raises(DiskFull):
        write_whole(file, b"second", tmp_path / "drafts")
    monkeypatch.undo()

    assert file.read_bytes() == b"first"
    assert not list(tmp_path.glob("drafts/*"))


def test_a_manifest_is_found_again_by_its_digest(store, code):
    manifest: Manifest = pack(scan(code)).manifest

    first = store.accept(OWNER, manifest)
    second = store.accept(OWNER, Manifest(entries=tuple(reversed(manifest.entries))))

    assert first == second
    assert (first.file_count, first.size_bytes) == (4, 26)
