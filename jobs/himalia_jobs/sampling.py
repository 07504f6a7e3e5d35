"""CPU, memory and GPUs of running attempts, sampled; the last hour is kept in memory."""

from __future__ import annotations

from collections import deque

from himalia.models import SampleView

from .engines.base import Engine
from .engines.errors import EngineError

SAMPLE_SECONDS = 5.0
KEPT = 720  #: an hour
JOBS_KEPT = 500  #: ended jobs go first


class Samples:
    """What attempts used, by job."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._kept: dict[str, deque[SampleView]] = {}

    async def take(self) -> None:
        """Take one sample of all that run."""
        try:
            found = await self.engine.usage()
        except EngineError:
            return
        for usage in found:
            job_id = usage.attempt.partition(".")[0]
            samples = self._kept.pop(job_id, None) or deque(maxlen=KEPT)
            samples.append(
                SampleView(
                    at=usage.at,
                    cpu_percent=usage.cpu_percent,
                    memory_bytes=usage.memory_bytes,
                    gpu_percent=usage.gpu_percent,
                    gpu_memory_bytes=usage.gpu_memory_bytes,
                )
            )
            self._kept[job_id] = samples  # the order of the dictionary is that of the last sample
        while len(self._kept) > JOBS_KEPT:
            del self._kept[next(iter(self._kept))]

    def of(self, job_id: str) -> list[SampleView]:
        """Return a job's samples, oldest first."""
        return list(self._kept.get(job_id, ()))
