"""A zip file as a stream: stored, not compressed, 64-bit, with bounded memory."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime

BLOCK_BYTES = 1024 * 1024


class ZipStream:
    """Collects what `zipfile` writes, to be sent on piece by piece."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED, allowZip64=True)  # type: ignore[call-overload]  # it only writes

    def add(self, path: str, modified_at: datetime, descriptor: int) -> Iterator[bytes]:
        """Yield the bytes of one more file, read from a descriptor."""
        info = zipfile.ZipInfo(path, date_time=_moment(modified_at))
        info.external_attr = 0o644 << 16
        offset = 0
        with self._zip.open(info, "w", force_zip64=True) as entry:
            while block := os.pread(descriptor, BLOCK_BYTES, offset):
                entry.write(block)
                offset += len(block)
                yield self._sink.take()
        yield self._sink.take()

    def close(self) -> bytes:
        """Return the end of the zip: its directory."""
        self._zip.close()
        return self._sink.take()


class _Sink:
    """A file that can only be written and emptied."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing is held back."""

    def seekable(self) -> bool:
        return False

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


def _moment(moment: datetime) -> tuple[int, int, int, int, int, int]:
    """Return a moment as zip files keep it: they begin in 1980."""
    utc = moment.astimezone(UTC)
    return (max(1980, min(2107, utc.year)), utc.month, utc.day, utc.hour, utc.minute, utc.second)
