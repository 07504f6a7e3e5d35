"""A zip file as a stream: stored, not compressed, 64-bit, with bounded memory however many files it has."""

from __future__ import annotations

import os
import re
import struct
import tempfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime

BLOCK_BYTES = 1024 * 1024
KEPT_BYTES = 1024 * 1024  #: of the zip's directory; more of it lies in a file without a name
LONGEST_NAME = 65535

_UTF_8, _SIZES_FOLLOW, _NEEDS, _UNIX = 1 << 11, 1 << 3, 45, 3 << 8
_ELSEWHERE = 0xFFFFFFFF  #: the number is in the 64-bit field
_HEAD = struct.Struct("<4s5H3L2H")
_SIZES = struct.Struct("<4sL2Q")
_LISTED = struct.Struct("<4s6H3L5H2L")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")
_DRIVE = re.compile(r"^([A-Za-z]):")


class ZipStream:
    """Makes a zip piece by piece; its directory, which comes last, grows in a file."""

    def __init__(self) -> None:
        self._directory = tempfile.SpooledTemporaryFile(KEPT_BYTES)  # noqa: SIM115  # closed with the stream
        self._count = 0
        self._written = 0

    def add(self, path: str, modified_at: datetime, descriptor: int) -> Iterator[bytes]:
        """Yield the bytes of one more file, read from a descriptor."""
        name, at = member(path).encode("utf-8")[:LONGEST_NAME], self._written
        date, clock = _moment(modified_at)
        known = (_NEEDS, _SIZES_FOLLOW | _UTF_8, 0, clock, date)
        # Sizes come after the content; that they will have 64 bits is said before it.
        head = _HEAD.pack(b"PK\3\4", *known, 0, _ELSEWHERE, _ELSEWHERE, len(name), 20)
        yield self._counted(head + name + struct.pack("<2H2Q", 1, 16, 0, 0))
        digest = size = 0
        while block := os.pread(descriptor, BLOCK_BYTES, size):
            digest, size = zlib.crc32(block, digest), size + len(block)
            yield self._counted(block)
        yield self._counted(_SIZES.pack(b"PK\7\x08", digest, size, size))
        listed = (len(name), 28, 0, 0, 0, 0o100644 << 16, _ELSEWHERE)
        self._directory.write(
            _LISTED.pack(b"PK\1\2", _UNIX | _NEEDS, *known, digest, _ELSEWHERE, _ELSEWHERE, *listed)
            + name
            + struct.pack("<2H3Q", 1, 24, size, size, at)
        )
        self._count += 1

    def finish(self) -> Iterator[bytes]:
        """Yield the end of the zip: its directory."""
        begin, size = self._written, self._directory.tell()
        self._directory.seek(0)
        while block := self._directory.read(BLOCK_BYTES):
            yield self._counted(block)
        count, end = self._count, self._written
        yield _END_64.pack(b"PK\6\6", 44, _UNIX | _NEEDS, _NEEDS, 0, 0, count, count, size, begin)
        yield _LOCATOR.pack(b"PK\6\7", 0, end, 1)
        yield _END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, _ELSEWHERE, _ELSEWHERE, 0)

    def close(self) -> None:
        """Let go of the directory."""
        self._directory.close()

    def _counted(self, block: bytes) -> bytes:
        self._written += len(block)
        return block


def member(path: str) -> str:
    """Return a path as the zip names it: as it is, unless a program on another system would be led out by it."""
    if path.startswith("\\") or ".." in re.split(r"[/\\]", path):
        path = path.replace("\\", "_")
    return _DRIVE.sub(r"\1_", path)


def _moment(moment: datetime) -> tuple[int, int]:
    """Return a moment as zip files keep it, day and time: they begin in 1980, and know even seconds."""
    utc = moment.astimezone(UTC)
    year = max(1980, min(2107, utc.year))
    return (year - 1980) << 9 | utc.month << 5 | utc.day, utc.hour << 11 | utc.minute << 5 | utc.second // 2
