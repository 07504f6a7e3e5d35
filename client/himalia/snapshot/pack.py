"""Hashing a scan to a manifest, and the pack: the stream in which missing contents are sent.

A pack is `HIMALIA1`, then for each content its BLAKE3 digest (32 bytes), its length (8 bytes, big-endian) and its
bytes, and 32 zero bytes at the end. A file is one content up to 64 MiB and contents of 8 MiB each above.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from ..errors import LocalError
from ..models import Entry, EntryType, Manifest
from .cache import HashCache
from .scan import Found, Scan

MAGIC = b"HIMALIA1"
END = bytes(32)
WHOLE_BYTES = 64 * 1024 * 1024  #: up to here a file is one content
CHUNK_BYTES = 8 * 1024 * 1024
BLOCK_BYTES = 1024 * 1024
TRIES = 3
HASH_THREADS = 8  #: what is hashed is brought to the disk first, and many files share its flushes
HASHED_AHEAD = 64

#: Called with (phase, files done, files in all, bytes done, bytes in all).
Progress = Callable[[str, int, int, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a content lies."""

    path: str
    offset: int
    length: int


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A manifest, its digest, and where each content lies."""

    root: Path
    manifest: Manifest
    digest: str
    sources: dict[str, Source]

    def stream(self, digests: Collection[str]) -> Iterator[bytes]:
        """Yield the pack with these contents; raise LocalError when a file has changed since it was hashed."""
        yield MAGIC
        for digest in sorted(digests, key=lambda digest: (self.sources[digest].path, self.sources[digest].offset)):
            source = self.sources[digest]
            yield bytes.fromhex(digest) + source.length.to_bytes(8, "big")
            yield from _content(self.root, source, digest)
        yield END


def pack(scanned: Scan, *, cache: HashCache | None = None, progress: Progress | None = None) -> Packed:
    """Hash what was scanned; what has not changed since last time is taken from the cache."""
    entries: list[Entry] = []
    sources: dict[str, Source] = {}
    done_files = done_bytes = 0
    of_files, of_bytes = scanned.file_count, scanned.size_bytes  # each a walk over all entries
    hashes = _hashes(scanned, cache)
    for found in scanned.entries:
        if found.type is not EntryType.FILE:
            entries.append(Entry(path=found.path, type=found.type, mode=found.mode, target=found.target))
            continue
        size, chunks = next(hashes)
        entries.append(Entry(path=found.path, type=found.type, mode=found.mode, size_bytes=size, chunks=chunks))
        for number, digest in enumerate(chunks):
            length = size if len(chunks) == 1 else min(CHUNK_BYTES, size - number * CHUNK_BYTES)
            sources.setdefault(digest, Source(path=found.path, offset=number * CHUNK_BYTES, length=length))
        done_files, done_bytes = done_files + 1, done_bytes + size
        if progress:
            progress("hashing", done_files, of_files, done_bytes, of_bytes)
    if cache is not None:
        cache.flush()
    manifest = Manifest(entries=tuple(entries))
    return Packed(root=scanned.root, manifest=manifest, digest=manifest_digest(manifest), sources=sources)


def manifest_digest(manifest: Manifest) -> str:
    """Return the digest of a manifest: BLAKE3 of its canonical form, one JSON line for each entry, sorted by path."""
    digest = blake3()
    for entry in sorted(manifest.entries, key=lambda entry: entry.path):
        row = [entry.path, str(entry.type), entry.mode, entry.size_bytes, list(entry.chunks), entry.target]
        digest.update(json.dumps(row, ensure_ascii=True, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def chunk_count(size_bytes: int) -> int:
    """Return how many contents a file of this size has."""
    if size_bytes == 0:
        return 0
    return 1 if size_bytes <= WHOLE_BYTES else -(-size_bytes // CHUNK_BYTES)


def _hashes(scanned: Scan, cache: HashCache | None) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield size and digests of each file in order; some that are not in the cache are hashed ahead, side by side."""
    threads = ThreadPoolExecutor(HASH_THREADS, thread_name_prefix="hash")
    ahead: deque[_Hashed | Future[_Hashed]] = deque()
    try:
        for found in scanned.entries:
            if found.type is EntryType.FILE:
                known = _known(scanned.root, found, cache)
                ahead.append(known or threads.submit(_hash, scanned.root, found))
            if len(ahead) > HASHED_AHEAD:
                yield _taken(ahead.popleft(), cache)
        while ahead:
            yield _taken(ahead.popleft(), cache)
    finally:
        threads.shutdown(cancel_futures=True)


