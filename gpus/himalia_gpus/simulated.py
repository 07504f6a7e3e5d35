"""What simulated GPUs pretend to do: a file that somebody may write says it, and it is told as a driver would."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .inventory import Inventory
from .readings import Reading, Sample

PERIOD_SECONDS = 1.0


class SimulatedWatch:
    """Keeps a reading of simulated GPUs; what the file says of their load comes with it.

    The file is JSON, by number or UUID: `{"0": {"busy_percent": 80, "memory_used_bytes": 1073741824}}`. Without it, or
    for a GPU that it does not name, there is no sample: what such a GPU does is not known.
    """

    def __init__(self, inventory: Inventory, load: Path) -> None:
        self._standing = inventory.read()
        self._load = load
        self._seen: tuple[int, int] | None = None
        self._news = asyncio.Event()
        self.latest: Reading | None = self._read()

    async def run(self) -> None:
        """Look at the file until cancelled."""
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            if self._changed():
                self.latest = self._read()
                self._news.set()
                self._news = asyncio.Event()

    async def after(self, reading: Reading | None) -> Reading:
        """Wait for something newer than `reading`; None waits for the first."""
        while self.latest is None or self.latest is reading:
            await self._news.wait()
        return self.latest

    def ask(self) -> None:
        """Do nothing: a change is seen by itself."""

    def _changed(self) -> bool:
        try:
            found = self._load.stat()
        except OSError:
            return self._seen is not None
        return (found.st_mtime_ns, found.st_size) != self._seen

    def _read(self) -> Reading:
        self._seen = None
        try:
            found = self._load.stat()
            self._seen = (found.st_mtime_ns, found.st_size)
            loads = json.loads(self._load.read_text())
        except (OSError, ValueError):
            loads = {}
        samples = (_sample(loads, gpu.uuid, gpu.index) for gpu in self._standing.gpus)
        return self._standing.model_copy(update={"samples": tuple(found for found in samples if found is not None)})


def _sample(loads: Any, uuid: str, index: int) -> Sample | None:
    load = loads.get(uuid, loads.get(str(index))) if isinstance(loads, dict) else None
    if not isinstance(load, dict):
        return None
    try:
        return Sample.model_validate(load | {"uuid": uuid, "processes": ()})
    except ValidationError:
        return None
