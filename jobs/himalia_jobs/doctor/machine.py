"""Checks of the machine itself: the Docker Engine, limits, images, versions."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from himalia.doctor import Outcome
from himalia.units import format_size
from himalia.version import VERSION

from ..engines.errors import EngineError
from ..engines.limits import ulimits
from ..offered import references
from .here import Here

OLDEST_ENGINE = (20, 10)
OLDEST_PYTHON = (3, 11)
EXTRAS = ("hub", "jobs")
#: What the Engine must be able to limit, as it says itself, and what follows where it cannot.
LIMITS = (("MemoryLimit", "memory"), ("CpuCfsQuota", "CPUs"), ("PidsLimit", "the number of processes"))
NO_ENGINE = (
    "Start it (`systemctl start docker`); where there is none, install it (`apt-get install docker.io`). "
    "Run this as root, or as a member of the group `docker`."
)


def engine(here: Here) -> Outcome:
    """Tell whether a Docker Engine answers that is new enough."""
    try:
        info = here.probe.info
    except EngineError as error:
        return Outcome(ok=False, message=_sentence(error), advice=NO_ENGINE)
    found = str(info.get("ServerVersion", ""))
    if numbers(found) < OLDEST_ENGINE:
        return Outcome(
            ok=False,
            message=f"The Docker Engine is version {found or 'unknown'}, which is too old.",
            advice="Install 20.10 or newer.",
        )
    return Outcome(ok=True, message=f"version {found}, cgroups v{info.get('CgroupVersion', '1')}, {info.get('Driver')}")


def limits(here: Here) -> Outcome:
    """Tell whether containers are held to their limits, and which limits they can start with."""
    info = here.probe.info
    lacking = [words for key, words in LIMITS if info.get(key) is False]
    if lacking:
        return Outcome(
            ok=False,
            message=f"The kernel does not hold containers to {' and '.join(lacking)}.",
            advice="Switch the cgroup controllers `memory`, `cpu` and `pids` on (`cgroup_enable=memory` on the kernel's command line).",
        )
    memlock = next(limit["Soft"] for limit in ulimits() if limit["Name"] == "memlock")
    if memlock != -1:
        return Outcome(
            ok=None,
            message=f"containers may lock {format_size(int(str(memlock)))} of memory at most: root lacks CAP_SYS_RESOURCE here",
            advice="Training on several GPUs (NCCL) wants no limit. Give this machine the right, or raise its own limit.",
        )
    return Outcome(ok=True, message="memory, CPUs and processes are limited; memory may be locked without limit")


def live_restore(here: Here) -> Outcome:
    """Tell whether containers outlive a restart of the Docker Engine."""
    if here.probe.info.get("LiveRestoreEnabled"):
        return Outcome(ok=True, message="on: servers and jobs outlive a restart of the Docker Engine")
    return Outcome(
        ok=None,
        message="off: a restart of the Docker Engine, such as its upgrade, ends all servers and jobs",
        advice='Put {"live-restore": true} into /etc/docker/daemon.json, then `systemctl reload docker`.',
    )


def images(here: Here) -> Outcome:
    """Tell whether the images that people may choose are on this machine."""
    wanted = references(here.site)
    missing = [reference for reference in wanted if not here.probe.has_image(reference)]
    if missing:
        return Outcome(
            ok=False,
            message=f"Not on this machine: {', '.join(missing)}.",
            advice=f"Build ours with `make images`, fetch others with `docker pull`, or change [[images]] in {here.file}.",
        )
    return Outcome(ok=True, message=", ".join(wanted) or "none is offered")


def versions(here: Here) -> Outcome:
    """Tell whether Python and the libraries are those that this version needs."""
    del here
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Outcome(
            ok=False, message=f"This is Python {sys.version.split()[0]}.", advice="Himalia needs 3.11 or newer."
        )
    wrong = wrong_packages(requires("himalia") or ())
    if wrong:
        return Outcome(
            ok=False,
            message=f"{'; '.join(wrong)}.",
            advice="Install them: pip install -U 'himalia[hub,jobs]' (in a checkout: `make setup`).",
        )
    return Outcome(
        ok=True, message=f"Himalia {VERSION}, Python {sys.version.split()[0]}, JupyterHub {_version('jupyterhub')}"
    )


def wrong_packages(required: Iterable[str]) -> list[str]:
    """Return in words which packages are missing or of a version that does not fit."""
    found = []
    for requirement in map(Requirement, required):
        marker = requirement.marker
        if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in EXTRAS):
            continue
        installed = _version(requirement.name)
        if not installed:
            found.append(f"{requirement.name} is not installed")
        elif not requirement.specifier.contains(installed, prereleases=True):
            found.append(f"{requirement.name} is {installed}, and {requirement.specifier} is needed")
    return found


def numbers(text: str) -> tuple[int, ...]:
    """Return the first two numbers of a version such as `20.10.24+dfsg1`."""
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _sentence(error: Exception) -> str:
    """Return what is wrong with the Engine; why its socket cannot be opened is told by the error below."""
    text, below = str(error).rstrip("."), str(error.__cause__)
    why = " (this user may not open its socket)" if "PermissionError" in below or "Permission denied" in below else ""
    return f"{text[:1].upper()}{text[1:]}{why}."
