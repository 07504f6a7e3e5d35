"""Processes of an installation whose supervisor was killed: nobody restarts them, and they keep the ports."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from .place import Place
from .programs import programs, proxy_command

PROCESSES = Path("/proc")
TERM_SECONDS = 20.0
AGAIN_SECONDS = 0.1


def orphans(place: Place) -> list[int]:
    """Return the processes that run exactly what we start, for this installation."""
    commands = [list(program.command) for program in programs(place)] + [proxy_command(place)]
    found = []
    for folder in PROCESSES.glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            environment = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended, or is not ours to look at
        # A script is shown with its interpreter before it.
        ours = any(words[-len(command) :] == command for command in commands)
        if ours and f"HIMALIA_CONFIG={place.config}" in environment:
            found.append(int(folder.name))
    return found


def end_orphans(place: Place) -> int:
    """End such processes and return once they are gone; return how many there were."""
    found = orphans(place)
    _signal(found, signal.SIGTERM)
    deadline = time.monotonic() + TERM_SECONDS
    while set(found) & set(orphans(place)):
        if time.monotonic() > deadline:
            _signal(found, signal.SIGKILL)
        time.sleep(AGAIN_SECONDS)
    return len(found)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
