"""`jobs/{id}/artifacts` and `jobs/{id}/files`: what a job left, and what was submitted. Always attachments: names and contents are a stranger's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from json import JSONEncoder
from urllib.parse import quote

from tornado.iostream import StreamClosedError

from himalia.errors import FieldError, NotFound, TooLarge
from himalia.harmless import STEERING
from himalia.ids import attempt_id
from himalia.models import ArtifactList
from himalia.states import FINAL_STATES
from himalia.units import format_size

from ..engines.base import ArtifactEntry
from ..engines.listing import NoCursor
from ..process import with_breaks
from ..store.records import JobRecord
from .jobs import JobBase
from .packing import Packing
from .ranges import MOST_HOLES_BYTES, NotThere, holes, tag, wanted
from .zipstream import ZipStream

BLOCK_BYTES = 1024 * 1024
PAGE = 10_000  #: entries of a list
LARGEST_PAGE = 50_000
AT_ONCE = 200  #: of them are written out, before others have a turn
_quoted = JSONEncoder(ensure_ascii=False).encode

#: What a browser may show inside Lab; everything else is octets.
SAFE_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".txt": "text/plain; charset=utf-8",
    ".log": "text/plain; charset=utf-8",
    ".csv": "text/plain; charset=utf-8",
    ".json": "application/json",
    ".pdf": "application/pdf",
    ".zip": "application/zip",
}


class DownloadBase(JobBase):
    """Sending files that a stranger named and filled."""

    def attachment(self, name: str) -> None:
        """Set the headers that keep a file from acting as a page of this origin."""
        base = STEERING.sub("_", name.rsplit("/", 1)[-1]) or "file"
        plain = "".join(
            letter if letter.isascii() and letter.isprintable() and letter not in '"\\%;' else "_" for letter in base
        )
        self.set_header(
            "Content-Disposition", f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(base, safe='')}"
        )
        self.set_header("Content-Type", SAFE_TYPES.get(os.path.splitext(base)[1].lower(), "application/octet-stream"))
        self.set_header("Content-Security-Policy", "sandbox; default-src 'none'")
        self.set_header("Accept-Ranges", "bytes")

    async def send_file(self, descriptor: int, name: str) -> None:
        """Send a regular file, or the one range that is asked for; the descriptor is closed."""
        try:
            state = os.fstat(descriptor)
            self.attachment(name)
            self.set_header("ETag", tag(state))
            start, end = self._part(state)
            if self.request.method != "HEAD":
                await self._must_not_be_hollow(descriptor, name, start, end)
            self.set_header("Content-Length", str(end - start))
            if self.request.method != "HEAD":
                await self._copy(descriptor, start, end)
        except StreamClosedError:
            return
        finally:
            os.close(descriptor)
        self.finish()

    def compute_etag(self) -> None:
        """A file's tag is set where it is sent."""

    def _part(self, state: os.stat_result) -> tuple[int, int]:
        """Return from where to where a file is sent; all of it where it is not the one any more that the asker has a part of."""
        size, known = state.st_size, self.request.headers.get("If-Range", "")
        asked = self.request.headers.get("Range", "") if known in ("", tag(state)) else ""
        try:
            part = wanted(asked, size) if asked else None
        except NotThere:
            self.set_status(416)
            self.set_header("Content-Range", f"bytes */{size}")
            return 0, 0
        if part is None:
            return 0, size
        self.set_status(206)
        self.set_header("Content-Range", f"bytes {part[0]}-{part[1] - 1}/{size}")
        return part

    async def _must_not_be_hollow(self, descriptor: int, name: str, start: int, end: int) -> None:
        """Raise TooLarge for a file of little but holes: its size says nothing of what is in it."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self.service.file_threads, holes, descriptor, start, end, MOST_HOLES_BYTES)
        if found is None:
            raise TooLarge(
                f"{name!r} says that it is {format_size(end - start)} long, and most of that was never written. "
                "Pack it in the job (tar --sparse), or ask for a range of it."
            )

    async def _copy(self, descriptor: int, start: int, end: int) -> None:
        loop = asyncio.get_running_loop()
        while start < end:
            block = await loop.run_in_executor(
                self.service.file_threads, os.pread, descriptor, min(BLOCK_BYTES, end - start), start
            )
            if not block:
                self.request.connection.close()  # type: ignore[union-attr]  # it shrank: a short answer must not look whole
                return
            self.write(block)
            await self.taken()
            start += len(block)

    def attempt_of(self, job: JobRecord) -> str:
        """Return the attempt that is asked for; none: the last."""
        number = self.integer("attempt", 0) or job.attempt_count
        if not 0 < number <= job.attempt_count:
            raise NotFound(f"{job.id} has no attempt {number or 1} yet; its artifacts come with it.")
        return attempt_id(job.id, number)


def page_text(page: ArtifactList, entries: Iterable[ArtifactEntry]) -> str:
    """Return a page, which has no artifacts yet, with these as JSON: what the models write, in a fifth of the time."""
    listed = ",".join(
        f'{{"path":{_quoted(path)},"type":"{kind}","size_bytes":{size_bytes},'
        f'"modified_at":"{_second(ms // 1000)}.{ms % 1000:03}Z"}}'
        for path, kind, size_bytes, ms in with_breaks(entries, AT_ONCE)
    )
    return f'{page.model_dump_json(exclude={"artifacts"})[:-1]},"artifacts":[{listed}]}}'


@lru_cache(maxsize=64)  # what a job leaves, it leaves in few seconds
def _second(seconds: int) -> str:
    """Return a second since 1970 as RFC 3339, without its end."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class ArtifactsHandler(DownloadBase):
    """`GET jobs/{id}/artifacts`."""

    async def get(self, prefix: str) -> None:
        """List what is in /artifacts, live while the job runs."""
        job = await self.job(prefix)
        if job.attempt_count == 0:
            self.answer(ArtifactList(attempt="", live=job.state not in FINAL_STATES, artifacts=()))
            return
        attempt = self.attempt_of(job)
        limit = self.integer("limit", PAGE, least=1, most=LARGEST_PAGE)
        try:
            entries, cursor = await self.service.engine.artifacts(attempt, limit, self.argument("cursor"))
        except NoCursor as error:
            raise FieldError("cursor", "It must be the cursor of a page of this list.") from error
        page = ArtifactList(
            attempt=attempt,
            live=job.state not in FINAL_STATES,
            truncated=bool(cursor),
            cursor=cursor or None,
            artifacts=(),
        )
        loop = asyncio.get_running_loop()
        self.answer_text(await loop.run_in_executor(self.service.file_threads, page_text, page, entries))


