"""Sides that take turns, so that they meet the same load, each with the CPU time that the machine spent on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Generic, TypeVar

Sample = TypeVar("Sample")
TICKS = os.sysconf("SC_CLK_TCK")
IDLE = (3, 4)  #: the columns of /proc/stat in which nothing is done: idle, and waiting for a disk


@dataclass(kw_only=True)
class Side(Generic[Sample]):
    """What one side gave, round by round."""

    samples: list[Sample] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)


def in_turn(rounds: int, sides: Mapping[str, Callable[[], Sample]], *, warm_up: bool = True) -> dict[str, Side[Sample]]:
    """Measure all sides in each round; before the first each runs once that nobody counts."""
    if warm_up:
        for work in sides.values():
            work()
    taken: dict[str, Side[Sample]] = {name: Side() for name in sides}
    for _ in range(rounds):
        for name, work in sides.items():
            before = busy_seconds()
            taken[name].samples.append(work())
            taken[name].cpu_seconds.append(busy_seconds() - before)
    return taken


def cpu_of(taken: Mapping[str, Side[Sample]]) -> dict[str, float]:
    """Return the CPU seconds of the whole machine in one round of each side."""
    return {name: median(side.cpu_seconds) for name, side in taken.items()}


def busy_seconds() -> float:
    """Return the CPU time that everything on this machine has taken so far; nested times are not counted twice."""
    first = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    return sum(int(ticks) for column, ticks in enumerate(first) if column not in IDLE) / TICKS


def percentile(values: list[float], percent: float) -> float:
    """Return the value that so many of a hundred are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
