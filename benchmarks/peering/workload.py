"""What every peer runs: a script and a notebook that say when they begin, and a large directory."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

SCRIPT, NOTEBOOK = "job.py", "job.ipynb"
FILES, FILE_BYTES = 1_001, 200_000  #: 192 MiB
LONG_SECONDS = 15.0  #: of the job during which a server is killed
AT_ONCE = 20
BEGINS = "import sys, time\nprint(repr(time.time()), flush=True)\n"
LASTS = f"{BEGINS}time.sleep({LONG_SECONDS})\nprint('done', flush=True)\n"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One job, in seconds since the submit."""

    taken: float  #: the submit was answered
    began: float  #: its first instruction, as it says itself
    line: float  #: its first line could be read
    ended: float  #: its end was told


class Peer(Protocol):
    """Something that runs jobs."""

    name: str
    kinds: tuple[str, ...]  #: of `script` and `notebook`

    def run(self, kind: str) -> Seen:
        """Run one, and wait for its end."""

    def run_many(self, count: int) -> float:
        """Submit so many at once, scripts where it runs them; return seconds until the last end is told."""

    def submit_large(self, folder: Path) -> float:
        """Submit a large directory; return seconds until it may be changed again without the job seeing it, or the answer."""

    def killed(self) -> str:
        """Kill its server while a job runs, start it again, and say in words what became of the job."""


class Started:
    """Something that is started for a `with`, and ended however that is left: also when its start fails half-way."""

    def start(self) -> None:
        """Start it, and wait until it answers."""
        raise NotImplementedError

    def end(self) -> None:
        """End all that was started, and remove what it kept."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def write_workload(folder: Path) -> None:
    """Write script and notebook, the long ones beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, code in (("job", BEGINS), ("long", LASTS)):
        (folder / f"{name}.py").write_text(code)
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook(code)))


def write_large(folder: Path) -> None:
    """Write 1,001 files of 192 MiB together, with a script and a notebook among them, contents that never were before."""
    write_workload(folder)
    for number in range(FILES - 4):
        file = folder / f"{number % 20:02}" / f"{number:04}.bin"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(os.urandom(FILE_BYTES * FILES // (FILES - 4)))
    os.sync()


def notebook(code: str) -> dict[str, Any]:
    """Return a notebook of one cell."""
    cell = {"cell_type": "code", "execution_count": None, "id": "one", "metadata": {}, "outputs": [], "source": code}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def first_time(text: str) -> float:
    """Return the time that a job printed first, also from within a notebook that was run."""
    if text.lstrip().startswith("{"):
        outputs = [output for cell in json.loads(text)["cells"] for output in cell.get("outputs", ())]
        text = "".join("".join(output.get("text", "")) for output in outputs)
    return float(text.split()[0])


def until(found: Callable[[], Any], most_seconds: float = 180.0, pause_seconds: float = 0.01) -> Any:
    """Look again and again until there is something; return it."""
    deadline = time.monotonic() + most_seconds
    while not (it := found()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing came within {most_seconds:g} s")
        time.sleep(pause_seconds)
    return it