@dataclass(frozen=True, kw_only=True)
class _Hashed:
    """The digests of a file in a state; `read_at_ns` is none where they are remembered already."""

    state: os.stat_result
    chunks: tuple[str, ...]
    read_at_ns: int | None = None


def _taken(hashed: _Hashed | Future[_Hashed], cache: HashCache | None) -> tuple[int, tuple[str, ...]]:
    """Return what was hashed, and remember it."""
    done = hashed.result() if isinstance(hashed, Future) else hashed
    if cache is not None and done.read_at_ns is not None:
        cache.put(done.state, done.chunks, done.read_at_ns)
    return done.state.st_size, done.chunks


def _known(root: Path, found: Found, cache: HashCache | None) -> _Hashed | None:
    """Return what is remembered of a file in the state it is in."""
    if cache is None:
        return None
    try:
        state = os.lstat(f"{root}/{found.path}")
    except OSError as error:
        raise _gone(found.path, error) from error
    kept = cache.get(state) if stat.S_ISREG(state.st_mode) else None
    return _Hashed(state=state, chunks=kept) if kept is not None and len(kept) == chunk_count(state.st_size) else None


def _hash(root: Path, found: Found) -> _Hashed:
    """Hash a file as it was at one moment: its state is the same before and after it was read."""
    for _ in range(TRIES):
        try:
            descriptor = os.open(root / found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise _gone(found.path, error) from error
        try:
            before = _settled(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise LocalError(f"{found.path} is no plain file any more. Submit again.")
            read_at_ns = time.time_ns()
            chunks = _digests(descriptor, before.st_size)
            after = os.fstat(descriptor)
            if chunks is not None and _same(before, after):
                return _Hashed(state=after, chunks=chunks, read_at_ns=read_at_ns)
        except OSError as error:
            raise _gone(found.path, error) from error
        finally:
            os.close(descriptor)
    raise LocalError(
        f"{found.path} changes while it is read. Wait until it is written, or leave it out in .himaliaignore."
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
    step = size if size <= WHOLE_BYTES else CHUNK_BYTES
    digests = []
    offset = 0
    while offset < size:
        digest, end = blake3(), min(size, offset + step)
        while offset < end:
            block = os.pread(descriptor, min(BLOCK_BYTES, end - offset), offset)
            if not block:
                return None
            digest.update(block)
            offset += len(block)
        digests.append(digest.hexdigest())
    return tuple(digests)


def _content(root: Path, source: Source, digest: str) -> Iterator[bytes]:
    changed = LocalError(f"{source.path} changed while it was sent. Submit again.")
    try:
        descriptor = os.open(root / source.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _gone(source.path, error) from error
    try:
        seen, offset = blake3(), source.offset
        end = source.offset + source.length
        while offset < end:
            block = os.pread(descriptor, min(BLOCK_BYTES, end - offset), offset)
            if not block:
                raise changed
            seen.update(block)
            offset += len(block)
            if offset == end and seen.hexdigest() != digest:
                raise changed
            yield block
    except OSError as error:
        raise _gone(source.path, error) from error
    finally:
        os.close(descriptor)


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def _gone(path: str, error: OSError) -> LocalError:
    if isinstance(error, FileNotFoundError):
        return LocalError(f"{path} went away while it was read. Submit again.")
    if error.errno == errno.ELOOP:
        return LocalError(f"{path} became a link while it was read. Submit again.")
    return LocalError(
        f"{path} cannot be read ({error.strerror}). Change its permissions, or leave it out in .himaliaignore."
    )
