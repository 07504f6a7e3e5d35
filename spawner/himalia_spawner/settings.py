"""Where the spawner and the platform's starter read their environment; the only place that does."""

from __future__ import annotations

import os
from pathlib import Path

CONFIG_NAME = "himalia.toml"


def config_file() -> Path:
    """Return the operator's file: HIMALIA_CONFIG, or `himalia.toml` in the data directory (HIMALIA_DATA, or ./data)."""
    named = os.environ.get("HIMALIA_CONFIG")
    return Path(named) if named else Path(os.environ.get("HIMALIA_DATA") or "data") / CONFIG_NAME


def repository() -> Path:
    """Return the directory that holds `hub_config` and `proxy`: HIMALIA_ROOT, or where this code was checked out."""
    named = os.environ.get("HIMALIA_ROOT")
    return Path(named) if named else Path(__file__).resolve().parents[2]


def proxy_package() -> Path:
    """Return the directory of configurable-http-proxy: HIMALIA_PROXY, or the one that the checkout installed."""
    named = os.environ.get("HIMALIA_PROXY")
    return Path(named) if named else repository() / "proxy" / "node_modules" / "configurable-http-proxy"


def data_setting() -> dict[str, str]:
    """Return HIMALIA_DATA where it is set, absolute: in the file it would be relative to that, here it is to where one is."""
    named = os.environ.get("HIMALIA_DATA")
    return {"HIMALIA_DATA": str(Path(named).resolve())} if named else {}


def caller() -> tuple[int, int] | None:
    """Return uid and gid of the person who ran this with sudo; None where nobody did."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    return (int(uid), int(gid)) if os.geteuid() == 0 and uid.isdigit() and gid.isdigit() else None


def service_connection() -> tuple[str, str]:
    """Return address and token of the job service for what the hub starts: HIMALIA_API_URL, and the hub's own token for it."""
    return os.environ.get("HIMALIA_API_URL", "").rstrip("/"), os.environ.get("JUPYTERHUB_API_TOKEN", "")
