"""Which GPUs a container of others has, by everything that gives one."""

from __future__ import annotations

from typing import Any

import pytest

from himalia_gpus.readings import GPU, MIGDevice
from himalia_jobs.engines.given import given_gpus

A, B, C = "GPU-a", "GPU-b", "GPU-c"
GPUS = [
    GPU(uuid=uuid, index=index, model="H200", memory_bytes=1, minor=7 - index) for index, uuid in enumerate((A, B, C))
]


def requested(**request: Any) -> dict[str, Any]:
    return {"HostConfig": {"DeviceRequests": [request]}}


def by_runtime(*env: str, runtime: str = "nvidia") -> dict[str, Any]:
    return {"HostConfig": {"Runtime": runtime}, "Config": {"Env": list(env)}}


GPU_CAPABILITY = [["gpu"]]


@pytest.mark.parametrize(
    ("found", "given"),
    [
        (requested(Driver="nvidia", DeviceIDs=[B], Capabilities=GPU_CAPABILITY), (B,)),
        (requested(Driver="", DeviceIDs=["0", "2"], Capabilities=GPU_CAPABILITY), (A, C)),
        (requested(Driver="", Count=-1, Capabilities=GPU_CAPABILITY), (A, B, C)),
        (requested(Driver="", Count=2, Capabilities=[["gpu", "compute"]]), (A, B)),
        (requested(Driver="cdi", DeviceIDs=["nvidia.com/gpu=all"]), (A, B, C)),
        (requested(Driver="cdi", DeviceIDs=["nvidia.com/gpu=1", "vendor.com/net=2"]), (B,)),
        (requested(Driver="cdi", DeviceIDs=[f"nvidia.com/gpu={C}"]), (C,)),
        (requested(Driver="other", DeviceIDs=["0"], Capabilities=[["tpu"]]), ()),
        (by_runtime("NVIDIA_VISIBLE_DEVICES=all"), (A, B, C)),
        (by_runtime(f"NVIDIA_VISIBLE_DEVICES={A},{C}"), (A, C)),
        (by_runtime("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_VISIBLE_DEVICES=void"), ()),
        (by_runtime("NVIDIA_VISIBLE_DEVICES=none"), ()),
        (by_runtime("NVIDIA_VISIBLE_DEVICES=all", runtime="runc"), ()),
        (by_runtime(), ()),
        ({"HostConfig": {"Devices": [{"PathOnHost": "/dev/nvidia6"}, {"PathOnHost": "/dev/nvidiactl"}]}}, (B,)),
        ({"HostConfig": {"Privileged": True}}, ()),
        ({"HostConfig": {"DeviceRequests": None, "Devices": None}, "Config": {"Env": None}}, ()),
        ({}, ()),
    ],
)
def test_the_gpus_of_a_container_are_read_off_what_it_was_made_with(
    found: dict[str, Any], given: tuple[str, ...]
) -> None:
    assert given_gpus(found, GPUS) == given


CUT = GPU(
    uuid="GPU-m",
    index=3,
    model="H200",
    memory_bytes=4,
    minor=9,
    mig_enabled=True,
    mig_devices=tuple(MIGDevice(uuid=f"MIG-{n}", profile="1g.18gb", memory_bytes=1) for n in range(2)),
)


@pytest.mark.parametrize(
    ("found", "given"),
    [
        (requested(Driver="cdi", DeviceIDs=["nvidia.com/gpu=MIG-1"]), ("MIG-1",)),
        (requested(Driver="nvidia", DeviceIDs=["MIG-0"], Capabilities=GPU_CAPABILITY), ("MIG-0",)),
        (by_runtime("NVIDIA_VISIBLE_DEVICES=3:1"), ("MIG-1",)),
        (by_runtime("NVIDIA_VISIBLE_DEVICES=3"), ("GPU-m",)),
        (by_runtime("NVIDIA_VISIBLE_DEVICES=MIG-7"), ()),
    ],
)
def test_a_mig_device_is_known_by_each_of_its_names(found: dict[str, Any], given: tuple[str, ...]) -> None:
    assert given_gpus(found, [*GPUS, CUT]) == given
