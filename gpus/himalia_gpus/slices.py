"""The MIG devices that a GPU is cut into, as the driver lists them. Nothing here cuts or joins."""

from __future__ import annotations

import re
from typing import Any

import pynvml

from himalia.units import GiB

from .asking import ask
from .readings import MIGDevice

_PROFILE = re.compile(r"\bMIG ((?:[0-9]+c\.)?[0-9]+g\.[0-9]+gb\S*)", re.IGNORECASE)


def mig_devices(handle: Any) -> list[tuple[MIGDevice, Any]]:
    """Return the MIG devices of a GPU, each with its handle."""
    found = []
    for number in range(ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        device = ask(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number)
        if device is not None:
            found.append((_described(device), device))
    return found


def _described(device: Any) -> MIGDevice:
    memory = ask(pynvml.nvmlDeviceGetMemoryInfo, device)
    size = memory.total if memory else 0
    named = _PROFILE.search(str(ask(pynvml.nvmlDeviceGetName, device) or ""))
    return MIGDevice(
        uuid=pynvml.nvmlDeviceGetUUID(device),
        profile=named[1].lower() if named else _by_attributes(device, size),
        memory_bytes=size,
    )


def _by_attributes(device: Any, memory_bytes: int) -> str:
    """Return the profile of a MIG device whose name does not say it: `1g.18gb`, and `1c.2g.35gb` for a part of one."""
    attributes = ask(pynvml.nvmlDeviceGetAttributes, device)
    slices, compute = (attributes.gpuInstanceSliceCount, attributes.computeInstanceSliceCount) if attributes else (1, 1)
    part = f"{compute}c." if compute < slices else ""
    return f"{part}{slices}g.{max(1, round(memory_bytes / GiB))}gb"
