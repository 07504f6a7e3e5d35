"""The logs of a machine in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..base import LogChunk, LogTime
from ..errors import OffsetPastEnd


@dataclass(kw_only=True)
class FakeLog:
    """What an attempt has printed, and when."""

    content: bytearray = field(default_factory=bytearray)
    times: list[LogTime] = field(default_factory=list)
    sealed: bool = False


class FakeLogs:
    """All logs of a machine, by attempt."""

    def __init__(self) -> None:
        self._logs: dict[str, FakeLog] = {}

    def add(self, attempt: str, output: bytes, at: datetime) -> None:
        """Print something."""
        log = self._logs.setdefault(attempt, FakeLog())
        if output:
            log.times.append(LogTime(offset=len(log.content), at=at))
        log.content.extend(output)

    def read(self, attempt: str, offset: int, limit: int) -> LogChunk:
        """Return bytes of a log."""
        log = self._logs.get(attempt, FakeLog())
        size = len(log.content)
        if offset > size and (log.sealed or not size):  # a job may cut its own log: what is still written may be short
            raise OffsetPastEnd(f"the log has {size} bytes; there is no offset {offset}")
        data = bytes(log.content[offset : offset + limit])
        done = offset + len(data)
        return LogChunk(data=data, next_offset=done, ended=log.sealed and done == size, size_bytes=size)

    def times(self, attempt: str, since: datetime | None, first: int, last: int) -> Sequence[LogTime]:
        """Return when bytes of a log came."""
        entries = self._logs.get(attempt, FakeLog()).times
        if since is not None:
            return [entry for entry in entries if entry.at >= since][:1]
        before = [entry for entry in entries if entry.offset <= first][-1:]
        return before + [entry for entry in entries if first < entry.offset <= last]

    def seal(self, attempt: str) -> bytes:
        """Let nothing be added any more; return all of it."""
        log = self._logs.setdefault(attempt, FakeLog())
        log.sealed = True
        return bytes(log.content)

    def remove(self, attempt: str) -> None:
        """Drop what a log holds."""
        self._logs[attempt] = FakeLog(sealed=True)
