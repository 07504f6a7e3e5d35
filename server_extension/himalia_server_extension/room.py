"""What the handlers share: settings, trees, threads, and the way to the job service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from himalia.errors import Unavailable
from himalia.ids import new_id
from himalia.models import JobRequest, JobView

from .directories import Directory, Roots, find_directory
from .packing import preview, submit
from .settings import Settings
from .submissions import Report, Submissions


class Room:
    """The extension's state in one server; walking and packing never happen on the event loop."""

    def __init__(self, *, settings: Settings, roots: Roots) -> None:
        self.settings = settings
        self.roots = roots
        self.submissions = Submissions(settings.submit_threads)
        self.http = httpx.AsyncClient(trust_env=False)
        self._scans = ThreadPoolExecutor(settings.scan_threads, thread_name_prefix="himalia-scan")

    @property
    def api_url(self) -> str:
        """The job service as this server reaches it; raise Unavailable where none is set up."""
        if not self.settings.api_url:
            raise Unavailable("No job service is set up for this server. Ask an administrator to set HIMALIA_API_URL.")
        return self.settings.api_url

    async def find(self, contents_path: str) -> Directory:
        """Return the directory that a contents path names, if it may be submitted."""
        return await asyncio.get_running_loop().run_in_executor(self._scans, find_directory, contents_path, self.roots)

    async def preview(self, directory: Directory) -> Mapping[str, Any]:
        """Return what would be sent of a directory."""
        return await asyncio.get_running_loop().run_in_executor(self._scans, preview, directory)

    async def submit(self, user: str, contents_path: str, job: JobRequest, token: str) -> JobView:
        """Pack and submit the directory of a contents path; return the job."""
        url = self.api_url
        keyed = job if job.idempotency_key else job.model_copy(update={"idempotency_key": new_id()})
        key = (user, str(keyed.idempotency_key))

        def work(report: Report) -> JobView:
            return submit(find_directory(contents_path, self.roots), keyed, url, token, report)

        # Known from here on, so that nobody who asks how far it is asks too early.
        return await self.submissions.submit(key, work)

    async def close(self) -> None:
        """Take no more work."""
        await self.http.aclose()
        self._scans.shutdown(wait=False, cancel_futures=True)
        self.submissions.close()
