"""Processes of a container, as the machine knows them, past the Engine: that may not know of them, or may not kill so soon."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from himalia.processes import groups, processes_of

CGROUPS = Path("/sys/fs/cgroup")


def end_processes(container: str, proc: Path = Path("/proc"), *, but: int = 0) -> list[int]:
    """Kill what runs in the control group of a container, by its whole id, but for one process; return the others."""
    found = [pid for pid in processes_of(container, proc) if pid != but]
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found


def lift_cpu_limit(pid: int, proc: Path = Path("/proc"), cgroups: Path = CGROUPS) -> bool:
    """Let the container of a process use as much CPU as there is; tell whether that could be done.

    Who is killed needs CPU to die: thousands of processes with a tenth of one take minutes for it.
    """
    for line in groups(proc / str(pid)).splitlines():
        _, controllers, path = line.split(":", 2)
        below = path.lstrip("/")
        if not below:
            continue  # that is no container's, and has no limit
        if "cpu" in controllers.split(","):
            file, unlimited = cgroups / "cpu" / below / "cpu.cfs_quota_us", "-1"
        elif not controllers:
            file, unlimited = cgroups / below / "cpu.max", "max"
        else:
            continue
        with contextlib.suppress(OSError):
            with file.open("r+") as limit:
                limit.write(unlimited)
            return True
    return False
