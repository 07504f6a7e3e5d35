"""Which GPUs NVLink joins, as the driver tells: pairs that reach each other by it, straight or through a switch."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pynvml

from . import health
from .asking import ask

LOST = (health.GPU_IS_LOST, health.RESET_REQUIRED, health.UNKNOWN, pynvml.NVML_ERROR_INVALID_ARGUMENT)
Handles = Mapping[str, Any]  #: by UUID
Peers = dict[str, tuple[str, ...]]


def peers_of(handles: Handles) -> Peers:
    """Return for each GPU those that NVLink joins it with; nothing for one that does not answer."""
    if len(handles) < 2:
        return {}
    joined: dict[str, set[str]] = {uuid: set() for uuid in handles}
    for one, other in combinations(handles, 2):
        status = _ask(pynvml.nvmlDeviceGetP2PStatus, handles[one], handles[other], pynvml.NVML_P2P_CAPS_INDEX_NVLINK)
        if status is None:  # an older driver, or a GPU that knows no such question
            return _by_links(handles)
        if status == pynvml.NVML_P2P_STATUS_OK:
            joined[one].add(other)
            joined[other].add(one)
    return {uuid: tuple(sorted(peers)) for uuid, peers in joined.items()}


def _by_links(handles: Handles) -> Peers:
    """Return the same from what each link ends at: another GPU, or a switch that joins all that end at it."""
    ends = {uuid: _ends(handle) for uuid, handle in handles.items()}
    places = {place: uuid for uuid, handle in handles.items() if (place := _place(handle))}
    joined: Peers = {}
    for uuid, own in ends.items():
        straight = {places[place] for place in own & places.keys()}
        switches = own - places.keys()
        through = {other for other, theirs in ends.items() if theirs & switches}
        joined[uuid] = tuple(sorted((straight | through) - {uuid}))
    return joined


def _ends(handle: Any) -> set[str]:
    """Return the bus addresses that a GPU's links end at."""
    found = set()
    for link in range(pynvml.NVML_NVLINK_MAX_LINKS):
        state = _ask(pynvml.nvmlDeviceGetNvLinkState, handle, link)
        if state is None:
            break
        remote = _ask(pynvml.nvmlDeviceGetNvLinkRemotePciInfo, handle, link) if state else None
        if remote is not None:
            found.add(_text(remote.busId))
    return found


def _place(handle: Any) -> str:
    info = _ask(pynvml.nvmlDeviceGetPciInfo, handle)
    return _text(info.busId) if info is not None else ""


def _text(bus_id: str | bytes) -> str:
    return (bus_id.decode() if isinstance(bus_id, bytes) else bus_id).lower()


def _ask(question: Any, *arguments: Any) -> Any:
    """Return the answer, or None where there is none, for whatever cause: what is joined is only a preference."""
    return ask(question, *arguments, no_answer=LOST)
