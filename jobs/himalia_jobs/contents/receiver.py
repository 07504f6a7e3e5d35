"""Taking in a pack as it arrives, piece by piece, with bounded memory; every byte is hashed here again."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from blake3 import blake3

from himalia.errors import Unparsable
from himalia.snapshot.pack import END, MAGIC

from .files import for_people, sync_folder

HEADER_BYTES = 40
#: Contents wait for each other, so that the disk brings many home at once: one by one costs a flush each.
WAITING_COUNT = 64
WAITING_BYTES = 64 * 1024 * 1024
SYNC_THREADS = 8


class PackReceiver:
    """Reads one pack. Only contents that are expected, in the expected length, are kept; drafts lie in a folder apart.

    The sender may go at any moment, so `close` may come from another thread than the `feed` it cuts short.
    """

    def __init__(self, folder: Path, drafts: Path, expected: Mapping[str, int]) -> None:
        self._folder = folder
        self._drafts = drafts
        self._expected = dict(expected)
        self._lock = threading.Lock()
        self._closed = False
        self._waiting: list[tuple[IO[bytes], str]] = []  #: whole, not on disk yet; with digests
        self._waiting_bytes = 0
        self._touched: set[Path] = set()
        self._buffer = bytearray()
        self._started = False
        self._ended = False
        self._digest = ""
        self._left = 0
        self._hash = blake3()
        self._file: IO[bytes] | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes; raise Unparsable or DiskFull."""
        with self._lock:
            if self._closed:
                raise Unparsable("The pack was given up. Send what is still missing.")
            try:
                self._buffer += data
                while self._step():
                    pass
            except OSError as error:
                self._drop()
                raise for_people(error) from error
            except Unparsable:
                self._drop()
                raise

    def finish(self) -> None:
        """Check that the pack ended where it should; what was kept is on disk when this returns."""
        with self._lock:
            complete = self._ended and not self._buffer
            try:
                self._settle()
            except OSError as error:
                raise for_people(error) from error
            finally:
                self._drop()
        if not complete:
            raise Unparsable("The pack ended too early. Send what is still missing.")

    def close(self) -> None:
        """Keep what is whole, and drop a content that is not."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        self._closed = True
        self._buffer.clear()
        with suppress(OSError):  # what cannot be kept is sent again
            self._settle()
        touched, self._touched = self._touched, set()
        _side_by_side(sync_folder, touched)
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
            Path(file.name).unlink(missing_ok=True)

    def _step(self) -> bool:
        """Handle what the buffer begins with; return whether there may be more."""
        if not self._started:
            if len(self._buffer) < len(MAGIC):
                return False
            if self._take(len(MAGIC)) != MAGIC:
                raise Unparsable("This is no pack of contents. Upgrade himalia, then try again.")
            self._started = True
            return True
        if self._ended:
            if self._buffer:
                raise Unparsable("There are bytes after the end of the pack.")
            return False
        return self._body() if self._file is not None else self._header()

    def _header(self) -> bool:
        if self._buffer[: len(END)] == END:
            self._take(len(END))
            self._ended = True
            return True
        if len(self._buffer) < HEADER_BYTES:
            return False
        digest, length = self._take(32).hex(), int.from_bytes(self._take(8), "big")
        if self._expected.get(digest) != length:
            raise Unparsable(f"The pack has a content that was not asked for: {digest[:12]}… of {length} bytes.")
        self._digest, self._left, self._hash = digest, length, blake3()
        self._drafts.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.NamedTemporaryFile(dir=self._drafts, delete=False)  # noqa: SIM115  # closed by `_keep` or `_drop`
        return True

    def _body(self) -> bool:
        assert self._file is not None
        block = self._take(min(self._left, len(self._buffer)))
        self._file.write(block)
        self._hash.update(block)
        self._left -= len(block)
        if self._left:
            return False
        if self._hash.hexdigest() != self._digest:
            raise Unparsable(
                f"A content does not have the digest it was sent under ({self._digest[:12]}…). Send it again."
            )
        self._keep()
        return bool(self._buffer)

    def _keep(self) -> None:
        assert self._file is not None
        self._file.flush()
        os.fchmod(self._file.fileno(), 0o400)
        self._waiting.append((self._file, self._digest))
        self._waiting_bytes += self._expected.pop(self._digest)
        self._file = None
        if len(self._waiting) >= WAITING_COUNT or self._waiting_bytes >= WAITING_BYTES:
            self._settle()

    def _settle(self) -> None:
        """Bring all that waits to the disk, then to its place: a content that has its name is whole whatever happens."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        try:
            _side_by_side(lambda one: os.fsync(one[0].fileno()), waiting)
            for file, digest in waiting:
                folder = self._folder / digest[:2]
                folder.mkdir(parents=True, exist_ok=True)
                Path(file.name).rename(folder / digest)
                self._touched.add(folder)
        finally:
            for file, _ in waiting:
                file.close()
                Path(file.name).unlink(missing_ok=True)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


def _side_by_side(sync: Callable[[Any], None], things: Collection[Any]) -> None:
    """Sync many things at once, so that they share the disk's flushes; return when all are on disk, or raise."""
    if things:
        with ThreadPoolExecutor(min(SYNC_THREADS, len(things)), thread_name_prefix="sync") as threads:
            list(threads.map(sync, things))
