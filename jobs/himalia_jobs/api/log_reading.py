"""Reading one attempt's log: from where a request wants it, and line by line where it asks for lines.

All of it works with a block at a time, however long the log and its lines are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from himalia.errors import FieldError
from himalia.line_patterns import LONGEST_LINE, LinePattern

from ..engines.base import Engine, LogChunk, LogTime
from ..engines.errors import EngineError, OffsetPastEnd

CHUNK_BYTES = 512 * 1024
GRAIN = timedelta(milliseconds=999)  #: how long an entry of a log's times speaks for
POLL_SECONDS = 0.1  #: while the engine does not answer
NO_TIMES = "It is not known when this log's lines came: it was written before Himalia kept that."
UNKNOWN = "-"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What somebody wants of a log."""

    offset: int = 0
    since: datetime | None = None
    tail: int | None = None
    pattern: LinePattern | None = None
    timestamps: bool = False
    marked: bool = False  #: with follow, each piece of lines says up to where of the log it goes
    exact: bool = False  #: nothing but the log's own bytes: the answer ends where some are left out

    @property
    def by_lines(self) -> bool:
        """Whether lines are looked at, and not only bytes passed on."""
        return self.pattern is not None or self.timestamps


class LogReader:
    """Reads one attempt's log."""

    def __init__(self, engine: Engine, attempt: str) -> None:
        self._engine = engine
        self._attempt = attempt

    async def read(self, offset: int, limit: int = CHUNK_BYTES, wait_seconds: float = 0.0) -> LogChunk:
        """Return bytes from an offset, waiting for them for a while; none while the engine does not answer."""
        try:
            return await self._engine.read_log(self._attempt, offset, limit, wait_seconds)
        except OffsetPastEnd as error:
            raise FieldError("offset", "The log is shorter than this offset. Start again from 0.") from error
        except EngineError:
            await asyncio.sleep(min(POLL_SECONDS, wait_seconds))
            return LogChunk(data=b"", next_offset=offset, ended=False)

    async def start(self, wish: Wish) -> int:
        """Return the offset of the first byte that is wanted."""
        begin = wish.offset
        if begin:
            await self.read(begin, 1)  # an offset that cannot be is told before the first byte
        if (wish.since or wish.timestamps) and (await self.read(0, 1)).data:
            await self._must_know_times("since" if wish.since else "timestamps")
        if wish.since is not None:
            begin = max(begin, await self._came_since(wish.since))
        if wish.tail is not None:
            begin = await self._tail(begin, wish.tail, wish.pattern)
        return (await self.read(begin, 1)).begins if wish.exact else begin

    async def end(self, over: bool) -> int:
        """Return where a log that is not followed ends: of one that still grows, at the end of its last whole line."""
        size = (await self.read(0, 1)).size_bytes
        return size if over else await self._line_start(size)

    async def times(self, first: int, last: int) -> list[LogTime]:
        """Return when the bytes from one offset to another came."""
        return list(await self._engine.log_times(self._attempt, first=first, last=last))

    async def _must_know_times(self, field: str) -> None:
        if not await self._engine.log_times(self._attempt):
            raise FieldError(field, NO_TIMES)

    async def _came_since(self, moment: datetime) -> int:
        """Return where the line begins that was the first at a moment or later."""
        found = await self._engine.log_times(self._attempt, since=moment - GRAIN)
        size = (await self.read(0, 1)).size_bytes
        return await self._line_start(min(found[0].offset, size)) if found else size

    async def _line_start(self, offset: int) -> int:
        """Return where the line begins that has a byte at this offset; of an endless line, the offset itself."""
        first = self._first_before(offset, await self.read(0, 1))
        begin = max(first, offset - LONGEST_LINE)
        if begin >= offset:
            return offset
        before = await self.read(begin, offset - begin)
        newline = before.data.rfind(b"\n", 0, max(0, offset - before.begins))
        if newline < 0:
            return offset if begin > first else first
        return before.begins + newline + 1

    def _first_before(self, offset: int, chunk: LogChunk) -> int:
        """Return the first offset from which everything is kept up to another one."""
        return chunk.left_out[1] if chunk.left_out and offset >= chunk.left_out[1] > chunk.left_out[0] else 0

    async def _tail(self, begin: int, lines: int, pattern: LinePattern | None) -> int:
        """Return where the last lines (of those that match) begin, not before an offset."""
        look = await self.read(0, 1)
        end = look.size_bytes
        while lines and end > begin:
            first = max(begin, self._first_before(end, look))
            if first == end and look.left_out:
                end = look.left_out[0]  # on this side of what is left out
                continue
            at = max(first, end - CHUNK_BYTES)
            block = (await self.read(at, end - at)).data
            cut = block.find(b"\n") + 1 if at > first else 0
            cut = 0 if cut == len(block) else cut  # an endless line: its pieces are lines
            starts = _starts(block[cut:], lines, pattern)
            if len(starts) == lines:
                return at + cut + starts[0]
            lines -= len(starts)
            if len(block) < end - at:
                return end  # the job cuts its own log while it is read
            end = at + cut
        return end if not lines else begin


class Lines:
    """The lines of a log that are wanted, as they are shown."""

    def __init__(self, reader: LogReader, wish: Wish) -> None:
        self._reader = reader
        self._wish = wish
        self._rest = b""
        self._rest_at = wish.offset

    @property
    def looked_at(self) -> int:
        """The offset up to which the log was looked at."""
        return self._rest_at

    async def take(self, data: bytes, offset: int) -> bytes:
        """Return what is shown of bytes that follow; a line that has no end yet is kept until it has."""
        at = offset - len(self._rest)
        text = self._rest + data
        cut = text.rfind(b"\n") + 1
        if len(text) - cut >= LONGEST_LINE:
            cut = len(text)
        self._rest, self._rest_at = text[cut:], at + cut
        return await self._shown(text[:cut], at)

    async def finish(self) -> bytes:
        """Return what is shown of a last line that never got its end."""
        rest, at = self._rest, self._rest_at
        self._rest, self._rest_at = b"", at + len(rest)
        return await self._shown(rest, at)

    async def _shown(self, block: bytes, at: int) -> bytes:
        if not block:
            return b""
        spans = self._wish.pattern.spans(block) if self._wish.pattern else _lines(block)
        if not self._wish.timestamps:
            return b"".join(block[begin:end] for begin, end in spans)
        times = await self._reader.times(at, at + len(block))
        shown, index, said = [], 0, UNKNOWN
        for begin, end in spans:
            while index < len(times) and times[index].offset <= at + begin:
                said = times[index].at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                index += 1
            shown.append(b"%s %s" % (said.encode(), block[begin:end]))
        return b"".join(shown)


def _lines(block: bytes) -> Iterator[tuple[int, int]]:
    begin = 0
    while begin < len(block):
        newline = block.find(b"\n", begin)
        end = len(block) if newline < 0 else newline + 1
        yield begin, end
        begin = end


def _starts(block: bytes, most: int, pattern: LinePattern | None) -> list[int]:
    """Return where the last lines of a block (that match) begin, so many at most, in their order."""
    if pattern is not None:
        return [begin for begin, _ in pattern.spans(block)][-most:]
    starts: list[int] = []
    end = len(block)
    while end > 0 and len(starts) < most:
        end = block.rfind(b"\n", 0, end - 1) + 1
        starts.append(end)
    return starts[::-1]
