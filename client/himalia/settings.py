"""Where client and command line find their environment; the only place that reads it."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from .errors import LocalError

INSTALLED_UNIT = Path("/etc/systemd/system/himalia-jobs.service")
NOT_LOGGED_IN = (
    "There is no platform to talk to. In a notebook's terminal this is set by itself; on your own machine run "
    "`himalia login https://your-hub.example.org` first."
)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Where the job service is, and the token to use."""

    url: str  #: ends in /services/jobs/api
    token: str


def config_directory() -> Path:
    """Return where a person's settings are kept."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "himalia"


def cache_directory() -> Path:
    """Return where what can be made anew is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "himalia"


def home_directories() -> tuple[Path, ...]:
    """Return where programs keep what is private: the home, and where this machine's settings put their caches (storage)."""
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(os.path.expanduser("~")), *([Path(caches).parent] if caches else []))


def data_setting() -> dict[str, str]:
    """Return HIMALIA_DATA where it is set: a platform's data directory, which then wins over its file's."""
    named = os.environ.get("HIMALIA_DATA")
    return {"HIMALIA_DATA": named} if named else {}


def platform_config(unit: Path = INSTALLED_UNIT) -> Path | None:
    """Return the operator's file of the platform on this machine, where there is one.

    It is found as `himalia-platform` finds it, and else where `make install` said that it lies.
    """
    named = os.environ.get("HIMALIA_CONFIG")
    if named:
        return Path(named)
    beside = Path(os.environ.get("HIMALIA_DATA") or "data") / "himalia.toml"
    if beside.exists():
        return beside
    installed = re.search(r"\bHIMALIA_CONFIG=(\S+)", unit.read_text(errors="replace")) if unit.is_file() else None
    return Path(installed[1]) if installed else None


def token_from(where: str) -> str:
    """Return a token from where a person says it is: a variable of the environment, `file:PATH`, or `-`, the standard input."""
    try:
        if where == "-":
            token = sys.stdin.readline()
        elif where.startswith("file:"):
            token = Path(where.removeprefix("file:")).expanduser().read_text()
        else:
            token = os.environ.get(where, "")
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"{where} cannot be read: {error}.") from error
    if not token.strip():
        # What was written is not repeated: it could be the token itself.
        raise LocalError(
            "There is no token where --token-from says. Name an environment variable that holds it, or write file:PATH, or - for the standard input."
        )
    return token.strip()


def environment_without(prefix: str) -> dict[str, str]:
    """Return the environment for a program that is run, without the variables that begin so."""
    return {name: value for name, value in os.environ.items() if not name.startswith(prefix)}


def login_file() -> Path:
    """Return the file that `himalia login` writes."""
    return config_directory() / "login.json"


def find_connection() -> Connection:
    """Return the connection: the environment's (in servers it is always set), else the one of `himalia login`."""
    url = os.environ.get("HIMALIA_API_URL")
    token = os.environ.get("HIMALIA_TOKEN") or os.environ.get("JUPYTERHUB_API_TOKEN")
    if url and token:
        return Connection(url=url.rstrip("/"), token=token)
    try:
        kept = json.loads(login_file().read_text())
        return Connection(url=str(kept["url"]), token=str(kept["token"]))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise LocalError(NOT_LOGGED_IN) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LocalError(f"{login_file()} cannot be read. Run `himalia login` again.") from error


def token_is_of_server() -> bool:
    """Tell whether the token in use is a notebook server's own."""
    env = os.environ
    return bool(env.get("HIMALIA_API_URL") and env.get("JUPYTERHUB_API_TOKEN") and not env.get("HIMALIA_TOKEN"))


def keep_connection(connection: Connection) -> Path:
    """Write the connection for later, readable by its owner alone."""
    file = login_file()
    draft = file.with_suffix(".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump({"url": connection.url, "token": connection.token}, stream)
        draft.rename(file)
    except OSError as error:
        raise LocalError(
            f"{file} cannot be written ({error.strerror}). Make room, or change its permissions."
        ) from error
    return file
