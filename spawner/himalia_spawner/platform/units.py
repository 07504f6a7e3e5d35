"""systemd: the three units, written for this installation."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from himalia.errors import LocalError
from himalia_spawner.settings import repository

from .place import Place, write_hub_config
from .programs import check_programs
from .starting import Say
from .supervising import Supervisor
from .systemd import UNITS, UNITS_DIR, systemctl

SYSTEMD_RUNS = Path("/run/systemd/system")
ODD = re.compile(r"[\s%\"'\\]")  #: what a unit would read in its own way


def unit_texts(place: Place) -> dict[str, str]:
    """Return the units with the paths of this installation."""
    values = {
        "@BIN@": str(Path(sys.executable).parent),
        "@CONFIG@": str(place.config),
        "@DATA@": str(place.site.data),
        "@HUB_CONFIG@": str(place.hub_config),
        "@ROOT@": str(repository()),
    }
    odd = [value for value in values.values() if ODD.search(value)]
    if odd:
        raise LocalError(
            f"The path {odd[0]!r} has a space, a quote or a percent sign; systemd cannot have it. Move it."
        )
    texts = {}
    for unit in UNITS:
        text = (repository() / "hub_config" / unit).read_text()
        for name, value in values.items():
            text = text.replace(name, value)
        texts[unit] = text
    return texts


def install(place: Place, say: Say, *, units_dir: Path = UNITS_DIR, start: bool = True) -> None:
    """Write the units; with `start`, enable and start them."""
    check_programs()
    write_hub_config(place)
    place.site.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    place.credentials  # noqa: B018  # made now: the proxy's unit may not write
    if start:
        _must_suit_systemd(place)
    units_dir.mkdir(parents=True, exist_ok=True)
    for unit, text in unit_texts(place).items():
        (units_dir / unit).write_text(text)
        say(f"Wrote {units_dir / unit}.")
    if start:
        systemctl("daemon-reload")
        systemctl("enable", "--now", *UNITS)
        say("The units are enabled and started. `systemctl status 'himalia-*'` shows them.")


def uninstall(say: Say, *, units_dir: Path = UNITS_DIR) -> None:
    """Stop and remove the units, where they are."""
    there = [unit for unit in UNITS if (units_dir / unit).exists()]
    if not there:
        return
    if shutil.which("systemctl") is not None:
        systemctl("disable", "--now", *there)
    for unit in there:
        (units_dir / unit).unlink()
        say(f"Removed {units_dir / unit}.")
    if shutil.which("systemctl") is not None:
        systemctl("daemon-reload")


def _must_suit_systemd(place: Place) -> None:
    """Raise LocalError where the units could not run."""
    if shutil.which("systemctl") is None or not SYSTEMD_RUNS.exists():
        raise LocalError("systemd does not run this machine. Use `himalia-platform up`; it needs none.")
    hidden = [path for path in (place.site.data, repository()) if path.is_relative_to("/tmp")]
    if hidden:
        raise LocalError(f"{hidden[0]} lies in /tmp, and each unit has a /tmp of its own. Move it.")
    if Supervisor(place).answers():
        raise LocalError(
            "The platform runs already, started by `himalia-platform up`. Stop it with `himalia-platform down`; servers and "
            "jobs run on. Then run this again."
        )
