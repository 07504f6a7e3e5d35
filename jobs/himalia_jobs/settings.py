"""Where the service reads its environment and its site; the only place that does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from himalia.credentials import Credentials, load_credentials
from himalia.site import Site, load_site

SERVICE_PREFIX = "/services/jobs/"  #: below the base URL
PROGRAMS = (
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  #: the PATH of what gets none of our environment
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one run of the service works with."""

    site: Site
    credentials: Credentials
    adopt: bool = False  #: take running containers over into a new database
    docker_host: str | None = None

    @property
    def base(self) -> str:
        """The path below which a browser finds hub, servers and services."""
        return self.site.platform.base_url

    @property
    def prefix(self) -> str:
        """Where a browser finds the service; servers and programs of this machine ask it at `SERVICE_PREFIX`."""
        return f"{self.base.rstrip('/')}{SERVICE_PREFIX}"

    @property
    def upload_url(self) -> str | None:
        """Where clients send packs that else came through the proxy; none: through it."""
        address = self.site.platform.upload_url.rstrip("/")
        return f"{address}{SERVICE_PREFIX}api" if address else None

    @property
    def installation(self) -> str:
        """The id of the installation."""
        return self.credentials.installation


def log_level() -> str:
    """Return how much the service tells in its log."""
    return os.environ.get("HIMALIA_LOG", "INFO")


def launcher_from_environment() -> Path | None:
    """Return the launcher that the environment names."""
    named = os.environ.get("HIMALIA_LAUNCHER")
    return Path(named) if named else None


def docker_host() -> str | None:
    """Return where the Docker Engine listens, when that is not the usual place."""
    return os.environ.get("DOCKER_HOST")


def read_settings(config: Path | None, *, adopt: bool = False) -> Settings:
    """Return the settings from a configuration file, or from HIMALIA_CONFIG."""
    site = load_site(config or Path(os.environ.get("HIMALIA_CONFIG", "himalia.toml")))
    return Settings(
        site=site,
        credentials=load_credentials(site.data),
        adopt=adopt,
        docker_host=docker_host(),
    )
