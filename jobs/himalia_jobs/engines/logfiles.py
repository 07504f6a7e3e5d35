"""An attempt's log, still being written or sealed, and when its bytes came.

Beside the log lie its *times*: a line for each second in which something came, with the offset of the first byte of that
second. Of a log that is longer than its limit the launcher gives the middle back to the disk, a hole in the file; from where
to where is what the log *leaves out*. All lie in the run directory, which belongs to the job, until they are sealed. A
sealed log holds what is kept without the hole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ..hostile import open_regular, read_small
from .base import LogChunk, LogTime
from .errors import OffsetPastEnd

LOG = "log"  #: in the run directory; sealed: in the attempt's own directory, which no container mounts
TIMES = "log.times"
LEFT_OUT = "log.left-out"
TRIES = 10
ENTRY_BYTES = 32
MOST_ENTRIES = 100_000  #: in one answer
BLOCK_BYTES = 1024 * 1024
SMALLEST_MOST_BYTES = 64 * 1024 * 1024  #: of a log's times: three weeks of them
SLACK_BYTES = 1024 * 1024  #: by which the launcher may be over a limit for a moment
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
        left_out = _left_out(own, ended)
        for _ in range(TRIES):
            chunk = _read(descriptor, offset, limit, left_out, ended)
            left_out = left_out if ended else _left_out(own, ended)
            if ended or not _overlap(chunk, left_out, os.fstat(descriptor).st_size):
                return chunk
        return LogChunk(data=b"", next_offset=offset, ended=False)
    finally:
        os.close(descriptor)


def _read(descriptor: int, offset: int, limit: int, left_out: tuple[int, int] | None, ended: bool) -> LogChunk:
    held = os.fstat(descriptor).st_size
    start, end = left_out or (0, 0)
    size, missing = (held + end - start, end - start) if ended else (held, 0)
    if not ended and end > size:
        start, end, left_out = 0, 0, None  # the job wrote that itself
    if offset > size and ended:
        raise OffsetPastEnd(f"the log has {size} bytes; there is no offset {offset}")
    begin = end if start <= offset < end else offset
    most = min(limit, start - begin) if begin < start < end else limit
    data = os.pread(descriptor, most, begin - missing if begin >= end > start else begin)
    done = begin + len(data)
    return LogChunk(
        data=data, next_offset=done, ended=ended and done >= size, size_bytes=max(size, done), left_out=left_out
    )


def _overlap(chunk: LogChunk, left_out: tuple[int, int] | None, size: int) -> bool:
    """Tell whether some of what was read may have been given back to the disk meanwhile, and be zeros."""
    start, end = left_out or (0, 0)
    return chunk.begins < end <= size and start < chunk.next_offset


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


def seal_log(own: Path, limit: int) -> tuple[int, str]:
    """Take the log out of the job's reach; return its size, with what is left out, and the SHA-256 of what is kept.

    A log that was replaced by something odd is empty; of one that the job itself made longer than the limit the middle is left out.
    """
    sealed = own / LOG
    if not sealed.exists():
        _seal(own, TIMES, most=max(limit, SMALLEST_MOST_BYTES))
        _seal_left_out(own, limit)
        _seal(own, LOG, _left_out(own, sealed=True) or (0, 0))  # the last, since it says that all are sealed
    digest = hashlib.sha256()
    start, end = _left_out(own, sealed=True) or (0, 0)
    with sealed.open("rb") as log:
        while block := log.read(BLOCK_BYTES):
            digest.update(block)
        return log.tell() + end - start, digest.hexdigest()


def _open(own: Path, name: str, sealed: bool) -> int:
    return os.open(own / name, os.O_RDONLY | os.O_CLOEXEC) if sealed else open_regular(own / "run", name)


def _left_out(own: Path, sealed: bool) -> tuple[int, int] | None:
    """Return from where to where a log leaves something out; none where that is not known, or is nonsense."""
    content = read_small(own if sealed else own / "run", LEFT_OUT, 2 * ENTRY_BYTES)
    try:
        start, end = (int(part) for part in (content or b"").split())
    except ValueError:
        return None
    return (start, end) if 0 <= start <= end else None


def _seal_left_out(own: Path, limit: int) -> None:
    """Keep what a log leaves out, if it does."""
    (own / LEFT_OUT).unlink(missing_ok=True)
    start, end = _left_out(own, sealed=False) or (0, 0)
    try:
        log = open_regular(own / "run", LOG)
    except FileNotFoundError:
        return
    size = os.fstat(log).st_size
    os.close(log)
    start, end = (start, end) if start < end <= size else (0, 0)
    if size - (end - start) > limit + SLACK_BYTES:  # the launcher keeps to it; the job can write there by itself
        start, end = min(start or limit // 2, limit // 2), max(end, size - limit // 2)
    if start < end:
        draft = own / f"{LEFT_OUT}.part"
        draft.write_bytes(b"%015d %015d\n" % (start, end))
        draft.rename(own / LEFT_OUT)


def _seal(own: Path, name: str, left_out: tuple[int, int] = (0, 0), most: int | None = None) -> None:
    """Copy a file of the run directory without what is left out, or so much of it at most."""
    draft = own / f"{name}.part"
    with draft.open("wb") as out:
        try:
            source = open_regular(own / "run", name)
        except FileNotFoundError:
            source = -1
        if source >= 0:
            try:
                start, end = left_out
                _copy(source, out.fileno(), 0, start)
                size = os.fstat(source).st_size
                _copy(source, out.fileno(), end, size if most is None else min(size, most))
            finally:
                os.close(source)
        os.fsync(out.fileno())
    draft.rename(own / name)


def _copy(source: int, target: int, begin: int, end: int) -> None:
    """Copy without going through this process's memory; where the file system can, without copying at all."""
    done = begin
    while done < end:
        copied = os.copy_file_range(source, target, end - done, done)
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
