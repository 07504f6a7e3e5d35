"""The pack: the stream in which contents are sent, as they are or squeezed.

A plain pack is `HIMALIA1`, then for each content its BLAKE3 digest (32 bytes), its length (8 bytes, big-endian) and its
bytes, and 32 zero bytes at the end. In a squeezed one, `HIMALIA2`, the bytes of a content come in blocks of 1 MiB (the last
one shorter), before each the length in which it is sent (4 bytes, big-endian): its own, or less, and then it is one frame
of zstd. So whoever reads it knows how large a block becomes before it is unfolded.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from importlib import import_module
from types import ModuleType

PLAIN = b"HIMALIA1"
SQUEEZED = b"HIMALIA2"
END = bytes(32)
BLOCK_BYTES = 1024 * 1024
GATHERED_BYTES = 256 * 1024
LEVEL = 3
SAMPLE_BYTES = 64 * 1024
WORTH = 0.9  #: what does not shrink to this part of itself is sent as it is: data that is squeezed already, weights


def _zstd() -> ModuleType | None:
    """Return zstd; None in an environment that was made before it was needed: it sends plain packs."""
    try:
        return import_module("zstandard")
    except ImportError:
        return None


zstd = _zstd()
_own = threading.local()  # a compressor is one thread's


def can_squeeze() -> bool:
    """Tell whether this side knows zstd."""
    return zstd is not None


def header(digest: str, length: int) -> bytes:
    """Return what stands before a content."""
    return bytes.fromhex(digest) + length.to_bytes(8, "big")


def gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces that are worth a call of the network each: small contents come by the thousand."""
    waiting: list[bytes] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if count >= GATHERED_BYTES:
            yield b"".join(waiting)
            waiting, count = [], 0
    if waiting:
        yield b"".join(waiting)


def squeezed(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a content's blocks, each of BLOCK_BYTES but the last, as a squeezed pack has them."""
    for block in blocks:
        sent = _smaller(block)
        yield len(sent).to_bytes(4, "big")
        yield sent


def unfolded(sent: bytes, length: int) -> bytes:
    """Return a block of this length from how it was sent; raise ValueError when it is none, before more than that is made of it."""
    if len(sent) == length:
        return sent
    if zstd is None:
        raise ValueError("zstd is not installed here")
    try:
        if zstd.get_frame_parameters(sent).content_size != length:
            raise ValueError("a frame of another length")
        if not hasattr(_own, "decompressor"):
            _own.decompressor = zstd.ZstdDecompressor()
        block: bytes = _own.decompressor.decompress(sent, max_output_size=length, allow_extra_data=False)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error
    return block


def _smaller(block: bytes) -> bytes:
    """Return a block squeezed, or as it is where that is not worth it; a sample of it says so first."""
    if zstd is None:
        return block
    if not hasattr(_own, "compressor"):
        _own.compressor = zstd.ZstdCompressor(level=LEVEL)
    sample = block[:SAMPLE_BYTES]
    first: bytes = _own.compressor.compress(sample)
    if len(first) > WORTH * len(sample):
        return block
    whole: bytes = first if len(sample) == len(block) else _own.compressor.compress(block)
    return whole if len(whole) < len(block) else block
