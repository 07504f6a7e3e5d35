"""Checks of NVIDIA's software below the containers: the driver, and the Container Toolkit."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from himalia.container import SWARM_RESOURCE
from himalia.doctor import Outcome
from himalia_gpus.devices import Way
from himalia_gpus.toolkit import WEAKNESSES, in_words, toolkit_version, weaknesses_of
from himalia_gpus.ways import find_way, written_for

from .here import Here

DRIVER = Path("/proc/driver/nvidia/version")
TOOLKIT_SETTINGS = Path("/etc/nvidia-container-runtime/config.toml")
ANSWER_SECONDS = 20.0
NO_GPU = Outcome(ok=None, message="not looked at: no real GPU was found here")
NEWEST_NEED = max(weakness.fixed for weakness in WEAKNESSES)
UPDATE = f"Install {in_words(NEWEST_NEED)} or newer, then restart the Docker Engine."
ACCEPT = "accept-nvidia-visible-devices-envvar-when-unprivileged"
_MODULE = re.compile(r"Module(?: for \S+)?\s+(\d+(?:\.\d+)+)")


def driver(here: Here) -> Outcome:
    """Tell whether the driver is one version throughout, and stays loaded."""
    if not here.real_gpus:
        return NO_GPU
    library, module = here.reading.driver_version, _module_version()
    if module and library and module != library:
        return Outcome(
            ok=False,
            message=f"The kernel runs driver {module}, its library is {library}: it was upgraded under running programs.",
            advice="Restart the machine. Keep the driver's packages from upgrading by themselves (`apt-mark hold`).",
        )
    return together([Outcome(ok=True, message=f"driver {library or module}"), _persistence()])


def toolkit(here: Here) -> Outcome:
    """Tell whether the Container Toolkit keeps images in their containers, and does what a container is told."""
    if not here.real_gpus:
        return NO_GPU
    way = find_way(here.probe.info, here.real_gpus).way
    version = toolkit_version(_said("nvidia-ctk", "--version"))
    if version is None:
        missing = Outcome(ok=None, message="`nvidia-ctk` is not there, so its version is not known", advice=UPDATE)
        return together([missing, *_settings(way)])
    name = f"NVIDIA Container Toolkit {in_words(version)}"
    weak = weaknesses_of(version, way)
    if weak:
        said = f"{name} lets a hostile image out of its container: {', '.join(weak)}."
        return together([Outcome(ok=False, message=said, advice=UPDATE), *_settings(way)])
    return together([Outcome(ok=True, message=f"{name}, without a known weakness"), *_settings(way)])


def stale_specification(info: Mapping[str, Any], driver_version: str) -> Outcome | None:
    """Return what is wrong with CDI specifications that were written for another driver; None where nothing is."""
    others = written_for([Path(folder) for folder in info.get("CDISpecDirs") or ()]) - {driver_version}
    if not others or not driver_version:
        return None
    return Outcome(
        ok=False,
        message=f"A CDI specification was written for driver {min(others)}, and this is {driver_version}.",
        advice="Containers with a GPU do not start. Run `nvidia-ctk cdi generate` as before, after each change of the driver.",
    )


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """Return several outcomes as one: as bad as the worst."""
    found = list(outcomes)
    ok: bool | None = None if any(outcome.ok is None for outcome in found) else True
    return Outcome(
        ok=False if any(outcome.ok is False for outcome in found) else ok,
        message=". ".join(outcome.message.rstrip(".") for outcome in found),
        advice=" ".join(outcome.advice for outcome in found if outcome.advice),
    )


def _module_version() -> str:
    """Return the version of the driver that the kernel runs; empty where it does not say."""
    try:
        found = _MODULE.search(DRIVER.read_text(errors="replace"))
    except OSError:
        return ""
    return found[1] if found else ""


def _persistence() -> Outcome:
    said = _said("nvidia-smi", "--query-gpu=index,persistence_mode", "--format=csv,noheader")
    rows = [[word.strip() for word in line.split(",")] for line in said.splitlines()]
    off = [row[0] for row in rows if len(row) == 2 and row[1] == "Disabled"]
    if off:
        return Outcome(
            ok=None,
            message=f"persistence mode is off for GPU {', '.join(off)}: the first program on an idle GPU waits for seconds",
            advice="Switch it on: `systemctl enable --now nvidia-persistenced`.",
        )
    if not any(len(row) == 2 and row[1] == "Enabled" for row in rows):
        return Outcome(ok=None, message="persistence mode was not told by `nvidia-smi`")
    return Outcome(ok=True, message="persistence mode on")


def _settings(way: Way) -> list[Outcome]:
    """Return what the toolkit's settings do to containers that get their GPUs by the hook."""
    if way is not Way.NVIDIA:
        return []
    try:
        settings = tomllib.loads(TOOLKIT_SETTINGS.read_text())
    except (OSError, tomllib.TOMLDecodeError):
        return []
    found = []
    if settings.get(ACCEPT) is False:
        said = f"{ACCEPT} is false: with the hook, containers start without their GPU, and without an error."
        found.append(Outcome(ok=False, message=said, advice=f"Take it out of {TOOLKIT_SETTINGS}, or use CDI."))
    names = {str(settings.get("swarm-resource") or SWARM_RESOURCE)} - {SWARM_RESOURCE}
    if names:
        said = f"swarm-resource is {min(names)}: an image that sets it gets every GPU as soon as its job has one."
        found.append(Outcome(ok=False, message=said, advice=f"Take it out of {TOOLKIT_SETTINGS}, or use CDI."))
    return found


def _said(*command: str) -> str:
    """Return what a program prints; empty where there is none, or no answer in time."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
