"""Taking in a pack as it arrives, piece by piece, with bounded memory; every byte is hashed here again."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from blake3 import blake3

from himalia.errors import Unparsable
from himalia.snapshot.wire import BLOCK_BYTES, END, PLAIN, SQUEEZED, unfolded

from .files import for_people
from .settling import Settling

LENGTH_BYTES = 8  #: of a content
BLOCK_LENGTH_BYTES = 4
HEADER_BYTES = 40  #: before each content
SLACK_BYTES = 64 * 1024  #: of a pack that is a little too long it is said where it is wrong


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
        self._settling = Settling(folder)
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

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes, of which none is needed when this returns; raise Unparsable or DiskFull."""
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
                self._settling.finish()
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
            self._settling.finish()
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
        file, self._file = self._file, None
        self._settling.add(file, self._digest, self._expected.pop(self._digest))
