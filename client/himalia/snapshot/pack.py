"""From a scan to a pack: hash what is not known, name the snapshot by its digest, and stream contents."""

from __future__ import annotations

import json
import marshal
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from ..models import Entry, EntryType, Manifest
from . import wire
from .cache import Chunks, HashCache
from .chunks import LAYOUTS, cut, lengths_of
from .found import Found, Scan
from .hashing import Hashed, Source, hash_file, read_content

HASH_THREADS = 8  #: what is hashed is brought to the disk first, and many files share its flushes
HASHED_AHEAD = 64
LINES_AT_ONCE = 1000
LARGE_TREE = (
    500  #: entries; a list of more is put together and sent only when the service does not have the whole snapshot
)
MOSTLY_KNOWN = 0.5  #: of the files: hashed is more where there was no memory of them
KINDS = {kind: kind.value for kind in EntryType}

#: Called with (phase, files done, files in all, bytes done, bytes in all).
Progress = Callable[[str, int, int, int, int], None]


class Read(NamedTuple):
    """What a file has in it."""

    size_bytes: int
    chunks: Chunks
    is_new: bool = False  #: it was hashed now
    is_sure: bool = True  #: whoever finds the file in the same state again may know it by that


class Listed(NamedTuple):
    """All that a snapshot has in it."""

    rows: tuple[Row, ...]
    hashed: int  #: files that were hashed for it
    is_sure: bool  #: each file may be known again by the state in which it was found


