"""Checks of NVIDIA's software: each well, and each with what to do; the programs are stand-ins that print what real ones do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from looked_at import told

from himalia.doctor import Outcome
from himalia.site import Site
from himalia_gpus.devices import Way
from himalia_gpus.readings import GPU, Reading
from himalia_gpus.toolkit import toolkit_version, weaknesses_of
from himalia_jobs.doctor import gpus, machine, nvidia
from himalia_jobs.doctor.here import Here

UUID = "GPU-00000000-0000-0000-0000-000000000001"
PROPRIETARY = """NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23 10:11:16 UTC 2025
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)
"""
OPEN = """NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder@U22-I3-B17-02-5)
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)
"""
TOOLKIT = "NVIDIA Container Toolkit CLI version {}\ncommit: 9b69590c7428470a72f2ae05f826412976af1395\n"
BY_HOOK: dict[str, Any] = {"ServerVersion": "20.10.24+dfsg1", "Runtimes": {"nvidia": {}}}


class ProbeThatSays:
    """An Engine that says this of itself."""

    def __init__(self, info: dict[str, Any]) -> None:
        self.info = info


class MachineWithGPUs:
    """A machine with NVIDIA's software, as far as doctor looks at it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.driver = folder / "version"
        self.settings = folder / "config.toml"
        self.specifications = folder / "cdi"
        self.specifications.mkdir()
        (folder / "bin").mkdir()
        monkeypatch.setenv("PATH", f"{folder}/bin:/usr/bin:/bin")
        monkeypatch.setattr(nvidia, "DRIVER", self.driver)
        monkeypatch.setattr(nvidia, "TOOLKIT_SETTINGS", self.settings)
        monkeypatch.setattr(gpus, "may_watch_files", lambda: True)
        self.driver.write_text(OPEN)
        self.says("nvidia-ctk", TOOLKIT.format("1.19.1"))
        self.says("nvidia-smi", "0, Enabled\n")

    def says(self, program: str, text: str, code: int = 0) -> None:
        """Let a program print this."""
        file = self.folder / "bin" / program
        file.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\nexit {code}\n")
        file.chmod(0o755)

    def specification(self, name: str, *uuids: str, driver: str = "580.95.05") -> None:
        """Write a CDI specification as nvidia-ctk does, in short."""
        path = f"/usr/lib/x86_64-linux-gnu/libcuda.so.{driver}"
        devices = [{"name": uuid, "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0"}]}} for uuid in uuids]
        edits = {"mounts": [{"hostPath": path, "containerPath": path}]}
        whole = {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": devices, "containerEdits": edits}
        (self.specifications / f"{name}.json").write_text(json.dumps(whole))

    @property
    def by_cdi(self) -> dict[str, Any]:
        """What an Engine says that reads these specifications."""
        return {"ServerVersion": "28.5.2", "CDISpecDirs": [str(self.specifications)], "Runtimes": {}}

    def here(self, info: dict[str, Any], *found: GPU, driver: str = "580.95.05") -> Here:
        """Return an installation on the machine."""
        one = GPU(uuid=UUID, index=0, model="NVIDIA H200", memory_bytes=141 * 1024**3)
        here = Here(site=Site(), probe=ProbeThatSays(info))  # type: ignore[arg-type]
        here.__dict__["reading"] = Reading(at=datetime.now(UTC), gpus=found or (one,), driver_version=driver)
        return here


@pytest.fixture
def box(tmp_path, monkeypatch):
    """A machine with a GPU on which all is as it should be."""
    return MachineWithGPUs(tmp_path, monkeypatch)


def test_a_machine_without_real_gpus_is_asked_for_nothing(box):
    simulated = GPU(uuid=UUID, index=0, model="Simulated", memory_bytes=1, simulated=True)

    for check in (nvidia.driver, nvidia.toolkit):
        assert check(box.here(BY_HOOK, simulated)) == nvidia.NO_GPU


@pytest.mark.parametrize("said", [PROPRIETARY, OPEN])
def test_a_driver_of_one_version_that_stays_loaded_is_well(box, said):
    box.driver.write_text(said)

    assert nvidia.driver(box.here(BY_HOOK)) == Outcome(ok=True, message="driver 580.95.05. persistence mode on")


def test_a_driver_that_was_upgraded_under_its_programs_is_a_fault(box):
    ok, words = told(nvidia.driver(box.here(BY_HOOK, driver="580.105.08")))

    assert ok is False
    assert "The kernel runs driver 580.95.05, its library is 580.105.08" in words
    assert "Restart the machine" in words


def test_persistence_mode_that_is_off_is_a_note_with_what_to_do(box):
    box.says("nvidia-smi", "0, Enabled\n1, Disabled\n")

    ok, words = told(nvidia.driver(box.here(BY_HOOK)))

    assert ok is None
    assert "off for GPU 1" in words
    assert "nvidia-persistenced" in words


def test_an_nvidia_smi_that_fails_leaves_persistence_open(box):
    box.says("nvidia-smi", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", code=9)

    ok, words = told(nvidia.driver(box.here(BY_HOOK)))

    assert ok is None
    assert "not told by `nvidia-smi`" in words


def test_a_toolkit_without_a_known_weakness_is_well(box):
    ok, words = told(nvidia.toolkit(box.here(BY_HOOK)))

    assert (ok, words.strip()) == (True, "NVIDIA Container Toolkit 1.19.1, without a known weakness")


def test_a_toolkit_with_weaknesses_is_a_fault_that_names_them_and_the_version_without(box):
    box.says("nvidia-ctk", TOOLKIT.format("1.17.4"))

    ok, words = told(nvidia.toolkit(box.here(BY_HOOK)))

    assert ok is False
    assert "CVE-2025-23266, CVE-2025-23267, CVE-2026-24260" in words
    assert "CVE-2024-0132" not in words
    assert "Install 1.19.1 or newer" in words


def test_a_toolkit_that_is_not_there_is_a_note(box):
    (box.folder / "bin" / "nvidia-ctk").unlink()

    ok, words = told(nvidia.toolkit(box.here(BY_HOOK)))

    assert ok is None
    assert "`nvidia-ctk` is not there" in words


@pytest.mark.parametrize(
    ("version", "way", "first"),
    [
        ((1, 16, 1), Way.NVIDIA, "CVE-2024-0132"),
        ((1, 16, 1), Way.CDI, "CVE-2024-0134"),
        ((1, 17, 2), Way.NVIDIA, "CVE-2024-0135"),
        ((1, 17, 7), Way.NVIDIA, "CVE-2025-23266"),
        ((1, 17, 7), Way.CDI, "CVE-2025-23267"),
        ((1, 19, 0), Way.CDI, "CVE-2026-24260"),
    ],
)
def test_weaknesses_depend_on_version_and_way(version, way, first):
    assert weaknesses_of(version, way)[0] == first


@pytest.mark.parametrize(
    ("said", "version"),
    [
        (TOOLKIT.format("1.17.8"), (1, 17, 8)),
        ("NVIDIA Container Toolkit CLI version 1.18.0-rc.2\ncommit: 1\n", (1, 18, 0)),
        ("nvidia-ctk: command not found", None),
        ("", None),
    ],
)
def test_the_toolkits_version_is_read_off_what_it_says(said, version):
    assert toolkit_version(said) == version


def test_settings_that_take_the_gpus_from_containers_by_the_hook_are_a_fault(box):
    box.settings.write_text(
        'accept-nvidia-visible-devices-envvar-when-unprivileged = false\n[nvidia-container-cli]\nldconfig = "@/sbin/ldconfig"\n'
    )

    ok, words = told(nvidia.toolkit(box.here(BY_HOOK)))

    assert ok is False
    assert "without their GPU, and without an error" in words


def test_a_swarm_resource_of_another_name_than_we_set_is_a_fault_with_the_hook(box):
    box.settings.write_text('swarm-resource = "DOCKER_RESOURCE_NVIDIA"\n')

    assert nvidia.toolkit(box.here(BY_HOOK)).ok is False
    box.settings.write_text('swarm-resource = "DOCKER_RESOURCE_GPU"\n')
    assert nvidia.toolkit(box.here(BY_HOOK)).ok is True


def test_settings_of_the_hook_mean_nothing_where_gpus_come_by_cdi(box):
    box.settings.write_text("accept-nvidia-visible-devices-envvar-when-unprivileged = false\n")
    box.specification("nvidia", UUID)

    assert nvidia.toolkit(box.here(box.by_cdi)).ok is True


def test_a_specification_of_all_gpus_for_this_driver_is_well(box):
    box.specification("nvidia", UUID)

    ok, words = told(gpus.gpus(box.here(box.by_cdi)))

    assert (ok, words.strip()) == (True, "1 × NVIDIA H200 (141 GB), driver 580.95.05, given by CDI")


def test_a_specification_for_another_driver_is_a_fault(box):
    box.specification("nvidia", UUID, driver="570.86.15")

    ok, words = told(gpus.gpus(box.here(box.by_cdi)))

    assert ok is False
    assert "was written for driver 570.86.15, and this is 580.95.05" in words
    assert "nvidia-ctk cdi generate" in words


def test_a_gpu_that_no_specification_names_is_a_fault(box):
    box.specification("nvidia", "GPU-00000000-0000-0000-0000-00000000000f")

    ok, words = told(gpus.gpus(box.here(box.by_cdi)))

    assert ok is False
    assert f"{UUID} is named by no CDI specification" in words


def test_a_gpu_in_two_specifications_is_a_fault(box):
    box.specification("nvidia", UUID)
    box.specification("by-hand", UUID)

    ok, words = told(gpus.gpus(box.here(box.by_cdi)))

    assert ok is False
    assert "by two CDI specifications" in words
    assert "Keep one file" in words


def test_the_hook_with_cgroups_by_systemd_is_told(box):
    ok, words = told(gpus.gpus(box.here(BY_HOOK | {"CgroupDriver": "systemd"})))

    assert ok is None
    assert "`systemctl daemon-reload` takes the GPUs away" in words


def test_an_engine_that_could_not_watch_its_specifications_is_a_fault(box, monkeypatch):
    monkeypatch.setattr(gpus, "may_watch_files", lambda: False)
    box.specification("nvidia", UUID)

    ok, words = told(gpus.gpus(box.here(box.by_cdi)))

    assert ok is False
    assert "fs.inotify.max_user_instances" in words


def test_live_restore_is_well_and_its_lack_a_note_that_says_what_follows(box):
    assert machine.live_restore(box.here({"LiveRestoreEnabled": True})).ok is True

    ok, words = told(machine.live_restore(box.here({"LiveRestoreEnabled": False})))

    assert ok is None
    assert "ends all servers and jobs" in words
    assert "daemon.json" in words
