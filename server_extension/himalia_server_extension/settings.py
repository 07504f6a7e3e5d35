"""What the extension learns from its environment, read once when the server starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from himalia.container import STORAGE, TEAM

SERVICE_PATH = "services/jobs/api/"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the job service is, for this server and for the page, and what may be submitted from."""

    api_url: str  #: HIMALIA_API_URL: the service as this server reaches it; empty: not set up
    page_url: str  #: the service as the page reaches it: a path, or an address on another origin
    server_token: str = ""  #: HIMALIA_TOKEN: only for a server without a hub
    storage: Path = Path(STORAGE)
    team: Path = Path(TEAM)
    scan_threads: int = 2
    submit_threads: int = 4

    @property
    def same_origin(self) -> bool:
        """Whether the page may ask the service itself."""
        return self.page_url.startswith("/")


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment of the server."""
    env = os.environ if environment is None else environment
    return Settings(
        api_url=env.get("HIMALIA_API_URL", "").rstrip("/"),
        page_url=env.get("HIMALIA_PAGE_API_URL") or _page_url(env),
        server_token=env.get("HIMALIA_TOKEN", ""),
        storage=Path(env.get("HIMALIA_STORAGE", STORAGE)),
        team=Path(env.get("HIMALIA_TEAM", TEAM)),
    )


def _page_url(env: Mapping[str, str]) -> str:
    # JUPYTERHUB_HOST is set where the hub gives each user a domain: the service is then on another origin.
    host = env.get("JUPYTERHUB_HOST", "").rstrip("/")
    base = env.get("JUPYTERHUB_BASE_URL", "/").strip("/")
    return f"{host}/{base}/{SERVICE_PATH}" if base else f"{host}/{SERVICE_PATH}"
