"""Installations for the tests of doctor's checks, and what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from himalia.credentials import load_credentials
from himalia.doctor import Outcome
from himalia.site import Site
from himalia_jobs.doctor.here import Here


class ProbeWithABridge:
    """An Engine that knows the servers' network."""

    def __init__(self, gateway: str = "127.0.0.1") -> None:
        self._gateway = gateway

    def gateway(self, installation: str, kind: str = "server") -> str:
        """Return this machine's address there."""
        return self._gateway


def installation_in(folder: Path, *, new: bool = False, probe: Any = None, **settings: Any) -> Here:
    """Return an installation with these settings; it was started before unless it is new."""
    data = folder / "data"
    if not new:
        data.mkdir(exist_ok=True)
        load_credentials(data)
    settings["platform"] = {"data": data} | settings.get("platform", {})
    return Here(site=Site.model_validate(settings), config=folder / "himalia.toml", probe=probe or ProbeWithABridge())  # type: ignore[arg-type]


def told(outcome: Outcome) -> tuple[bool | None, str]:
    """Return whether it is well, and all that is said."""
    return outcome.ok, f"{outcome.message} {outcome.advice}"
