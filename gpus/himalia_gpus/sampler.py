"""The sampler: `python -m himalia_gpus.sampler` prints one JSON line per period with all GPUs and what they do.

One process per machine speaks to the driver, so that a driver that hangs can be left and an upgraded one be loaded by a
fresh process. It ends when its stdin is closed, and with its parent, however that ended, though it hangs. A line on stdin
asks for a reading at once, with processes.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from typing import Protocol, TextIO

from .nvml import NVMLInventory
from .readings import Reading

DIES_WITH_PARENT = 1  #: PR_SET_PDEATHSIG
NEW_PROCESS = 3  #: exit code: only a fresh process can go on


class Source(Protocol):
    """What the sampler reads from."""

    needs_new_process: bool

    def read(self, *, with_processes: bool = True) -> Reading:
        """Return what is there now."""


def sample(source: Source, out: TextIO, asks: int, *, period_seconds: float, processes_every_seconds: float) -> int:
    """Print readings until `asks` (a descriptor) is closed; return the exit code."""
    with_processes = True
    processes_due = 0.0
    while True:
        started = time.monotonic()
        with_processes = with_processes or started >= processes_due
        if with_processes:
            processes_due = started + processes_every_seconds
        print(source.read(with_processes=with_processes).model_dump_json(), file=out, flush=True)
        if source.needs_new_process:
            return NEW_PROCESS
        asked = _wait(asks, started + period_seconds - time.monotonic())
        if asked is None:
            return 0
        with_processes = asked


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sampler from the command line."""
    options = _options(arguments)
    source = NVMLInventory()
    try:
        if options.once:
            print(source.read().model_dump_json(), flush=True)
            return 0
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
        return sample(
            source,
            sys.stdout,
            sys.stdin.fileno(),
            period_seconds=options.period,
            processes_every_seconds=options.processes_every,
        )
    except (BrokenPipeError, KeyboardInterrupt):
        # Nobody reads any more. What Python would flush at exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m himalia_gpus.sampler", description="Print what the GPUs do, one JSON line per period."
    )
    parser.add_argument("--once", action="store_true", help="print one line and end")
    parser.add_argument("--period", type=float, default=2.0, help="seconds between two lines (default: 2)")
    parser.add_argument(
        "--processes-every",
        type=float,
        default=10.0,
        help="seconds between two looks at the processes, which cost the most (default: 10)",
    )
    return parser.parse_args(arguments)


def _wait(asks: int, seconds: float) -> bool | None:
    """Wait for the next period; return True when somebody asks, None when nobody is there any more."""
    ready, _, _ = select.select([asks], [], [], max(0.0, seconds))
    if not ready:
        return False
    return True if os.read(asks, 4096) else None


if __name__ == "__main__":
    sys.exit(main())
