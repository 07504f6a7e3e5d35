"""Which artifacts go into a zip of all: files, page by page; everything else is named in it, with why it is not there."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

from ..engines.base import ArtifactEntry, Engine
from .ranges import MOST_HOLES_BYTES, holes
from .zipstream import ZipStream

PAGE = 10_000
LEFT_OUT = "himalia-left-out.txt"  #: in the zip, where something is not
MOST_TOLD = 1_000
WHY = {
    "symlink": "a link, which is never followed",
    "other": "neither a file nor a directory",
    "file": "little but holes: its size says nothing of what is in it",
}


class Packing:
    """Puts an attempt's artifacts into a zip, one after the other."""

    def __init__(self, stream: ZipStream, engine: Engine, attempt: str) -> None:
        self._stream = stream
        self._engine = engine
        self._attempt = attempt
        self._descriptor = -1
        self._holes_left = MOST_HOLES_BYTES
        self._told: list[str] = []
        self._not_told = 0

    async def parts(self) -> AsyncIterator[Iterator[bytes]]:
        """Yield the blocks of each part of the zip; a part is read before the next is asked for."""
        after, more = "", True
        while more:
            entries, after = await self._engine.artifacts(self._attempt, PAGE, after)
            for entry in entries:
                if entry.type == "file":
                    async for blocks in self._file(entry):
                        yield blocks
                elif entry.type != "dir":
                    self._leave_out(entry)
            more = bool(after)
        if self._told:
            yield self._left_out()
        yield self._stream.finish()

    def close(self) -> None:
        """Let go of what is open."""
        self._close_file()
        self._stream.close()

    async def _file(self, entry: ArtifactEntry) -> AsyncIterator[Iterator[bytes]]:
        try:
            self._descriptor, _ = await self._engine.open_artifact(self._attempt, entry.path)
        except FileNotFoundError:
            return  # it went away while the job runs
        found = holes(self._descriptor, 0, entry.size_bytes, self._holes_left)
        if found is None:
            self._leave_out(entry)
        else:
            self._holes_left -= found
            yield self._stream.add(entry.path, entry.modified_at, self._descriptor)
        self._close_file()

    def _close_file(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _leave_out(self, entry: ArtifactEntry) -> None:
        if len(self._told) < MOST_TOLD:
            self._told.append(f"{entry.path!r}: {WHY[entry.type]}")
        else:
            self._not_told += 1

    def _left_out(self) -> Iterator[bytes]:
        more = [f"and {self._not_told} more"] if self._not_told else []
        text = "\n".join(["Not in this zip:", *self._told, *more, ""])
        self._descriptor = os.memfd_create(LEFT_OUT)
        os.write(self._descriptor, text.encode("utf-8", "backslashreplace"))
        return self._stream.add(LEFT_OUT, datetime.now(UTC), self._descriptor)
