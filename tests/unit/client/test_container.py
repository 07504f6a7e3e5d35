"""What every container gets."""

from __future__ import annotations

from himalia.container import gpu_env


def test_a_container_without_gpus_asks_for_none_by_itself():
    assert gpu_env(()) == {"NVIDIA_VISIBLE_DEVICES": "void"}


def test_with_cdi_the_specification_says_all():
    assert gpu_env([{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-1"]}]) == {"NVIDIA_VISIBLE_DEVICES": "void"}


def test_with_the_hook_an_image_cannot_name_other_gpus_by_a_swarm_resource():
    request = {"Driver": "nvidia", "DeviceIDs": ["GPU-1", "GPU-2"], "Capabilities": [["gpu"]]}

    assert gpu_env([request])["DOCKER_RESOURCE_GPU"] == "GPU-1,GPU-2"
