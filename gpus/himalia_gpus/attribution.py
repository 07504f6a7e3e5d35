"""Whose a process on a GPU is: from its id on the host to its container, its user and its command."""

from __future__ import annotations

import pwd
import re
from pathlib import Path

from .readings import GPUProcess

PROC = Path("/proc")
LONGEST_COMMAND = 80

# cgroup v1 and v2, both drivers: /docker/<id>, /system.slice/docker-<id>.scope, and containers within containers.
_CONTAINER = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?=\.scope|/|$)")


def attributed(process: GPUProcess, proc: Path = PROC) -> GPUProcess:
    """Return a process with what the host knows of it; one that has ended in between is marked as gone."""
    own = proc / str(process.pid)
    try:
        cgroups = (own / "cgroup").read_text(errors="replace")
        uid = own.stat().st_uid
        command = (own / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        name = (own / "comm").read_text(errors="replace").strip()
    except OSError:
        return process.model_copy(update={"gone": True})
    said = {"container": container_of(cgroups), "user": _name_of(uid), "command": (command or name)[:LONGEST_COMMAND]}
    return process.model_copy(update=said)


def container_of(cgroups: str) -> str:
    """Return the id of the innermost container of a process, from its `/proc/<pid>/cgroup`; empty: none."""
    found = [_CONTAINER.findall(line.split(":", 2)[-1]) for line in cgroups.splitlines()]
    deepest = max(found, key=len, default=[])
    return str(deepest[-1]) if deepest else ""


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
