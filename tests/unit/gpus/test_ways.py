"""Which way GPUs get into containers here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from himalia_gpus.devices import Way
from himalia_gpus.ways import SYSTEMD_TAKES_THEM_AWAY, find_way, read_cdi_devices

A = "GPU-aaaa0000-0000-0000-0000-000000000000"
B = "GPU-bbbb1111-0000-0000-0000-000000000000"
YAML = f"""---
cdiVersion: 0.5.0
containerEdits:
  env:
  - NVIDIA_VISIBLE_DEVICES=void
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
  name: "0"
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
  name: {A}
- name: {B}
- name: all
kind: nvidia.com/gpu
"""


def specification(*uuids: str, kind: str = "nvidia.com/gpu") -> str:
    devices = [{"name": name, "containerEdits": {}} for name in (*uuids, "all")]
    return json.dumps({"cdiVersion": "0.5.0", "kind": kind, "devices": devices})


def engine(*directories: Path, **more: Any) -> dict[str, Any]:
    """Return what an Engine with CDI says of itself."""
    return {"ServerVersion": "28.5.2", "CDISpecDirs": [str(path) for path in directories], "Runtimes": {}, **more}


def test_cdi_is_the_way_where_specifications_name_all_gpus(tmp_path: Path) -> None:
    (tmp_path / "nvidia.yaml").write_text(YAML)

    found = find_way(engine(tmp_path), [A, B], has_hook=lambda: True)

    assert (found.way, found.sentences) == (Way.CDI, ())


def test_an_engine_that_lists_its_devices_is_believed(tmp_path: Path) -> None:
    listed = [{"Source": "cdi", "ID": f"nvidia.com/gpu={name}"} for name in (A, "all")]

    assert find_way(engine(tmp_path, DiscoveredDevices=listed), [A], has_hook=lambda: False).way is Way.CDI
    assert find_way(engine(tmp_path, DiscoveredDevices=listed), [B], has_hook=lambda: False).way is Way.NONE


@pytest.mark.parametrize(
    ("info", "sentence"),
    [
        ({"ServerVersion": "20.10.24"}, "This Docker Engine (20.10.24) knows no CDI: 25.0 or newer does."),
        ({"CDISpecDirs": []}, 'Put {"features": {"cdi": true}} into /etc/docker/daemon.json'),
        ({"CDISpecDirs": None}, "CDI is switched off"),
        ({"CDISpecDirs": ["/nowhere/cdi"]}, f"{A} is named by no CDI specification in /nowhere/cdi. Run `nvidia-ctk"),
    ],
)
def test_what_keeps_cdi_from_working_is_told_and_the_hook_is_the_other_way(info: dict[str, Any], sentence: str) -> None:
    by_hook = find_way(info, [A], has_hook=lambda: True)
    by_runtime = find_way({**info, "Runtimes": {"nvidia": {}}}, [A], has_hook=lambda: False)
    nothing = find_way(info, [A], has_hook=lambda: False)

    assert by_hook.way is by_runtime.way is Way.NVIDIA
    assert nothing.way is Way.NONE
    assert all(sentence in found.sentences[0] for found in (by_hook, by_runtime, nothing))
    assert "Install the NVIDIA Container Toolkit" in nothing.sentences[0]


def test_the_hook_with_cgroups_by_systemd_carries_a_warning() -> None:
    found = find_way({"CgroupDriver": "systemd"}, [A], has_hook=lambda: True)

    assert SYSTEMD_TAKES_THEM_AWAY in found.sentences


def test_a_gpu_named_by_two_specifications_of_a_directory_is_told(tmp_path: Path) -> None:
    for name in ("nvidia.json", "copy.json"):
        (tmp_path / name).write_text(specification(A))

    found = find_way(engine(tmp_path), [A], has_hook=lambda: False)

    assert found.way is Way.NONE
    assert f"{A} is named by two CDI specifications, so the Engine knows neither." in found.sentences[0]


def test_of_two_directories_the_later_one_wins(tmp_path: Path) -> None:
    for name in ("etc", "run"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "nvidia.json").write_text(specification(A))

    assert find_way(engine(tmp_path / "etc", tmp_path / "run"), [A], has_hook=lambda: False).way is Way.CDI


def test_specifications_of_other_vendors_and_other_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "amd.json").write_text(specification(A, kind="amd.com/gpu"))
    (tmp_path / "slices.json").write_text(specification(A, kind="nvidia.com/gpu-other"))
    (tmp_path / "nvidia.json.bak").write_text(specification(A))
    (tmp_path / "broken.json").write_bytes(b"\xff\x00")

    assert read_cdi_devices([tmp_path, tmp_path / "missing"]).uuids == frozenset()


def test_without_real_gpus_nothing_is_needed_and_nothing_is_said() -> None:
    found = find_way({}, [], has_hook=lambda: False)

    assert (found.way, found.sentences) == (Way.NONE, ())