class Row(NamedTuple):
    """An entry of a manifest that is not made yet: of a snapshot that the service knows it is not needed."""

    path: str
    type: EntryType
    mode: int
    size_bytes: int = 0
    chunks: Chunks = ()
    target: str = ""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """What a snapshot has in it, its digest, and where each content lies."""

    root: Path
    digest: str
    entry_count: int
    list_rows: Callable[[], tuple[Row, ...]]
    is_new: bool = False  #: some of it changed since it was known: hardly anybody has sent just this before

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All that is in it; of a large tree that is known as it stands they are put together when they are asked for."""
        return self.list_rows()

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest."""
        return Manifest.model_validate({"entries": [row._asdict() for row in self.rows]})

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Where each content lies."""
        sources: dict[str, Source] = {}
        for row in self.rows:
            offset = 0
            for digest, length in zip(row.chunks, lengths_of(row.size_bytes, len(row.chunks)) or (), strict=True):
                sources.setdefault(digest, Source(path=row.path, offset=offset, length=length))
                offset += length
        return sources

    def stream(
        self, digests: Collection[str], *, squeezed: bool = False, read: Callable[[int], None] | None = None
    ) -> Iterator[bytes]:
        """Yield the pack with these contents; raise LocalError when a file has changed since it was hashed.

        `read` is told how many bytes were read, block by block.
        """
        return wire.gathered(self._pieces(digests, squeezed, read))

    def _pieces(self, digests: Collection[str], squeezed: bool, read: Callable[[int], None] | None) -> Iterator[bytes]:
        yield wire.SQUEEZED if squeezed else wire.PLAIN
        for digest in self.in_order(digests):
            source = self.sources[digest]
            yield wire.header(digest, source.length)
            blocks = _counted(read_content(self.root, source, digest), read)
            yield from wire.squeezed(blocks) if squeezed else blocks
        yield wire.END

    def length_of(self, digests: Collection[str]) -> int:
        """Return how long the plain pack with these contents is."""
        contents = sum(len(wire.header(digest, 0)) + self.sources[digest].length for digest in digests)
        return len(wire.PLAIN) + contents + len(wire.END)

    def in_order(self, digests: Collection[str]) -> list[str]:
        """Return contents as they lie in files, one file after the other."""
        return sorted(digests, key=lambda digest: (self.sources[digest].path, self.sources[digest].offset))


def pack(scanned: Scan, *, cache: HashCache | None = None, progress: Progress | None = None) -> Packed:
    """Hash what was scanned; what has not changed since last time is taken from the cache."""
    count = scanned.entry_count
    seen = _seen(scanned) if cache is not None and count >= LARGE_TREE else None
    known = cache.find_tree(seen) if cache is not None and seen is not None else None
    if cache is not None and known is not None:
        again = partial(_listed_again, scanned, cache.file)
        return Packed(root=scanned.root, digest=known, entry_count=count, list_rows=again)
    rows, hashed, is_sure = _rows(scanned, cache, progress)
    digest = _digest(rows)
    if cache is not None:
        cache.flush()
        if seen is not None and is_sure:
            cache.put_tree(seen, digest)
    is_new = 0 < hashed < MOSTLY_KNOWN * scanned.file_count
    return Packed(root=scanned.root, digest=digest, entry_count=count, list_rows=lambda: rows, is_new=is_new)


def _listed_again(scanned: Scan, file: Path) -> tuple[Row, ...]:
    cache = HashCache(file)
    try:
        return _rows(scanned, cache, None).rows
    finally:
        cache.close()


def _rows(scanned: Scan, cache: HashCache | None, progress: Progress | None) -> Listed:
    """List all that is in a snapshot, and hash what is not known."""
    files = [found for found in scanned.entries if found.type is EntryType.FILE]
    known = _known(files, cache)
    rows: list[Row] = []
    all_sure = True
    hashed = done_files = done_bytes = 0
    of_files, of_bytes = len(files), scanned.size_bytes  # a walk over all entries
    hashes = _hashes(scanned.root, files, known, cache)
    for found in scanned.entries:
        if found.type is not EntryType.FILE:
            rows.append(Row(found.path, found.type, found.mode, target=found.target))
            continue
        size, chunks, is_new, is_sure = next(hashes)
        rows.append(Row(found.path, found.type, found.mode, size, chunks))
        all_sure, hashed = all_sure and is_sure, hashed + is_new
        done_files, done_bytes = done_files + 1, done_bytes + size
        if progress and (is_new or done_files == of_files):
            progress("hashing", done_files, of_files, done_bytes, of_bytes)
    return Listed(tuple(rows), hashed, all_sure)


def _seen(scanned: Scan) -> bytes | None:
    """Return a digest of all that was found, each file in its state: whoever finds the same has the same snapshot.

    None where the state of some is not known.
    """
    if any(found.type is EntryType.FILE for found in scanned.others):
        return None
    files = [(files.directory, "\0".join(files.names), files.states.tobytes()) for files in scanned.files]
    others = [(found.path, found.type.value, found.mode, found.target) for found in scanned.others]
    # Version 2 writes equal values alike; the layout is part of it, for another one gives other digests.
    return blake3(marshal.dumps((files, others, str(LAYOUTS[0])), 2)).digest()


def manifest_digest(manifest: Manifest) -> str:
    """Return the digest of a manifest: BLAKE3 of its canonical form, one JSON line for each entry, sorted by path."""
    return _digest(sorted(manifest.entries, key=lambda entry: entry.path))


def _digest(entries: Iterable[Entry | Row]) -> str:
    """Return the digest of entries that are in order. A line is `[path, type, mode, size, [chunks], target]`, in ASCII."""
    quoted = json.JSONEncoder().encode
    digest = blake3()
    lines = []
    for entry in entries:
        chunks = '","'.join(entry.chunks)
        chunks = f'"{chunks}"' if chunks else ""
        target = quoted(entry.target) if entry.target else '""'
        kind = KINDS[entry.type]
        lines.append(f'[{quoted(entry.path)},"{kind}",{entry.mode},{entry.size_bytes},[{chunks}],{target}]\n')
        if len(lines) == LINES_AT_ONCE:
            digest.update("".join(lines).encode())
            lines.clear()
    digest.update("".join(lines).encode())
    return digest.hexdigest()


def _counted(blocks: Iterator[bytes], read: Callable[[int], None] | None) -> Iterator[bytes]:
    for block in blocks:
        if read is not None:
            read(len(block))
        yield block


def _known(files: list[Found], cache: HashCache | None) -> list[Chunks | None]:
    """Return what is remembered of files in the states in which they were found."""
    if cache is None:
        return [None] * len(files)
    kept = cache.find([found.state for found in files if found.state is not None])
    if len(kept) < len(files):
        return [None] * len(files)
    whole = LAYOUTS[0].whole_bytes
    for place, (found, chunks) in enumerate(zip(files, kept, strict=True)):
        # What an earlier version cut in another way is hashed again.
        if chunks is not None and found.size_bytes > whole and len(chunks) != len(cut(found.size_bytes)):
            kept[place] = None
    return kept


def _hashes(root: Path, files: list[Found], known: list[Chunks | None], cache: HashCache | None) -> Iterator[Read]:
    """Yield what each file has in it; some are hashed ahead, side by side."""
    threads = ThreadPoolExecutor(HASH_THREADS, thread_name_prefix="hash")
    ahead: deque[tuple[Found, Read | Future[Hashed]]] = deque()
    try:
        for found, chunks in zip(files, known, strict=True):
            if chunks is not None and not ahead:
                yield Read(found.size_bytes, chunks)
                continue
            if chunks is not None:
                ahead.append((found, Read(found.size_bytes, chunks)))
            else:
                ahead.append((found, threads.submit(hash_file, root, found.path)))
            if len(ahead) > HASHED_AHEAD:
                yield _taken(*ahead.popleft(), cache)
        while ahead:
            yield _taken(*ahead.popleft(), cache)
    finally:
        threads.shutdown(cancel_futures=True)


def _taken(found: Found, hashed: Read | Future[Hashed], cache: HashCache | None) -> Read:
    """Return what was hashed, and remember it."""
    if not isinstance(hashed, Future):
        return hashed
    done = hashed.result()
    is_kept = cache is not None and cache.put(done.state, done.chunks, done.read_at_ns)
    return Read(done.state.size_bytes, done.chunks, True, is_kept and done.state == found.state)
