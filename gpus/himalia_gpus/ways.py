"""Finds out which way GPUs get into containers on this machine, and says in words what is missing."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .devices import CDI_KIND, Way

HOOKS = ("nvidia-container-runtime-hook", "nvidia-container-toolkit")
GENERATE = "Run `nvidia-ctk cdi generate --device-name-strategy=uuid --output=/etc/cdi/nvidia.yaml`."
SWITCH_ON = 'Put {"features": {"cdi": true}} into /etc/docker/daemon.json and restart the Docker Engine.'
INSTALL = "Install the NVIDIA Container Toolkit (1.19.1 or newer), then restart the Docker Engine."
SYSTEMD_TAKES_THEM_AWAY = (
    "With NVIDIA's hook and cgroups by systemd, a `systemctl daemon-reload` takes the GPUs away from containers "
    "that run. Use CDI, or the cgroupfs driver."
)

# Specifications are JSON or YAML; both say it like this, and nothing more is needed of them.
_KIND = re.compile(rf"""\bkind["']?\s*:\s*["']?{re.escape(CDI_KIND)}(?![\w/.-])""")
_NAME = re.compile(r"""\bname["']?\s*:\s*["']?((?:GPU|MIG)-[0-9a-f-]{36})(?![\w-])""")
#: The libraries that belong to one version of the driver have it in their names, all with the same one.
_LIBRARY = re.compile(r"/lib(?:cuda|nvidia-ml)\.so\.(\d{2,}\.\d+(?:\.\d+)?)")


@dataclass(frozen=True, kw_only=True)
class FoundWay:
    """The way that works, and the words for the operator: empty where all is as it should be."""

    way: Way
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CDIDevices:
    """The GPUs that CDI specifications name."""

    uuids: frozenset[str]
    doubled: frozenset[str] = frozenset()  #: named twice, so that the Engine knows neither


def hook_found() -> bool:
    """Tell whether NVIDIA's hook is on the path, where the Docker Engine looks for it."""
    return any(shutil.which(hook) for hook in HOOKS)


def find_way(info: Mapping[str, Any], uuids: Iterable[str], *, has_hook: Callable[[], bool] = hook_found) -> FoundWay:
    """Return the way for these real GPUs, from what the Engine says of itself (`GET /info`)."""
    wanted = sorted(uuids)
    if not wanted:
        return FoundWay(way=Way.NONE)
    problem = _why_not_cdi(info, wanted)
    if not problem:
        return FoundWay(way=Way.CDI)
    if has_hook() or "nvidia" in (info.get("Runtimes") or {}):
        warnings = (SYSTEMD_TAKES_THEM_AWAY,) if info.get("CgroupDriver") == "systemd" else ()
        return FoundWay(way=Way.NVIDIA, sentences=(f"GPUs come by NVIDIA's hook, not by CDI. {problem}", *warnings))
    return FoundWay(way=Way.NONE, sentences=(f"Containers cannot get GPUs. {problem} {INSTALL}",))


def read_cdi_devices(directories: Sequence[Path]) -> CDIDevices:
    """Return the GPUs that the CDI specifications in these directories name."""
    known: set[str] = set()
    doubled: set[str] = set()
    for directory in directories:
        named: Counter[str] = Counter()
        for text in _specifications(directory):
            named.update(set(_NAME.findall(text)))
        known |= set(named)
        # Of two directories the later one wins; in one directory there is no winner, and the device vanishes.
        doubled |= {uuid for uuid, files in named.items() if files > 1}
    return CDIDevices(uuids=frozenset(known - doubled), doubled=frozenset(doubled))


def written_for(directories: Sequence[Path]) -> set[str]:
    """Return the versions of the driver whose libraries the CDI specifications in these directories mount."""
    return {version for folder in directories for text in _specifications(folder) for version in _LIBRARY.findall(text)}


def _specifications(directory: Path) -> list[str]:
    """Return the text of the specifications of GPUs in a directory, in the order of their names."""
    files = sorted(path for path in directory.glob("*") if path.suffix in {".json", ".yaml"})
    texts = [file.read_text(errors="replace") for file in files]
    return [text for text in texts if _KIND.search(text)]


def _why_not_cdi(info: Mapping[str, Any], wanted: Sequence[str]) -> str:
    """Return why CDI does not work here, and what to do; empty where it does."""
    if "CDISpecDirs" not in info:
        return f"This Docker Engine ({info.get('ServerVersion', 'unknown version')}) knows no CDI: 25.0 or newer does."
    directories = [Path(directory) for directory in info["CDISpecDirs"] or ()]
    if not directories:
        return f"CDI is switched off in the Docker Engine. {SWITCH_ON}"
    devices = _discovered(info) or read_cdi_devices(directories)
    missing = [uuid for uuid in wanted if uuid not in devices.uuids]
    twice = [uuid for uuid in missing if uuid in devices.doubled]
    where = ", ".join(str(directory) for directory in directories)
    if twice:
        return f"{_named(twice)} by two CDI specifications, so the Engine knows neither. Keep one file of {where}."
    return f"{_named(missing)} by no CDI specification in {where}. {GENERATE}" if missing else ""


def _discovered(info: Mapping[str, Any]) -> CDIDevices | None:
    """Return the devices that a newer Engine (28.2) lists by itself."""
    listed = info.get("DiscoveredDevices")
    if not listed:
        return None
    ids = [str(device.get("ID", "")) for device in listed]
    prefix = f"{CDI_KIND}="
    return CDIDevices(uuids=frozenset(name.removeprefix(prefix) for name in ids if name.startswith(prefix)))


def _named(uuids: Sequence[str]) -> str:
    return f"{uuids[0]} is named" if len(uuids) == 1 else f"{uuids[0]} and {len(uuids) - 1} more are named"
