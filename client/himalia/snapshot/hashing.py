"""Reading files: their digests as they were at one moment, and their bytes only while they are still those."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from ..errors import LocalError
from .chunks import cut
from .found import State

BLOCK_BYTES = 1024 * 1024
TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a content lies."""

    path: str
    offset: int
    length: int


@dataclass(frozen=True, kw_only=True)
class Hashed:
    """The digests of a file in a state."""

    state: State
    chunks: tuple[str, ...]
    read_at_ns: int


def hash_file(root: Path, path: str) -> Hashed:
    """Hash a file as it was at one moment: its state is the same before and after it was read."""
    for _ in range(TRIES):
        descriptor = _opened(root, path)
        try:
            before = _settled(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise LocalError(f"{path} is no plain file any more. Submit again.")
            read_at_ns = time.time_ns()
            chunks = _digests(descriptor, before.st_size)
            after = os.fstat(descriptor)
            if chunks is not None and _same(before, after):
                return Hashed(state=State.of(after), chunks=chunks, read_at_ns=read_at_ns)
        except OSError as error:
            raise gone(path, error) from error
        finally:
            os.close(descriptor)
    raise LocalError(f"{path} changes while it is read. Wait until it is written, or leave it out in .himaliaignore.")


def read_content(root: Path, source: Source, digest: str) -> Iterator[bytes]:
    """Yield a content in blocks of BLOCK_BYTES but the last; raise LocalError when it is not what was hashed any more."""
    changed = LocalError(f"{source.path} changed while it was sent. Submit again.")
    descriptor = _opened(root, source.path)
    try:
        seen, left = blake3(), source.length
        for block in _blocks(descriptor, source.offset, source.length):
            seen.update(block)
            left -= len(block)
            if not left and seen.hexdigest() != digest:
                raise changed
            yield block
    except EOFError:
        raise changed from None
    except OSError as error:
        raise gone(source.path, error) from error
    finally:
        os.close(descriptor)


def gone(path: str, error: OSError) -> LocalError:
    """Return what people are told of a file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return LocalError(f"{path} went away while it was read. Submit again.")
    if error.errno == errno.ELOOP:
        return LocalError(f"{path} became a link while it was read. Submit again.")
    return LocalError(
        f"{path} cannot be read ({error.strerror}). Change its permissions, or leave it out in .himaliaignore."
    )


def _settled(descriptor: int) -> os.stat_result:
    """Return a file's state with all of it written back.

    Stores to a mapped page that waits to be written change no time stamp (np.memmap); the first one after that does. So
    what is remembered for this state holds for as long as the state does, and is not written back again to be looked up.
    """
    with suppress(OSError):  # some file systems cannot
        getattr(os, "fdatasync", os.fsync)(descriptor)  # macOS has fsync alone
    return os.fstat(descriptor)


def _digests(descriptor: int, size: int) -> tuple[str, ...] | None:
    """Return the digests of a file's contents; None when it is shorter than it was."""
    digests = []
    offset = 0
    try:
        for length in cut(size):
            digest = blake3()
            for block in _blocks(descriptor, offset, length):
                digest.update(block)
            digests.append(digest.hexdigest())
            offset += length
    except EOFError:
        return None
    return tuple(digests)


def _opened(root: Path, path: str) -> int:
    """Open a file of a directory, and nothing that a link or a pipe leads to."""
    try:
        return os.open(root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise gone(path, error) from error


def _blocks(descriptor: int, offset: int, length: int) -> Iterator[bytes]:
    """Yield so many bytes from there on, in blocks of BLOCK_BYTES but the last; raise EOFError where the file ends before."""
    end = offset + length
    while offset < end:
        block = _read(descriptor, min(BLOCK_BYTES, end - offset), offset)
        yield block
        offset += len(block)


def _read(descriptor: int, length: int, offset: int) -> bytes:
    """Return so many bytes; raise EOFError where the file ends before."""
    block = b""
    while len(block) < length:  # a signal, or a file system that gives less
        more = os.pread(descriptor, length - len(block), offset + len(block))
        if not more:
            raise EOFError
        block += more
    return block


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )
