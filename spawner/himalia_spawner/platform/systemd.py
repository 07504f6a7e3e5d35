"""systemd, where an installation has its units there: the same three processes, started and stopped by systemd."""

from __future__ import annotations

import subprocess
from pathlib import Path

from himalia.errors import LocalError

from .place import Place

UNITS = ("himalia-jobs.service", "himalia-hub.service", "himalia-proxy.service")
UNIT_OF = {"service": UNITS[0], "hub": UNITS[1], "proxy": UNITS[2]}  #: by the names of our programs
UNITS_DIR = Path("/etc/systemd/system")


def has_units(place: Place, *, units_dir: Path | None = None) -> bool:
    """Tell whether this installation, and no other one, is in the units of this machine."""
    unit = (units_dir or UNITS_DIR) / UNIT_OF["proxy"]
    return unit.exists() and f"HIMALIA_CONFIG={place.config} " in unit.read_text()


def systemctl(*words: str) -> None:
    """Have systemd do something; raise LocalError with what it says."""
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"`systemctl {' '.join(words)}` failed: {done.stderr.strip() or done.returncode}")


def unit_state(name: str) -> str:
    """Return how systemd sees one of our programs: active, failed …"""
    done = subprocess.run(["systemctl", "is-active", UNIT_OF[name]], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown to systemd"
