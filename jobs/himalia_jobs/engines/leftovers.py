"""Processes of a container, as the machine knows them, past the Engine: that may not know of them, or may not kill so soon."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def end_processes(container: str, proc: Path = Path("/proc"), *, but: int = 0) -> list[int]:
    """Kill what runs in the control group of a container, by its whole id, but for one process; return the others."""
    found = [pid for pid in processes_of(container, proc) if pid != but]
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found


def processes_of(container: str, proc: Path = Path("/proc")) -> list[int]:
    """Return what runs in the control group of a container, by its whole id."""
    return [int(folder.name) for folder in proc.glob("[0-9]*") if container in groups(folder)]


def groups(folder: Path) -> str:
    """Return the control groups of a process, by its directory; empty when it has ended."""
    try:
        return (folder / "cgroup").read_text()
    except OSError:
        return ""
