"""`jobs/{id}/files` and `jobs/{id}/diff`: the files of a job as they were submitted, and what they had over their commit."""

from __future__ import annotations

import asyncio

from himalia.errors import NotFound

from ..store import diffs
from .jobs import JobBase


class FilesHandler(JobBase):
    """`GET jobs/{id}/files`."""

    async def get(self, prefix: str) -> None:
        """Send the manifest of the snapshot."""
        job = await self.job(prefix)
        if not job.snapshot_digest or not job.snapshot_owner_id:
            raise NotFound(f"{job.id} was submitted without files.")
        manifest = await asyncio.get_running_loop().run_in_executor(
            self.service.file_threads, self.service.contents.manifest, job.snapshot_owner_id, job.snapshot_digest
        )
        self.answer(manifest)


class DiffHandler(JobBase):
    """`GET jobs/{id}/diff`."""

    async def get(self, prefix: str) -> None:
        """Send what the files had over their commit, as `git diff --binary` writes it."""
        job = await self.job(prefix)
        digest = job.diff_digest
        found = await self.service.db.read(lambda db: diffs.read(db, job.owner_id, digest)) if digest else None
        if found is None:
            raise NotFound(f"No difference is recorded with {job.id}: `himalia show {job.id}` says what is known.")
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Disposition", f'attachment; filename="{job.id}.diff"')
        self.finish(found)
