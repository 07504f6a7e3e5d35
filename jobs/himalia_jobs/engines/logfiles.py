"""An attempt's log, still being written or sealed, and when its bytes came.

Beside the log lie its *times*: a line for each second in which something came, with the offset of the first byte of that
second. Both lie in the run directory, which belongs to the job, until they are sealed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from .base import LogChunk, LogTime
from .errors import OffsetPastEnd
from .hostile import open_regular

LOG = "log"  #: in the run directory; sealed: in the attempt's own directory, which no container mounts
TIMES = "log.times"
ENTRY_BYTES = 32
MOST_ENTRIES = 100_000  #: in one answer
BLOCK_BYTES = 1024 * 1024
LATEST_MILLISECONDS = 253_402_300_799_000  #: of the year 9999


def read_log(own: Path, offset: int, limit: int) -> LogChunk:
    """Return bytes of an attempt's log, sealed or still being written."""
    ended = (own / LOG).exists()
    try:
        descriptor = _open(own, LOG, ended)
    except FileNotFoundError:
        if offset:
            raise OffsetPastEnd(f"there is no log yet, so no offset {offset}") from None
        return LogChunk(data=b"", next_offset=0, ended=False)
    try:
        size = os.fstat(descriptor).st_size
        if offset > size and ended:
            raise OffsetPastEnd(f"the log has {size} bytes; there is no offset {offset}")
        data = os.pread(descriptor, limit, offset)
    finally:
        os.close(descriptor)
    done = offset + len(data)
    return LogChunk(data=data, next_offset=done, ended=ended and done >= size, size_bytes=max(size, done))


def read_log_times(own: Path, since: datetime | None, first: int, last: int) -> Sequence[LogTime]:
    """Return the first entry from a moment on; without one, those that speak for the bytes from `first` to `last`."""
    try:
        descriptor = _open(own, TIMES, (own / LOG).exists())
    except FileNotFoundError:
        return ()
    try:
        count = os.fstat(descriptor).st_size // ENTRY_BYTES
        if since is not None:
            milliseconds = int(since.timestamp() * 1000)
            at = _first(descriptor, count, lambda entry: entry[1] >= milliseconds)
            until = at + 1
        else:
            at = max(0, _first(descriptor, count, lambda entry: entry[0] > first) - 1)
            until = _first(descriptor, count, lambda entry: entry[0] > last)
        return [_time(_entry(descriptor, index)) for index in range(at, min(until, count, at + MOST_ENTRIES))]
    finally:
        os.close(descriptor)


def seal_log(own: Path) -> tuple[int, str]:
    """Take the log out of the job's reach; return its size and SHA-256. A log that was replaced by something odd is empty."""
    sealed = own / LOG
    if not sealed.exists():
        _seal(own, TIMES)
        _seal(own, LOG)  # the last, since it says that all are sealed
    digest = hashlib.sha256()
    with sealed.open("rb") as log:
        while block := log.read(BLOCK_BYTES):
            digest.update(block)
        return log.tell(), digest.hexdigest()


def _open(own: Path, name: str, sealed: bool) -> int:
    return os.open(own / name, os.O_RDONLY | os.O_CLOEXEC) if sealed else open_regular(own / "run", name)


def _seal(own: Path, name: str) -> None:
    draft = own / f"{name}.part"
    with draft.open("wb") as out:
        try:
            source = open_regular(own / "run", name)
        except FileNotFoundError:
            source = -1
        if source >= 0:
            try:
                _copy(source, out.fileno())
            finally:
                os.close(source)
        os.fsync(out.fileno())
    draft.rename(own / name)


def _copy(source: int, target: int) -> None:
    """Copy without going through this process's memory; where the file system can, without copying at all."""
    size = os.fstat(source).st_size
    done = 0
    while done < size:
        copied = os.copy_file_range(source, target, size - done, done)
        if copied == 0:
            break
        done += copied


def _first(descriptor: int, count: int, is_behind: Callable[[tuple[int, int]], bool]) -> int:
    """Return the index of the first entry that is behind a point; the count where none is. A forged list gives any index."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if is_behind(_entry(descriptor, middle)):
            high = middle
        else:
            low = middle + 1
    return low


def _entry(descriptor: int, index: int) -> tuple[int, int]:
    """Return an entry's offset and milliseconds; zeros for what is none."""
    try:
        offset, milliseconds = os.pread(descriptor, ENTRY_BYTES, index * ENTRY_BYTES).split()
        return max(0, int(offset)), max(0, min(int(milliseconds), LATEST_MILLISECONDS))
    except ValueError:
        return 0, 0


def _time(entry: tuple[int, int]) -> LogTime:
    return LogTime(offset=entry[0], at=datetime.fromtimestamp(entry[1] / 1000, UTC))
