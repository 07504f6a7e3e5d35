"""Processes of a container, as the machine knows them, past the Engine: that may not know of them, or may not kill so soon."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from himalia.processes import processes_of


def end_processes(container: str, proc: Path = Path("/proc"), *, but: int = 0) -> list[int]:
    """Kill what runs in the control group of a container, by its whole id, but for one process; return the others."""
    found = [pid for pid in processes_of(container, proc) if pid != but]
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found
