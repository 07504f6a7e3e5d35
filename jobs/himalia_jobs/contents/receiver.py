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
from himalia.snapshot.wire import BLOCK_BYTES, END, PLAIN, SQUEEZED, unfolded

from .files import for_people, sync_folder

LENGTH_BYTES = 8  #: of a content
BLOCK_LENGTH_BYTES = 4
HEADER_BYTES = 40  #: before each content
SLACK_BYTES = 64 * 1024  #: of a pack that is a little too long it is said where it is wrong
#: Contents wait for each other, so that the disk brings many home at once: one by one costs a flush each.
WAITING_COUNT = 64
WAITING_BYTES = 64 * 1024 * 1024
SYNC_THREADS = 8


class PackReceiver:
    """Reads one pack. Only contents that are expected, in the expected length, are kept; drafts lie in a folder apart.

    Of a squeezed pack never more than a block is unfolded at once, whatever it says of itself. The sender may go at any
    moment, so `close` may come from another thread than the `feed` it cuts short.
    """

    def __init__(self, folder: Path, drafts: Path, expected: Mapping[str, int]) -> None:
        self._folder = folder
        self._drafts = drafts
        self._expected = dict(expected)
        #: No pack with all that is expected has more bytes.
        self.largest_bytes = SLACK_BYTES + sum(
            HEADER_BYTES + length + BLOCK_LENGTH_BYTES * (1 + length // BLOCK_BYTES) for length in expected.values()
        )
        self._lock = threading.Lock()
        self._closed = False
        self._waiting: list[tuple[IO[bytes], str]] = []  #: whole, not on disk yet; with digests
        self._waiting_bytes = 0
        self._touched: set[Path] = set()
        #: What the next piece is taken for, once it is there.
        self._step: Callable[[PackReceiver, bytes], None] = PackReceiver._magic
        self._need = len(PLAIN)  #: its length; 0: bytes of a content, taken as they come
        self._piece = bytearray()
        self._squeezed = False
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
                rest = memoryview(data)
                while rest:
                    rest = rest[self._take(rest) :]
            except OSError as error:
                self._drop()
                raise for_people(error) from error
            except Unparsable:
                self._drop()
                raise

    def finish(self) -> None:
        """Check that the pack ended where it should; what was kept is on disk when this returns."""
        with self._lock:
            complete = self._ended
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
        self._piece.clear()
        with suppress(OSError):  # what cannot be kept is sent again
            self._settle()
        touched, self._touched = self._touched, set()
        _side_by_side(sync_folder, touched)
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
            Path(file.name).unlink(missing_ok=True)

    def _take(self, data: memoryview) -> int:
        """Take what the data begins with; return how much that was."""
        if self._ended:
            raise Unparsable("There are bytes after the end of the pack.")
        if not self._need:
            taken = min(self._left, len(data))
            self._write(data[:taken])
            return taken
        taken = min(self._need - len(self._piece), len(data))
        self._piece += data[:taken]
        if len(self._piece) == self._need:
            piece, self._piece = bytes(self._piece), bytearray()
            self._step(self, piece)
        return taken

    def _magic(self, piece: bytes) -> None:
        if piece not in (PLAIN, SQUEEZED):
            raise Unparsable("This is no pack of contents. Upgrade himalia, then try again.")
        self._squeezed = piece == SQUEEZED
        self._expect(PackReceiver._end_or_digest, len(END))

    def _end_or_digest(self, piece: bytes) -> None:
        self._ended = piece == END
        self._digest = piece.hex()
        self._expect(PackReceiver._length, LENGTH_BYTES)

    def _length(self, piece: bytes) -> None:
        length = int.from_bytes(piece, "big")
        if not length or self._expected.get(self._digest) != length:
            raise Unparsable(f"The pack has a content that was not asked for: {self._digest[:12]}… of {length} bytes.")
        self._left, self._hash = length, blake3()
        self._drafts.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.NamedTemporaryFile(dir=self._drafts, delete=False)  # noqa: SIM115  # closed by `_keep` or `_drop`
        if self._squeezed:
            self._expect(PackReceiver._block_length, BLOCK_LENGTH_BYTES)
        else:
            self._need = 0

    def _block_length(self, piece: bytes) -> None:
        length = int.from_bytes(piece, "big")
        if not 0 < length <= min(BLOCK_BYTES, self._left):
            raise Unparsable(f"The pack has a block of {length} bytes, which cannot be. Send it again.")
        self._expect(PackReceiver._block, length)

    def _block(self, piece: bytes) -> None:
        try:
            block = unfolded(piece, min(BLOCK_BYTES, self._left))
        except ValueError as error:
            raise Unparsable(f"A block of the pack cannot be unfolded ({error}). Send it again.") from error
        self._expect(PackReceiver._block_length, BLOCK_LENGTH_BYTES)
        self._write(memoryview(block))

    def _expect(self, step: Callable[[PackReceiver, bytes], None], length: int) -> None:
        self._step, self._need = step, length

    def _write(self, block: memoryview) -> None:
        """Add to the content, and keep it once it is whole."""
        assert self._file is not None
        self._file.write(block)
        self._hash.update(block)
        self._left -= len(block)
        if self._left:
            return
        if self._hash.hexdigest() != self._digest:
            raise Unparsable(
                f"A content does not have the digest it was sent under ({self._digest[:12]}…). Send it again."
            )
        self._keep()
        self._expect(PackReceiver._end_or_digest, len(END))

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


def _side_by_side(sync: Callable[[Any], None], things: Collection[Any]) -> None:
    """Sync many things at once, so that they share the disk's flushes; return when all are on disk, or raise."""
    if things:
        with ThreadPoolExecutor(min(SYNC_THREADS, len(things)), thread_name_prefix="sync") as threads:
            list(threads.map(sync, things))
