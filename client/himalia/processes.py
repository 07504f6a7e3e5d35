"""Which processes of this machine run in a container, past the Engine: one that is stopped at the wrong moment misses an end.

The control group of a process names its container by its whole id; a process id alone would be another's by now.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def processes_of(container: str, proc: Path = Path("/proc")) -> list[int]:
    """Return what runs in the control group of a container, by its whole id."""
    return [int(folder.name) for folder in proc.glob("[0-9]*") if container in groups(folder)]


def groups(folder: Path) -> str:
    """Return the control groups of a process, by its directory; empty when it has ended."""
    try:
        return (folder / "cgroup").read_text()
    except OSError:
        return ""


class Sightings:
    """Knows for how long nothing of a container has been there.

    Whoever never saw a process of any container cannot see them, as from within a container, and is told of no end.
    """

    def __init__(self, proc: Path = Path("/proc"), now: Callable[[], float] = time.monotonic) -> None:
        self.proc = proc
        self.now = now
        self.sees = False  #: whether processes of containers are seen from here
        self._gone_at: dict[str, float] = {}

    def seconds_gone(self, container: str, pid: int) -> float:
        """Return for how many seconds no process of a container has been seen; `pid` is the Engine's word for its first one."""
        if container in groups(self.proc / str(pid)) or processes_of(container, self.proc):
            self.forget(container)
            self.sees = True
            return 0.0
        if not self.sees:
            return 0.0
        return self.now() - self._gone_at.setdefault(container, self.now())

    def forget(self, container: str) -> None:
        """Forget a container."""
        self._gone_at.pop(container, None)
