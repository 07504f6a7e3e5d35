"""Squeezed packs as a stranger may send them: unfolded block by block, never more than was announced."""

from __future__ import annotations

import os
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from himalia.errors import Unparsable
from himalia.snapshot import wire
from himalia.snapshot.wire import BLOCK_BYTES, END, SQUEEZED, header, squeezed
from himalia_jobs.contents import PackReceiver

TEXT = b"the same again and again. " * 9000


def pack_of(content: bytes, blocks: list[bytes] | None = None) -> bytes:
    """Return the squeezed pack of one content; with `blocks`, these instead of its own."""
    pieces = [content[at : at + BLOCK_BYTES] for at in range(0, len(content), BLOCK_BYTES)]
    sent = b"".join(squeezed(pieces))
    if blocks is not None:
        sent = b"".join(len(block).to_bytes(4, "big") + block for block in blocks)
    return SQUEEZED + header(blake3(content).hexdigest(), len(content)) + sent + END


def receive(folder: Path, content: bytes, stream: bytes, *places: int) -> list[bytes]:
    """Take a pack in, cut at some places; return the contents that are kept."""
    receiver = PackReceiver(folder / "blobs", folder / "drafts", {blake3(content).hexdigest(): len(content)})
    try:
        cuts = sorted({0, len(stream), *(place for place in places if place < len(stream))})
        for begin, end in zip(cuts, cuts[1:], strict=False):
            receiver.feed(stream[begin:end])
        receiver.finish()
    finally:
        receiver.close()
        assert not list(folder.glob("drafts/*"))
    return [file.read_bytes() for file in folder.glob("blobs/*/*")]


@settings(deadline=None, max_examples=40, derandomize=True, database=None)
@given(places=st.lists(st.integers(0, 3000), max_size=8), noise=st.binary(max_size=300))
def test_a_squeezed_pack_may_be_cut_into_pieces_anywhere(places, noise):
    with tempfile.TemporaryDirectory() as folder:
        content = noise + TEXT

        assert receive(Path(folder), content, pack_of(content), *places) == [content]


def test_a_content_of_many_blocks_is_put_together_in_order(tmp_path):
    content = os.urandom(BLOCK_BYTES) + TEXT * 10 + os.urandom(5)

    assert receive(tmp_path, content, pack_of(content)) == [content]


@settings(deadline=None, max_examples=80, derandomize=True, database=None)
@given(noise=st.binary(min_size=1, max_size=60), place=st.integers(0, 200))
def test_noise_in_a_squeezed_pack_never_passes_for_a_content(noise, place):
    with tempfile.TemporaryDirectory() as folder:
        stream = pack_of(TEXT)
        broken = stream[:place] + noise + stream[place + len(noise) :]
        try:
            kept = receive(Path(folder), TEXT, broken)
        except Unparsable:
            kept = []
        assert kept in ([], [TEXT])


def frame(content: bytes, **options: object) -> bytes:
    return bytes(wire.zstd.ZstdCompressor(**options).compress(content)) if wire.zstd else b"zstd is not installed"


BOMB = bytes(32 * 1024 * 1024)


@pytest.mark.fault(71)
@pytest.mark.parametrize(
    "blocks",
    [
        [frame(BOMB)],
        [frame(BOMB, write_content_size=False)],
        [frame(TEXT, write_content_size=False)],
        [frame(TEXT[:-1])],
        [frame(TEXT) + frame(TEXT)],
        [frame(TEXT)[:-1]],
        [b"x" * 10],
        [b""],
        [TEXT + b"x"],
        [frame(TEXT), b"more"],
    ],
    ids=[
        "a bomb",
        "a bomb that does not say so",
        "no size",
        "another size",
        "two frames",
        "cut",
        "no frame",
        "nothing",
        "too long",
        "too many",
    ],
)
def test_a_block_that_is_not_what_was_announced_is_refused_with_little_memory(tmp_path, blocks):
    tracemalloc.start()

    with pytest.raises(Unparsable):
        receive(tmp_path, TEXT, pack_of(TEXT, blocks))

    assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    tracemalloc.stop()


def test_a_block_longer_than_a_block_may_be_is_refused_before_it_came(tmp_path):
    content = os.urandom(3 * BLOCK_BYTES)
    receiver = PackReceiver(tmp_path / "blobs", tmp_path / "drafts", {blake3(content).hexdigest(): len(content)})

    with pytest.raises(Unparsable, match="block of 3145728 bytes"):
        receiver.feed(
            SQUEEZED + header(blake3(content).hexdigest(), len(content)) + (3 * BLOCK_BYTES).to_bytes(4, "big")
        )
