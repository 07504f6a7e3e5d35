"""Hashing and packing: what is sent is what was there, and a pack gives it back."""

from __future__ import annotations

import os
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_bodies import unpack

from himalia.errors import LocalError
from himalia.models import Entry, EntryType, Manifest
from himalia.snapshot import chunks, hashing, pack, scan
from himalia.snapshot.chunks import LAYOUTS, Layout, cut, lengths_of
from himalia.snapshot.ignore import ALWAYS
from himalia.snapshot.pack import manifest_digest

#: Names that mean something to the walk; Hypothesis tries words that it finds in the sources.
NOT_SENT = ALWAYS | {".", "..", ".gitignore", ".himaliaignore"}
NAMES = st.text(
    alphabet=st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=12
).filter(lambda name: name not in NOT_SENT and len(name.encode()) < 200)
TREES = st.recursive(
    st.binary(max_size=3000) | st.text(alphabet="ab./", min_size=1, max_size=8),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def plant(folder: Path, tree: dict[str, object]) -> None:
    """Make a tree: bytes are a file, a text is a link, a table is a directory."""
    for name, what in tree.items():
        if isinstance(what, dict):
            (folder / name).mkdir()
            plant(folder / name, what)
        elif isinstance(what, str):
            os.symlink(what, folder / name)
        else:
            (folder / name).write_bytes(bytes(what))  # type: ignore[arg-type]


def rebuild(manifest: Manifest, contents: dict[str, bytes]) -> dict[str, object]:
    """Return the tree that a manifest and its contents describe."""
    tree: dict[str, object] = {}
    for entry in manifest.entries:
        here = tree
        *above, name = entry.path.split("/")
        for step in above:
            here = here[step]  # type: ignore[assignment]
        if entry.type is EntryType.DIR:
            here[name] = {}
        elif entry.type is EntryType.SYMLINK:
            here[name] = entry.target
        else:
            here[name] = b"".join(contents[chunk] for chunk in entry.chunks)
    return tree


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(NAMES, TREES, max_size=5))
def test_what_is_scanned_and_packed_unpacks_to_the_same(tree):
    with tempfile.TemporaryDirectory() as folder:
        plant(Path(folder), tree)
        packed = pack(scan(folder))

        contents = unpack(b"".join(packed.stream(packed.sources)))

    assert rebuild(packed.manifest, contents) == tree


def test_a_large_file_is_sent_in_contents_of_one_length(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "LAYOUTS", (Layout(whole_bytes=100, chunk_bytes=40),))
    monkeypatch.setattr(hashing, "BLOCK_BYTES", 16)
    content = bytes(range(256))[:130]
    (tmp_path / "large").write_bytes(content)

    packed = pack(scan(tmp_path))

    (entry,) = packed.manifest.entries
    assert [packed.sources[chunk].length for chunk in entry.chunks] == [40, 40, 40, 10]
    assert rebuild(packed.manifest, unpack(b"".join(packed.stream(packed.sources)))) == {"large": content}


SIZES = st.integers(0, 2**40) | st.sampled_from([layout.whole_bytes for layout in LAYOUTS]).flatmap(
    lambda whole: st.integers(whole - 2, whole + 2)
)


@given(SIZES)
def test_size_and_number_of_contents_tell_how_a_file_was_cut_by_this_or_an_earlier_version(size):
    size %= 2**33  # what would be cut into millions takes long to be shown

    for layout in LAYOUTS:
        lengths = layout.lengths(size)

        assert sum(lengths) == size
        assert lengths_of(size, len(lengths)) == lengths
        assert all(length == layout.chunk_bytes for length in lengths[:-1])
    assert lengths_of(size, len(cut(size)) + 1) in (None, *(layout.lengths(size) for layout in LAYOUTS))


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_a_size_without_end_fits_no_number_of_contents(count):
    assert lengths_of(10**30, count) is None


def changed_bytes(file: Path, before: bytes, now: bytes) -> int:
    """Return how much is sent of a file that was known as it was before."""
    file.write_bytes(before)
    known = pack(scan(file.parent)).sources.keys()
    file.write_bytes(now)
    packed = pack(scan(file.parent))
    return len(b"".join(packed.stream(packed.sources.keys() - known)))


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=200, max_size=900), st.integers(0, 900), st.binary(max_size=90))
def test_of_a_large_file_that_is_changed_in_place_or_at_its_end_little_more_than_the_change_is_sent(before, at, piece):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(chunks, "LAYOUTS", (Layout(whole_bytes=100, chunk_bytes=40),))
        at = min(at, len(before))
        now = before[:at] + piece + before[at + len(piece) :]

        sent = changed_bytes(Path(folder) / "large", before, now)

    touched = len(piece) // 40 + 2
    assert sent <= 8 + 32 + touched * (40 + 40)


def test_two_files_of_one_content_are_sent_once(tmp_path):
    (tmp_path / "a").write_bytes(b"same")
    (tmp_path / "b").write_bytes(b"same")

    packed = pack(scan(tmp_path))

    assert list(unpack(b"".join(packed.stream(packed.sources))).values()) == [b"same"]


