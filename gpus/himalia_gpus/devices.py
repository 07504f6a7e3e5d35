"""How a container gets its GPUs: the device requests of the Docker API, by UUID.

CDI is the way where the Engine has it: the devices are part of the container's own specification. Otherwise NVIDIA's
hook adds them behind the Engine's back, and a change to the container's cgroup can take them away again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from himalia.errors import Unavailable
from himalia.gpus import Slot

CDI_KIND = "nvidia.com/gpu"
_UUID = re.compile(r"(GPU|MIG)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Way(StrEnum):
    """How GPUs get into containers."""

    CDI = "cdi"
    NVIDIA = "nvidia"
    NONE = "none"


def device_requests(slots: Iterable[Slot], way: Way) -> tuple[dict[str, Any], ...]:
    """Return the DeviceRequests of the Docker API for the slots; none where there are no real ones among them.

    A seat asks for its GPU, which other containers may have as well; a MIG device is asked for by its own UUID.
    """
    uuids = list(dict.fromkeys(_checked(slot) for slot in slots if not slot.simulated))
    if not uuids:
        return ()
    if way is Way.CDI:
        return ({"Driver": "cdi", "DeviceIDs": [f"{CDI_KIND}={uuid}" for uuid in uuids]},)
    if way is Way.NVIDIA:
        return ({"Driver": "nvidia", "DeviceIDs": uuids, "Capabilities": [["gpu"]]},)
    raise Unavailable("The Docker Engine cannot give GPUs to containers. Run `himalia doctor` to see what is missing.")


def _checked(slot: Slot) -> str:
    """Return the slot's UUID; refuse all else, for a CDI specification also has a device named `all`."""
    if _UUID.fullmatch(slot.device) is None:
        raise ValueError(f"slot {slot.uuid!r} of node {slot.node_id!r} is named by no UUID of the driver")
    return slot.device
