"""Checks of the machine: the Engine, limits, images, versions, GPUs; each well, and each with what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from looked_at import told

from himalia.gpus import SlotHealth
from himalia.site import Site
from himalia_gpus.health import LIBRARY_NOT_FOUND, VERSION_MISMATCH, sentence
from himalia_gpus.readings import GPU, Reading
from himalia_jobs.doctor import checks, gpus, machine
from himalia_jobs.doctor.here import Here
from himalia_jobs.engines.errors import EngineError, NotSent

WELL = {"ServerVersion": "28.2.2", "MemoryLimit": True, "CpuCfsQuota": True, "PidsLimit": True, "CgroupVersion": "2"}
MACHINE = ["versions", "docker", "limits", "live-restore", "gpus", "gpu driver", "gpu toolkit"]
UUID = "GPU-00000000-0000-0000-0000-000000000001"


class ProbeOfAnEngine:
    """Answers as an Engine would."""

    def __init__(self, info: dict[str, Any] | None = None, images: tuple[str, ...] = ()) -> None:
        self._info = WELL | (info or {})
        self._images = images

    @property
    def info(self) -> dict[str, Any]:
        """What the Engine says of itself."""
        return self._info

    def has_image(self, reference: str) -> bool:
        """Tell whether it has an image."""
        return reference in self._images

    def gateway(self, installation: str, kind: str = "server") -> str:
        """There are no networks."""
        return ""


class ProbeWithoutAnEngine(ProbeOfAnEngine):
    """Gets no answer."""

    def __init__(self, below: Exception | None = None) -> None:
        super().__init__()
        self._below = below

    @property
    def info(self) -> dict[str, Any]:
        """Fail."""
        raise NotSent("no Docker Engine answers at unix:///var/run/docker.sock") from self._below

    def has_image(self, reference: str) -> bool:
        """Fail."""
        raise EngineError("no Docker Engine answers")


def here(probe: ProbeOfAnEngine | None = None, **settings: Any) -> Here:
    """Return an installation with these settings."""
    return Here(site=Site.model_validate(settings), probe=probe or ProbeOfAnEngine())  # type: ignore[arg-type]


def memlock(monkeypatch: pytest.MonkeyPatch, soft: int) -> None:
    """Let containers start with this much locked memory."""
    monkeypatch.setattr(machine, "ulimits", lambda: ({"Name": "memlock", "Soft": soft, "Hard": soft},))


def reading(*found: GPU, note: str = "") -> Reading:
    """Return what NVML says."""
    return Reading(at=datetime.now(UTC), gpus=found, driver_version="570.1", note=note)


def gpu(**changes: Any) -> GPU:
    """Return a GPU."""
    return GPU(**({"uuid": UUID, "index": 0, "model": "NVIDIA H200", "memory_bytes": 141 * 1024**3} | changes))


def test_an_engine_that_answers_is_well():
    assert machine.engine(here()).ok is True


def test_without_an_engine_it_is_said_how_to_start_one():
    ok, words = told(machine.engine(here(ProbeWithoutAnEngine())))

    assert ok is False
    assert "No Docker Engine answers" in words
    assert "systemctl start docker" in words


def test_who_may_not_open_the_socket_is_told_so():
    ok, words = told(machine.engine(here(ProbeWithoutAnEngine(PermissionError(13, "Permission denied")))))

    assert ok is False
    assert "may not open its socket" in words


@pytest.mark.parametrize(("version", "ok"), [("20.10.24+dfsg1", True), ("19.03.1", False), ("", False)])
def test_an_engine_may_not_be_too_old(version, ok):
    assert machine.engine(here(ProbeOfAnEngine({"ServerVersion": version}))).ok is ok


def test_limits_that_hold_are_well(monkeypatch):
    memlock(monkeypatch, -1)

    assert machine.limits(here()).ok is True


def test_a_kernel_that_does_not_limit_memory_is_a_fault(monkeypatch):
    memlock(monkeypatch, -1)

    ok, words = told(machine.limits(here(ProbeOfAnEngine({"MemoryLimit": False}))))

    assert ok is False
    assert "does not hold containers to memory" in words
    assert "cgroup_enable=memory" in words


def test_little_memory_that_may_be_locked_is_a_note(monkeypatch):
    memlock(monkeypatch, 8 * 1024**2)

    ok, words = told(machine.limits(here()))

    assert ok is None
    assert "8.0 MB" in words


def test_images_that_are_there_are_well():
    assert machine.images(here(ProbeOfAnEngine(images=("himalia/server:dev",)))).ok is True


def test_an_image_that_is_missing_is_named_also_when_only_a_profile_has_it():
    profiles = [{"name": "torch", "image": "torch:1"}]

    ok, words = told(machine.images(here(ProbeOfAnEngine(images=("himalia/server:dev",)), profiles=profiles)))

    assert ok is False
    assert "torch:1" in words
    assert "make images" in words


def test_the_libraries_of_this_environment_fit():
    assert machine.versions(here()).ok is True


@pytest.mark.parametrize(
    ("required", "said"),
    [
        ('jupyterhub==5.*; extra == "hub"', "and ==5.* is needed"),
        ('no-such-package>=1; extra == "jobs"', "no-such-package is not installed"),
        ("pydantic<1", "and <1 is needed"),
    ],
)
def test_a_library_that_does_not_fit_is_named(monkeypatch, required, said):
    monkeypatch.setattr(machine, "requires", lambda package: [required])

    ok, words = told(machine.versions(here()))

    assert ok is False
    assert said in words
    assert "pip install" in words


def test_libraries_of_other_parts_are_not_asked_for():
    assert machine.wrong_packages(['no-such-package; extra == "dev"']) == []


def test_an_old_python_is_told(monkeypatch):
    monkeypatch.setattr(machine, "OLDEST_PYTHON", (4, 0))

    assert machine.versions(here()).ok is False


def test_simulated_gpus_are_named_as_such():
    ok, words = told(gpus.gpus(here(gpus={"simulate": 4})))

    assert ok is True
    assert "4 × Simulated" in words


def test_gpus_by_cdi_are_well(monkeypatch):
    monkeypatch.setattr(gpus, "may_watch_files", lambda: True)
    info = {"CDISpecDirs": ["/etc/cdi"], "DiscoveredDevices": [{"ID": f"nvidia.com/gpu={UUID}"}]}

    ok, words = told(gpus.judge(here(ProbeOfAnEngine(info)), reading(gpu())))

    assert (ok, words.strip()) == (True, "1 × NVIDIA H200 (141 GB), driver 570.1, given by CDI")


def test_gpus_by_the_hook_are_a_note_with_what_is_better():
    ok, words = told(gpus.judge(here(ProbeOfAnEngine({"Runtimes": {"nvidia": {}}})), reading(gpu())))

    assert ok is None
    assert "not by CDI" in words


def test_gpus_that_no_container_can_get_are_a_fault(monkeypatch):
    monkeypatch.setattr("himalia_gpus.ways.shutil.which", lambda program: None)

    ok, words = told(gpus.judge(here(), reading(gpu())))

    assert ok is False
    assert "Install the NVIDIA Container Toolkit" in words


def test_a_gpu_that_is_not_well_is_named():
    ill = gpu(health=SlotHealth.SUSPECT, health_detail="Xid 79")

    ok, words = told(gpus.judge(here(), reading(ill)))

    assert ok is False
    assert "GPU 0: Xid 79" in words


def test_no_gpus_are_a_note_that_says_whose_profile_asks_for_one():
    profiles = [{"name": "big", "gpus": "1"}]

    ok, words = told(gpus.judge(here(profiles=profiles), reading(note="No driver was found.")))

    assert ok is None
    assert "No driver was found." in words
    assert "profile big" in words


def test_a_driver_that_is_there_and_does_not_answer_is_a_fault():
    broken = reading().suspected(sentence(VERSION_MISMATCH))

    ok, words = told(gpus.judge(here(), broken))

    assert ok is False
    assert "was upgraded, but the old one still runs" in words


def test_a_machine_without_a_driver_is_no_fault():
    ok, words = told(gpus.judge(here(), reading().suspected(sentence(LIBRARY_NOT_FOUND))))

    assert ok is None
    assert "No NVIDIA driver was found" in words


def test_a_machine_without_a_platform_is_checked_alone(tmp_path):
    names = [check.name for check in checks(None)]

    assert names == ["settings", *MACHINE]


def test_a_file_that_cannot_be_read_is_told_and_the_machine_is_checked(tmp_path):
    file = tmp_path / "himalia.toml"
    file.write_text("[platform]\nport = 'x'\n")

    found = checks(file)

    assert found[0].outcome().ok is False
    assert "platform.port" in found[0].outcome().message
    assert [check.name for check in found[1:]] == MACHINE


def test_what_needs_the_engine_is_left_open_without_it(monkeypatch, tmp_path):
    (tmp_path / "himalia.toml").touch()
    monkeypatch.setattr("himalia_jobs.doctor.listed._probe", ProbeWithoutAnEngine)

    found = {check.name: check.outcome for check in checks(tmp_path / "himalia.toml")}

    assert found["docker"]().ok is False
    for name in ("limits", "images"):
        outcome = found[name]()
        assert (outcome.ok, outcome.message) == (None, "not looked at: the Docker Engine does not answer")


def test_to_look_makes_nothing(monkeypatch, tmp_path):
    (tmp_path / "himalia.toml").touch()
    monkeypatch.setattr("himalia_jobs.doctor.listed._probe", ProbeOfAnEngine)

    for check in checks(tmp_path / "himalia.toml"):
        check.outcome()

    assert [file.name for file in tmp_path.iterdir()] == ["himalia.toml"]
