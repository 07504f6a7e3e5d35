"""Progress of packing and sending: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TransferSpeedColumn
from rich.progress import Progress as Bar

from ..snapshot import Progress
from ..units import format_size
from .output import say

PLAIN_SECONDS = 5.0


@contextmanager
def sending(*, quiet: bool = False) -> Iterator[Progress | None]:
    """Yield what packing and sending report to."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            yield _on(bar)
    else:
        yield _plainly()


def _on(bar: Bar) -> Progress:
    tasks: dict[str, TaskID] = {}

    def report(phase: str, files: int, of_files: int, done: int, total: int) -> None:
        if phase not in tasks:
            tasks[phase] = bar.add_task(phase, total=total)
        bar.update(tasks[phase], completed=done, total=total)

    return report


def _plainly() -> Progress:
    """Tell what is sent, and how far a long one is."""
    told: dict[str, float] = {}

    def report(phase: str, files: int, of_files: int, done: int, total: int) -> None:
        now = time.monotonic()
        if phase not in told:
            told[phase] = now
            if phase == "sending":
                say(f"sending {format_size(total)} that the platform does not have yet")
        elif now - told[phase] >= PLAIN_SECONDS and done < total:
            told[phase] = now
            say(f"{phase} {format_size(done)} of {format_size(total)}")

    return report
