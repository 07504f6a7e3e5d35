"""Which GPUs a container that is not Himalia's was given, read off what the Engine says of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from himalia_gpus.devices import CDI_KIND
from himalia_gpus.readings import GPU

VISIBLE = "NVIDIA_VISIBLE_DEVICES"
NONE = ("", "void", "none")
_NODE = re.compile(r"/dev/nvidia(\d+)")


def given_gpus(found: Mapping[str, Any], gpus: Sequence[GPU]) -> tuple[str, ...]:
    """Return the UUIDs of the GPUs and MIG devices that a container has, from `inspect`; all names of one mean the same.

    A privileged container may open every device: that alone says nothing, what it does with a GPU is seen there.
    """
    host = found.get("HostConfig") or {}
    names: set[str] = set()
    for request in host.get("DeviceRequests") or ():
        names |= _asked(request, len(gpus))
    if host.get("Runtime") == "nvidia":
        names |= set(_environment(found, VISIBLE).split(","))
    minors = {int(match[1]) for device in host.get("Devices") or () if (match := _node_of(device)) is not None}
    whole = [gpu for gpu in gpus if _is_named(gpu, names) or gpu.minor in minors]
    parts = [device for gpu in gpus if gpu not in whole for device in _named_devices(gpu, names)]
    return tuple(gpu.uuid for gpu in whole) + tuple(parts)


def _asked(request: Mapping[str, Any], count: int) -> set[str]:
    """Return the names in a device request: UUIDs, indices, or `all`."""
    ids = [str(name) for name in request.get("DeviceIDs") or ()]
    if request.get("Driver") == "cdi":
        prefix = f"{CDI_KIND}="
        return {name.removeprefix(prefix) for name in ids if name.startswith(prefix)}
    capabilities = {name for group in request.get("Capabilities") or () for name in group}
    if request.get("Driver") != "nvidia" and "gpu" not in capabilities:
        return set()
    wanted = int(request.get("Count") or 0)
    # The Engine gives the first ones of a count, to everybody.
    return set(ids) | ({"all"} if wanted < 0 else {str(index) for index in range(min(wanted, count))})


def _environment(found: Mapping[str, Any], name: str) -> str:
    lines: Iterable[str] = (found.get("Config") or {}).get("Env") or ()
    return next((line.partition("=")[2] for line in reversed(list(lines)) if line.startswith(f"{name}=")), "")


def _node_of(device: Mapping[str, Any]) -> re.Match[str] | None:
    return _NODE.fullmatch(str(device.get("PathOnHost") or ""))


def _is_named(gpu: GPU, names: set[str]) -> bool:
    names = names - set(NONE)
    return "all" in names or str(gpu.index) in names or any(name == gpu.uuid for name in names)


def _named_devices(gpu: GPU, names: set[str]) -> list[str]:
    """Return the MIG devices of a GPU that are named: by UUID, or as NVIDIA's hook counts them, `0:1`."""
    devices = enumerate(gpu.mig_devices)
    return [device.uuid for number, device in devices if names & {device.uuid, f"{gpu.index}:{number}"}]
