"""How a container gets its GPUs."""

from __future__ import annotations

from typing import Any

import pytest

from himalia.errors import Unavailable
from himalia.gpus import Slot
from himalia_gpus.devices import Way, device_requests

A = "GPU-aaaa0000-0000-0000-0000-000000000000"
B = "GPU-bbbb1111-0000-0000-0000-000000000000"


def slot(uuid: str, *, simulated: bool = False) -> Slot:
    return Slot(uuid=uuid, index=0, model="NVIDIA H200", memory_bytes=2**37, simulated=simulated)


@pytest.mark.parametrize(
    ("way", "request_"),
    [
        (Way.CDI, {"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={A}", f"nvidia.com/gpu={B}"]}),
        (Way.NVIDIA, {"Driver": "nvidia", "DeviceIDs": [A, B], "Capabilities": [["gpu"]]}),
    ],
)
def test_gpus_are_asked_for_by_uuid(way: Way, request_: dict[str, Any]) -> None:
    assert device_requests([slot(A), slot(B)], way) == (request_,)


def test_a_seat_asks_for_its_gpu_and_a_slice_for_itself() -> None:
    part = "MIG-cccc2222-0000-0000-0000-000000000000"

    assert device_requests([slot(f"{A}#2"), slot(part)], Way.CDI) == (
        {"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={A}", f"nvidia.com/gpu={part}"]},
    )
    assert device_requests([slot(f"{A}#2")], Way.NVIDIA)[0]["DeviceIDs"] == [A]


@pytest.mark.parametrize("way", list(Way))
def test_no_slot_and_a_simulated_slot_ask_for_no_device(way: Way) -> None:
    assert device_requests([], way) == ()
    assert device_requests([slot(A, simulated=True)], way) == ()


def test_a_gpu_without_a_way_is_told_and_not_left_out() -> None:
    with pytest.raises(Unavailable, match="himalia doctor"):
        device_requests([slot(A)], Way.NONE)


@pytest.mark.parametrize("name", ["all", "0", "none", "", f"{A},{B}", f"{A}\n", "GPU-all", A.upper(), "all#1"])
def test_nothing_but_a_uuid_of_the_driver_reaches_the_engine(name: str) -> None:
    with pytest.raises(ValueError, match="no UUID"):
        device_requests([slot(name)], Way.CDI)
