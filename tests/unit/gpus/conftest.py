"""Fixtures: pretended NVIDIA hardware, and a sampler that reads it.

nvml_library   the folder of a libnvidia-ml.so.1 made from tests/fakes/nvml
nvml           hardware of its own for a test: set it, and run unmodified programs on it
sampler        a sampler process on that hardware, which reads when it is asked
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from nvml_hardware import Hardware
from nvml_hardware import nvml as nvml
from nvml_hardware import nvml_library as nvml_library

from himalia_gpus.readings import Reading


class SamplerProcess:
    """A real sampler that reads when it is asked, or when its period is over."""

    def __init__(self, environment: dict[str, str], period_seconds: float) -> None:
        command = [sys.executable, "-m", "himalia_gpus.sampler", "--processes-every", "3600"]
        self.process = subprocess.Popen(
            [*command, "--period", str(period_seconds)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def line(self) -> Reading:
        """Return the next reading."""
        assert self.process.stdout is not None
        return Reading.model_validate_json(self.process.stdout.readline())

    def ask(self) -> Reading:
        """Ask for a reading and return it."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        return self.line()

    def end(self) -> int:
        """Close the sampler's stdin and return its exit code."""
        if self.process.poll() is None and self.process.stdin is not None:
            self.process.stdin.close()
        try:
            return self.process.wait(timeout=30)
        finally:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout):
                if stream is not None:
                    stream.close()


@pytest.fixture
def start_sampler(nvml: Hardware) -> Iterator[Callable[..., SamplerProcess]]:
    """Start samplers on the hardware; they end with the test."""
    started: list[SamplerProcess] = []

    def start(period_seconds: float = 3600) -> SamplerProcess:
        started.append(SamplerProcess(nvml.environment, period_seconds))
        return started[-1]

    yield start
    for sampler in started:
        sampler.end()
