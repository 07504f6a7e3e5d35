"""The installation that is looked at. To look makes nothing: not even the secrets that it may lack."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from himalia.site import Site
from himalia_gpus.inventory import inventory_for
from himalia_gpus.readings import Reading

from ..engines.probe import Probe

START = "Start the platform with `himalia-platform up` (with systemd: `systemctl start himalia-jobs himalia-hub himalia-proxy`)."


@dataclass(frozen=True, kw_only=True)
class Here:
    """One installation on this machine, as its files describe it."""

    site: Site
    config: Path | None = None  #: the operator's file, absolute; None: there is none yet
    probe: Probe = field(default_factory=Probe)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.site.data

    @property
    def file(self) -> str:
        """The operator's file as people are told of it."""
        return str(self.config or "himalia.toml")

    @cached_property
    def installation(self) -> str:
        """The id of the installation; empty while it was never started."""
        try:
            return (self.data / "secrets" / "installation").read_text().strip()
        except FileNotFoundError:
            return ""

    @cached_property
    def reading(self) -> Reading:
        """What the GPUs are; asked once, for it may take half a minute."""
        return inventory_for(self.site.gpus, self.installation or "none").read()

    @property
    def real_gpus(self) -> list[str]:
        """The UUIDs of the GPUs that are really there."""
        return [gpu.uuid for gpu in self.reading.gpus if not gpu.simulated]

    @property
    def gateway(self) -> str:
        """This machine's address on the servers' network; empty while there is none; EngineError when nobody knows."""
        return self.probe.gateway(self.installation) if self.installation else ""

    @property
    def profiles_with_gpus(self) -> list[str]:
        """The profiles that ask for a GPU."""
        return [profile.name for profile in self.site.profiles if profile.gpus not in ("", "0", "none")]