def test_the_digest_of_a_manifest_stays_the_same_for_ever():
    entries = (
        Entry(path="b", type=EntryType.FILE, mode=0o644, size_bytes=3, chunks=("ab" * 32,)),
        Entry(path="a", type=EntryType.DIR, mode=0o755),
        Entry(path="ä\nc", type=EntryType.SYMLINK, mode=0o777, target="b"),
    )

    digest = manifest_digest(Manifest(entries=entries))

    assert digest == manifest_digest(Manifest(entries=entries[::-1]))
    assert digest == "3cf6247be85310761a4a9abf9a00abafc1c52b2912abf6a622403cdf2ab32916"


@pytest.mark.parametrize("change", [{"path": "c"}, {"mode": 0o600}, {"size_bytes": 4}, {"chunks": ("cd" * 32,)}])
def test_every_part_of_an_entry_counts_in_the_digest(change):
    entry = Entry(path="b", type=EntryType.FILE, mode=0o644, size_bytes=3, chunks=("ab" * 32,))

    assert manifest_digest(Manifest(entries=(entry,))) != manifest_digest(
        Manifest(entries=(entry.model_copy(update=change),))
    )


def test_the_same_tree_somewhere_else_has_the_same_digest(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "d").mkdir(parents=True)
        (tmp_path / name / "d" / "f").write_text("x")
        os.utime(tmp_path / name / "d" / "f", (hash(name) % 1000, 1))

    assert pack(scan(tmp_path / "one")).digest == pack(scan(tmp_path / "two")).digest


@pytest.mark.fault(72)
def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    file = tmp_path / "log"
    file.write_bytes(b"first")
    real, reads = os.pread, []

    def pread(descriptor: int, count: int, offset: int) -> bytes:
        reads.append(offset)
        found = real(descriptor, count, offset)
        if len(reads) == 1:
            file.write_bytes(b"second")
        return found

    monkeypatch.setattr(hashing.os, "pread", pread)
    packed = pack(scan(tmp_path))
    monkeypatch.undo()

    assert rebuild(packed.manifest, unpack(b"".join(packed.stream(packed.sources)))) == {"log": b"second"}


@pytest.mark.fault(72)
def test_a_file_that_never_rests_is_named(tmp_path, monkeypatch):
    file = tmp_path / "growing.log"
    file.write_bytes(b"first")
    real = os.pread

    def pread(descriptor: int, count: int, offset: int) -> bytes:
        found = real(descriptor, count, offset)
        with file.open("ab") as out:
            out.write(b"more")
        return found

    monkeypatch.setattr(hashing.os, "pread", pread)

    with pytest.raises(
        LocalError, match=r"growing\.log changes while it is read. Wait until it is written, or leave it out"
    ):
        pack(scan(tmp_path))


def _vanish(file: Path) -> None:
    file.unlink()


def _become_a_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/passwd")


def _become_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _become_a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


BECOMES = [
    (_vanish, "data went away while it was read"),
    (_become_a_link, "data became a link while it was read"),
    (_become_a_pipe, "data is no plain file any more"),
    (_become_a_directory, "data is no plain file any more"),
]


@pytest.mark.fault(72)
@pytest.mark.parametrize(("become", "said"), BECOMES)
def test_a_file_that_became_something_else_after_the_walk_is_named(tmp_path, become, said):
    (tmp_path / "data").write_bytes(b"x")
    scanned = scan(tmp_path)

    become(tmp_path / "data")

    with pytest.raises(LocalError, match=said):
        pack(scanned)


@pytest.mark.fault(72)
@pytest.mark.parametrize(
    ("become", "said"),
    [
        (lambda file: file.write_bytes(b"y" * 5), "data changed while it was sent. Submit again"),
        (lambda file: file.write_bytes(b"x"), "data changed while it was sent. Submit again"),
        (_vanish, "data went away while it was read"),
        (_become_a_link, "data became a link"),
    ],
    ids=["other bytes", "shorter", "gone", "a link"],
)
def test_a_file_that_changed_between_hashing_and_sending_is_never_sent_as_what_it_was(tmp_path, become, said):
    (tmp_path / "data").write_bytes(b"x" * 5)
    packed = pack(scan(tmp_path))

    become(tmp_path / "data")

    with pytest.raises(LocalError, match=said):
        list(packed.stream(packed.sources))


def test_only_what_is_asked_for_is_streamed(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    packed = pack(scan(tmp_path))
    wanted = packed.manifest.entries[1].chunks

    assert list(unpack(b"".join(packed.stream(wanted))).values()) == [b"b"]


def test_hashing_and_streaming_a_large_file_takes_little_memory(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    scanned = scan(tmp_path)
    tracemalloc.start()

    packed = pack(scanned)
    sent = sum(len(block) for block in packed.stream(packed.sources))

    assert sent == 8 + 40 + LAYOUTS[0].chunk_bytes + 32  # all its contents are the same
    assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    tracemalloc.stop()


def test_progress_counts_files_and_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"123")
    told = []

    pack(scan(tmp_path), progress=lambda *news: told.append(news))

    assert told == [("hashing", 1, 2, 5, 8), ("hashing", 2, 2, 8, 8)]