class ArtifactHandler(DownloadBase):
    """`GET jobs/{id}/artifacts/{path}`, with ranges."""

    async def get(self, prefix: str, path: str) -> None:
        """Send one file."""
        job = await self.job(prefix)
        try:
            descriptor, _ = await self.service.engine.open_artifact(self.attempt_of(job), path)
        except FileNotFoundError as error:
            raise NotFound(f"There is no file {path!r} among the artifacts of {job.id}.") from error
        await self.send_file(descriptor, path)

    async def head(self, prefix: str, path: str) -> None:
        """Tell size and type."""
        await self.get(prefix, path)


class ArtifactsZipHandler(DownloadBase):
    """`GET jobs/{id}/artifacts.zip`."""

    async def get(self, prefix: str) -> None:
        """Stream all files as one zip, not compressed, with bounded memory; what is left out is named in it."""
        job = await self.job(prefix)
        attempt = self.attempt_of(job)
        self.attachment(f"{job.name[:40]}-{job.id}-artifacts.zip")
        packing = Packing(ZipStream(), self.service.engine, attempt)
        loop = asyncio.get_running_loop()
        try:
            async for blocks in packing.parts():
                while (block := await loop.run_in_executor(self.service.file_threads, _next, blocks)) is not None:
                    self.write(block)
                    await self.taken()
        except StreamClosedError:
            return
        finally:
            packing.close()
        self.finish()


class FileHandler(DownloadBase):
    """`GET jobs/{id}/files/{path}`: the snapshot as submitted."""

    async def get(self, prefix: str, path: str) -> None:
        """Send one submitted file."""
        job = await self.job(prefix)
        missing = NotFound(f"There is no file {path!r} among what was submitted with {job.id}.")
        if not job.snapshot_digest or not job.snapshot_owner_id:
            raise missing
        loop = asyncio.get_running_loop()
        try:
            descriptor = await loop.run_in_executor(
                self.service.file_threads,
                self.service.contents.open_file,
                job.snapshot_owner_id,
                job.snapshot_digest,
                path,
            )
        except FileNotFoundError as error:
            raise missing from error
        await self.send_file(descriptor, path)


def _next(blocks: Iterator[bytes]) -> bytes | None:
    return next(blocks, None)
