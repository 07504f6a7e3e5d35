"""`jobs/{id}/metrics`: what the attempts of a job used."""

from __future__ import annotations

from .jobs import JobBase


class MetricsHandler(JobBase):
    """`GET jobs/{id}/metrics`."""

    async def get(self, prefix: str) -> None:
        """List the samples of the last attempt, oldest first."""
        job = await self.job(prefix)
        samples = self.service.samples.of(job.id)
        self.answer({"samples": [sample.model_dump(mode="json") for sample in samples]})
