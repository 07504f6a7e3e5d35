"""`jobs/{id}/artifacts` and `jobs/{id}/files`: what a job left, and what was submitted. Always attachments: names and contents are a stranger's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from urllib.parse import quote

from tornado.httputil import _parse_request_range
from tornado.iostream import StreamClosedError

from himalia.errors import NotFound
from himalia.ids import attempt_id
from himalia.models import Artifact, ArtifactList
from himalia.states import FINAL_STATES

from ..store.records import JobRecord
from .jobs import JobBase
from .zipstream import ZipStream

BLOCK_BYTES = 1024 * 1024

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
        base = name.rsplit("/", 1)[-1] or "file"
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
            size = os.fstat(descriptor).st_size
            start, end = self._range(size)
            self.attachment(name)
            self.set_header("Content-Length", str(end - start))
            if self.request.method != "HEAD":
                await self._copy(descriptor, start, end)
        except StreamClosedError:
            return
        finally:
            os.close(descriptor)
        self.finish()

    def _range(self, size: int) -> tuple[int, int]:
        asked = self.request.headers.get("Range", "")
        parsed = _parse_request_range(asked) if asked and "," not in asked else None
        if parsed is None:
            return 0, size
        start, end = parsed
        if start is not None and start < 0:
            start = max(0, size + start)
        first, last = start or 0, size if end is None else min(end, size)
        if first >= size or first >= last:
            self.set_status(416)
            self.set_header("Content-Range", f"bytes */{size}")
            return 0, 0
        self.set_status(206)
        self.set_header("Content-Range", f"bytes {first}-{last - 1}/{size}")
        return first, last

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
            await self.flush()
            start += len(block)

    def attempt_of(self, job: JobRecord) -> str:
        """Return the attempt that is asked for; none: the last."""
        number = self.integer("attempt", 0) or job.attempt_count
        if not 0 < number <= job.attempt_count:
            raise NotFound(f"{job.id} has no attempt {number or 1} yet; its artifacts come with it.")
        return attempt_id(job.id, number)


class ArtifactsHandler(DownloadBase):
    """`GET jobs/{id}/artifacts`."""

    async def get(self, prefix: str) -> None:
        """List what is in /artifacts, live while the job runs."""
        job = await self.job(prefix)
        if job.attempt_count == 0:
            self.answer(ArtifactList(attempt="", live=job.state not in FINAL_STATES, artifacts=()))
            return
        attempt = self.attempt_of(job)
        limit = self.integer("limit", 10_000, least=1, most=200_000)
        entries, truncated = await self.service.engine.artifacts(attempt, limit)
        self.answer(
            ArtifactList(
                attempt=attempt,
                live=job.state not in FINAL_STATES,
                truncated=truncated,
                artifacts=tuple(
                    Artifact(
                        path=entry.path, type=entry.type, size_bytes=entry.size_bytes, modified_at=entry.modified_at
                    )
                    for entry in entries
                ),
            )
        )


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
        """Stream all files as one zip, not compressed, with bounded memory."""
        job = await self.job(prefix)
        attempt = self.attempt_of(job)
        entries, _ = await self.service.engine.artifacts(attempt, limit=1_000_000)
        self.attachment(f"{job.name[:40]}-{job.id}-artifacts.zip")
        loop, threads = asyncio.get_running_loop(), self.service.file_threads
        stream = ZipStream()
        try:
            for entry in entries:
                if entry.type != "file":
                    continue
                try:
                    descriptor, _ = await self.service.engine.open_artifact(attempt, entry.path)
                except FileNotFoundError:
                    continue  # it went away while the job runs
                blocks = stream.add(entry.path, entry.modified_at, descriptor)
                try:
                    while (block := await loop.run_in_executor(threads, _next, blocks)) is not None:
                        self.write(block)
                        await self.flush()
                finally:
                    os.close(descriptor)
            self.write(stream.close())
        except StreamClosedError:
            return
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
