"""Keeps one sampler process running, and holds what it last said."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from himalia.site import Gpus

from .inventory import SAMPLER, Inventory, inventory_for
from .readings import GPU, Reading
from .sampler import NEW_PROCESS
from .simulated import SimulatedWatch

log = logging.getLogger(__name__)

LONGEST_LINE = 2**24  #: bytes; a thousand processes on each of sixteen GPUs
STUCK = (
    "The GPU driver does not let go of the sampler: it hangs inside the driver. "
    "Look at `dmesg`; the machine will have to be restarted."
)


class Watch(Protocol):
    """Keeps what is known of the GPUs of this machine; nobody who asks it speaks to the driver."""

    latest: Reading | None

    async def run(self) -> None:
        """Watch until cancelled."""

    async def after(self, reading: Reading | None) -> Reading:
        """Wait for something newer than `reading`; None waits for the first."""

    def ask(self) -> None:
        """Ask for a reading at once, with processes; it comes like all others."""


class StandingWatch:
    """Keeps one reading that never changes: of simulated GPUs."""

    def __init__(self, inventory: Inventory) -> None:
        self.latest: Reading | None = inventory.read()

    async def run(self) -> None:
        """Do nothing until cancelled."""
        await asyncio.Event().wait()

    async def after(self, reading: Reading | None) -> Reading:
        """Return the reading; there is never a newer one."""
        if reading is self.latest or self.latest is None:
            await asyncio.Event().wait()
        assert self.latest is not None
        return self.latest

    def ask(self) -> None:
        """Do nothing: nothing ever changes."""


def watch_for(settings: Gpus, installation: str, load: Path | None = None) -> Watch:
    """Return the watch that `[gpus]` asks for; where GPUs are simulated, real ones are not looked for.

    `load` is the file that says what simulated ones do.
    """
    if not settings.simulate:
        return Sampler()
    inventory = inventory_for(settings, installation)
    return StandingWatch(inventory) if load is None else SimulatedWatch(inventory, load)


class Sampler:
    """Start the sampler, read its lines, and start it anew when it ends or falls silent.

    `await run()` in a task of its own. `latest` is what is known now; while the sampler is silent its GPUs are suspect.
    """

    def __init__(
        self,
        *,
        period_seconds: float = 2.0,
        processes_every_seconds: float = 10.0,
        silence_seconds: float = 5.0,
        start_seconds: float = 30.0,
        rest_seconds: float = 5.0,
        command: Sequence[str] = SAMPLER,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        times = ("--period", str(period_seconds), "--processes-every", str(processes_every_seconds))
        self.latest: Reading | None = None
        self._command = (*command, *times)
        self._environment = environment
        self._silence_seconds = max(silence_seconds, 2 * period_seconds)
        # Without nvidia-persistenced a driver takes seconds for each GPU to wake up.
        self._start_seconds = start_seconds
        self._rest_seconds = rest_seconds
        self._process: Process | None = None
        self._known: dict[str, GPU] = {}
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Keep the sampler running until cancelled."""
        while True:
            why = await self._one_life()
            log.warning("%s A new sampler starts in %g s.", why, self._rest_seconds)
            await asyncio.sleep(self._rest_seconds)

    async def after(self, reading: Reading | None) -> Reading:
        """Wait for something newer than `reading`; None waits for the first."""
        while self.latest is None or self.latest is reading:
            await self._news.wait()
        return self.latest

    def ask(self) -> None:
        """Ask for a reading at once, with processes; it comes like all others."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(b"\n")

    async def _one_life(self) -> str:
        """Follow one sampler from its start to its end; return how it ended."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=PIPE,
                stdout=PIPE,
                env=self._environment,
                limit=LONGEST_LINE,
                start_new_session=True,  # a Ctrl-C in the operator's terminal is for the service alone
            )
        except OSError as error:
            return self._lost(f"The GPU sampler could not be started: {error}.")
        self._process = process
        try:
            why = self._lost(await self._follow(process))
            await self._bury(process)
            return why
        except asyncio.CancelledError:
            _kill(process)
            # One that is stuck inside the driver must not hold up the end of the service.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await process.wait()
            raise
        finally:
            self._process = None

    async def _follow(self, process: Process) -> str:
        assert process.stdout is not None
        limit = self._start_seconds
        while True:
            try:
                # Not wait_for: before Python 3.12 it loses a cancellation that comes together with a line.
                async with asyncio.timeout(limit):
                    line = await process.stdout.readline()
                if not line:
                    return await self._why_it_ended(process)
                self._tell(Reading.model_validate_json(line))
            except TimeoutError:
                return f"The GPU driver has not answered for {limit:g} s."
            except ValueError as error:
                return f"The GPU sampler said something that cannot be read: {str(error).splitlines()[0]}."
            limit = self._silence_seconds

    async def _why_it_ended(self, process: Process) -> str:
        """Return why a sampler closed its output: one that makes room for another has said why itself."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._silence_seconds):
                await process.wait()
        if process.returncode != NEW_PROCESS or self.latest is None:
            return "The GPU sampler ended."
        return self.latest.note or "The NVIDIA driver's library was replaced."

    async def _bury(self, process: Process) -> None:
        """Wait until a sampler is gone: a second one would hang in the driver beside it."""
        _kill(process)
        try:
            async with asyncio.timeout(self._silence_seconds):
                await process.wait()
        except TimeoutError:
            log.error(STUCK)
            self._lost(STUCK)
            await process.wait()

    def _lost(self, why: str) -> str:
        """Say that nothing is known for now."""
        self._tell((self.latest or Reading(at=datetime.now(UTC))).suspected(why))
        return why

    def _tell(self, reading: Reading) -> None:
        # A fresh process knows nothing of the GPUs that an earlier one saw.
        self.latest = reading.knowing(self._known.values())
        self._known |= {gpu.uuid: gpu for gpu in reading.gpus}
        news, self._news = self._news, asyncio.Event()
        news.set()


def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
