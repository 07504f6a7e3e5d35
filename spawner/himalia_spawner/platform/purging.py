"""`himalia-platform purge`: leaves nothing of an installation."""

from __future__ import annotations

import shutil
from pathlib import Path

from himalia.errors import LocalError
from himalia.units import counted
from himalia_spawner.settings import repository

from .engine import belongings, remove_belongings
from .place import Place
from .starting import Say, bring_down
from .systemd import UNITS_DIR
from .units import uninstall


def what_would_go(place: Place) -> str:
    """Return in words what a purge removes; raise LocalError where that would be more than an installation."""
    _must_be_an_installation(place.site.data)
    found = belongings(place.installation)
    return (
        f"This ends and removes, for good:\n"
        f"  {counted(len(found.servers), 'notebook server')} and {counted(len(found.jobs), 'job')} (containers)\n"
        f"  {counted(len(found.networks), 'network')} and {counted(len(found.volumes), 'volume')} of the Docker Engine, and our rules in the packet filter\n"
        f"  {place.site.data}: homes, storage, jobs, artifacts, the databases, the tokens\n"
        "Images, the Docker Engine and everything without this installation's label stay."
    )


def purge(place: Place, say: Say, *, units_dir: Path = UNITS_DIR) -> None:
    """Remove everything of an installation."""
    _must_be_an_installation(place.site.data)
    uninstall(say, units_dir=units_dir)
    bring_down(place, say, everything=False)
    remove_belongings(place.installation, belongings(place.installation))
    place.socket.unlink(missing_ok=True)
    shutil.rmtree(place.site.data)
    say(f"Nothing is left of the installation {place.installation}.")


def _must_be_an_installation(data: Path) -> None:
    """Raise LocalError unless the directory is the data of an installation and nothing else."""
    if not (data / "secrets" / "installation").exists():
        raise LocalError(f"{data} holds no installation, so there is nothing to purge.")
    root = repository()
    if data == root / "hub_config" or any(kept.is_relative_to(data) for kept in (root, Path.home())):
        raise LocalError(
            f"{data} holds more than the data of an installation. Remove what is Himalia's by hand: `himalia-platform down "
            "--all`, then its directories."
        )
