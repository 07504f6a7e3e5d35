"""`himalia-job.toml`: defaults of a directory."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ..errors import LocalError

NAME = "himalia-job.toml"
KEYS = frozenset(
    {
        "project",
        "owner",
        "experiment",
        "name",
        "profile",
        "image",
        "gpu",
        "cpus",
        "memory",
        "disk",
        "env",
        "workdir",
        "notebook",
        "param",
        "timeout",
        "warn",
        "retries",
        "git",
        "token_from",
        "retry_on",
        "preemptible",
        "clean",
        "command",
    }
)
OPTIONS = {"gpu": "gpus", "param": "parameters"}
TABLES = ("env", "param")


def read_job_file(directory: Path) -> dict[str, Any]:
    """Return the options of a directory's file; raise LocalError that names what is wrong."""
    file = directory / NAME
    try:
        if not file.is_file():
            return {}
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LocalError(f"{file} cannot be read: {error}.") from error
    unknown = sorted(set(table) - KEYS)
    if unknown:
        raise LocalError(f"{file} has {', '.join(unknown)}, which is not known. There are: {', '.join(sorted(KEYS))}.")
    for key in TABLES:
        if not isinstance(table.get(key, {}), dict):
            raise LocalError(f"{file}: {key} must be a table, such as [{key}] with a line NAME = value for each.")
    if "env" in table:
        table["env"] = {name: _text(value) for name, value in table["env"].items()}
    return {OPTIONS.get(key, key): value for key, value in table.items()}


def _text(value: Any) -> Any:
    """Return a number as it is written in an environment; the rest is left for the request to judge."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
