"""`jobs/{id}/packages`: what an attempt could import."""

from __future__ import annotations

from himalia.errors import NotFound
from himalia.ids import attempt_id

from .jobs import JobBase


class PackagesHandler(JobBase):
    """`GET jobs/{id}/packages?attempt=`."""

    async def get(self, prefix: str) -> None:
        """Send the Python packages of an attempt (the last one), as `pip freeze` writes them."""
        job = await self.job(prefix)
        number = self.integer("attempt", 0) or job.attempt_count
        found = None
        if 0 < number <= job.attempt_count:
            found = await self.service.engine.packages(attempt_id(job.id, number))
        if found is None:
            raise NotFound(f"The packages of {job.id} are not known: they are listed when an attempt starts.")
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(found)
