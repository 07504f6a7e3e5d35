"""All checks of a platform's machine, in the order in which a person would mend things."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from himalia.doctor import Check, Outcome
from himalia.errors import LocalError
from himalia.settings import data_setting
from himalia.site import Site, load_site

from ..engines.errors import EngineError
from ..engines.probe import Probe
from ..settings import docker_host
from . import gpus, machine, network, nvidia, processes, repositories, storage
from .here import Here

MACHINE: dict[str, Callable[[Here], Outcome]] = {
    "versions": machine.versions,
    "docker": machine.engine,
    "limits": machine.limits,
    "live-restore": machine.live_restore,
    "gpus": gpus.gpus,
    "gpu driver": nvidia.driver,
    "gpu toolkit": nvidia.toolkit,
}
PLATFORM: dict[str, Callable[[Here], Outcome]] = {
    **MACHINE,
    "images": machine.images,
    "data": storage.data,
    "disk": storage.disk,
    "disk limits": storage.limits,
    "workspaces": storage.workspaces,
    "database": storage.database,
    "ports": processes.ports,
    "service": processes.service,
    "hub": processes.hub,
    "proxy": processes.proxy,
    "networks": network.networks,
    "firewall": network.rules,
    "repositories": repositories.repositories,
}
LONG_SECONDS = 45.0  #: the driver of a GPU may take half a minute
FIRST = (
    "There is no himalia.toml here yet: only the machine is checked. `make demo` or `himalia-platform up` makes one."
)


def checks(config: Path | None) -> list[Check]:
    """Return the checks of the installation that an operator's file describes; without one, of the machine alone."""
    if config is None:
        return [_said("settings", Outcome(ok=None, message=FIRST)), *_of(MACHINE, Here(site=Site(), probe=_probe()))]
    file = config.resolve()
    try:
        here = Here(site=load_site(file, _data_setting()), config=file, probe=_probe())
    except LocalError as error:
        told = Outcome(ok=False, message=error.message)
        return [_said("settings", told), *_of(MACHINE, Here(site=Site(), probe=_probe()))]
    return [_said("settings", Outcome(ok=True, message=str(file))), *_of(PLATFORM, here)]


def _of(named: dict[str, Callable[[Here], Outcome]], here: Here) -> list[Check]:
    return [
        Check(
            name=name,
            run=partial(_ask, run, here),
            **({"limit_seconds": LONG_SECONDS} if name.startswith("gpu") else {}),
        )
        for name, run in named.items()
    ]


def _ask(run: Callable[[Here], Outcome], here: Here) -> Outcome:
    """Ask; what needs the Docker Engine is left open without it: its own check says what to do."""
    try:
        return run(here)
    except EngineError:
        return Outcome(ok=None, message="not looked at: the Docker Engine does not answer")


def _said(name: str, outcome: Outcome) -> Check:
    return Check(name=name, run=lambda: outcome)


def _probe() -> Probe:
    return Probe(docker_host())


def _data_setting() -> dict[str, str]:
    """Return HIMALIA_DATA as `himalia-platform` reads it: relative to where one is."""
    return {name: str(Path(value).resolve()) for name, value in data_setting().items()}
