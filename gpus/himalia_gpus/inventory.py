"""Which GPUs this machine has: the real ones, or simulated ones for a machine without."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from himalia.site import Gpus

from .readings import GPU, Reading

#: `-P` keeps the working directory out of the module path: nothing that lies about there is run.
SAMPLER = (sys.executable, "-P", "-m", "himalia_gpus.sampler")
_NAMESPACE = uuid.UUID("6f0d4a2e-52f0-5b3c-9a37-0c8e4f1b7d21")


class Inventory(Protocol):
    """Tells which GPUs there are. It never raises: a reading without GPUs says why in its note."""

    def read(self) -> Reading:
        """Return what is there now; may take seconds."""


class SimulatedInventory:
    """GPUs that are not there: leased and queued like real ones, the same ones after every start."""

    def __init__(self, *, count: int, model: str, memory_bytes: int, installation: str) -> None:
        self._gpus = tuple(
            GPU(
                uuid=simulated_uuid(installation, index),
                index=index,
                model=model,
                memory_bytes=memory_bytes,
                simulated=True,
            )
            for index in range(count)
        )

    def read(self) -> Reading:
        """Return the simulated GPUs."""
        note = "The GPUs are simulated: they are leased and queued, but there is none in a container."
        return Reading(at=datetime.now(UTC), gpus=self._gpus, note=note)


class ProbedInventory:
    """The real GPUs, read once by a process of its own, so that a driver that hangs holds up nobody else."""

    def __init__(self, *, timeout_seconds: float = 30.0, command: Sequence[str] = (*SAMPLER, "--once")) -> None:
        self._timeout_seconds = timeout_seconds
        self._command = command

    def read(self) -> Reading:
        """Return what is there now."""
        process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            answer, _ = process.communicate(timeout=self._timeout_seconds)
            return Reading.model_validate_json(answer)
        except subprocess.TimeoutExpired:
            return _nothing(f"The NVIDIA driver did not answer within {self._timeout_seconds:g} s. Look at `dmesg`.")
        except ValueError:
            code = process.returncode
            return _nothing(f"The GPUs could not be read: the sampler ended with code {code}. Its own error says why.")
        finally:
            _end(process)


def inventory_for(settings: Gpus, installation: str) -> Inventory:
    """Return the inventory that `[gpus]` asks for; where GPUs are simulated, real ones are not looked for."""
    if not settings.simulate:
        return ProbedInventory()
    return SimulatedInventory(
        count=settings.simulate, model=settings.model, memory_bytes=settings.memory, installation=installation
    )


def simulated_uuid(installation: str, index: int) -> str:
    """Return the UUID of a simulated GPU: of the form of real ones, and the same for ever."""
    return f"GPU-{uuid.uuid5(_NAMESPACE, f'{installation}/{index}')}"


def _nothing(note: str) -> Reading:
    return Reading(at=datetime.now(UTC)).suspected(note)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that has not ended; one that is stuck inside the driver cannot be, and is left to it."""
    if process.poll() is None:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
    if process.stdout is not None:
        process.stdout.close()
