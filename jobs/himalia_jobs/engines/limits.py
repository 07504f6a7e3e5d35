"""The most that this machine lets a container start with."""

from __future__ import annotations

import resource
from pathlib import Path

from himalia.container import OPEN_FILES, STACK_BYTES

CAP_SYS_RESOURCE = 24


def ulimits() -> tuple[dict[str, object], ...]:
    """Return the limits as the Docker API takes them.

    NCCL wants locked memory without limit and a stack of 64 MiB. Open files: so many that data loaders have enough, and what
    closes all that it could have open takes no time. Where root lacks CAP_SYS_RESOURCE (a machine that is
    itself confined), asking for more than root's own hard limit keeps every container from starting.
    """
    free = _has_capability(CAP_SYS_RESOURCE)
    wanted = {"memlock": -1, "stack": STACK_BYTES, "core": 0, "nofile": OPEN_FILES}
    return tuple(_limit(name, number, free) for name, number in wanted.items())


def _limit(name: str, wanted: int, free: bool) -> dict[str, object]:
    _, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
    unlimited = resource.RLIM_INFINITY
    if free or hard == unlimited or (wanted != -1 and wanted <= hard):
        return {"Name": name, "Soft": wanted, "Hard": wanted}
    return {"Name": name, "Soft": hard, "Hard": hard}


def _has_capability(number: int) -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False
