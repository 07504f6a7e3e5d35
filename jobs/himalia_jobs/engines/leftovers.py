"""Processes of a container that the Docker Engine does not know of, because it was stopped while it started them."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def end_processes(container: str, proc: Path = Path("/proc")) -> list[int]:
    """Kill what runs in the control group of a container, by its whole id; return the processes."""
    found = [int(folder.name) for folder in proc.glob("[0-9]*") if container in _groups(folder)]
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found


def _groups(folder: Path) -> str:
    try:
        return (folder / "cgroup").read_text()
    except OSError:  # it has ended meanwhile
        return ""
