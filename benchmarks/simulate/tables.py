"""The figures as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import fmean
from typing import Any

from .figures import KINDS

Run = dict[str, Any]
HEAD = (
    *("plan", "use", "ideal"),
    *(f"{kind} median / p95" for kind in KINDS),
    *("longest", "without", "fair", "light p95"),
)
LEGEND = """use: GPUs held, of all. Waits in minutes. longest, without: hours of the longest wait, and of the longest that a person
waited with nothing of theirs started. fair: Jain's index of the GPUs that people had while they waited for more.
light: the half of the people who ask for least.
"""


def table(runs: Sequence[Run]) -> str:
    """Return a table for each number of GPUs and load; several seeds are averaged."""
    blocks = []
    for (gpus, load), group in groupby(sorted(runs, key=_place), key=lambda run: (run["gpus"], run["load"])):
        found = list(group)
        seeds = sorted({run["seed"] for run in found})
        title = f"{gpus} GPUs, {load:.0%} asked for, {'seed' if len(seeds) == 1 else 'mean of seeds'} {', '.join(map(str, seeds))}"
        names = list(dict.fromkeys(run["plan"] for run in found))
        rows = [_row([run for run in found if run["plan"] == name]) for name in names]
        blocks.append("\n".join([title, *_aligned([HEAD, *rows]), "", _estimates(found)]))
    return "\n\n".join([*blocks, LEGEND])


def scenes_text(scenes: dict[str, Any]) -> str:
    """Return the scenes as text."""
    lines = []
    for name, plans in scenes.items():
        lines.append(name)
        lines += [
            f"  {plan}: place {fate['position']}, waits {fate['wait_minutes']:.0f} min, GPUs busy meanwhile {fate['busy']:.0%}"
            for plan, fate in plans.items()
        ]
    return "\n".join(lines)


def mean(runs: Iterable[Run], *path: str) -> float:
    """Return the mean of a figure over months drawn with several seeds."""
    return fmean(_at(run, path) for run in runs)


def _at(run: Run, path: Sequence[str]) -> float:
    found: Any = run
    for key in path:
        found = found[key]
    return float(found)


def _place(run: Run) -> tuple[int, float, int]:
    return run["gpus"], run["load"], run["seed"]


def _row(runs: list[Run]) -> tuple[str, ...]:
    waits = [f"{mean(runs, 'waits', kind, 'median'):.0f} / {mean(runs, 'waits', kind, 'p95'):.0f}" for kind in KINDS]
    return (
        runs[0]["plan"],
        f"{mean(runs, 'use'):.1%}",
        f"{mean(runs, 'ideal_use'):.1%}",
        *waits,
        f"{mean(runs, 'longest_wait_hours'):.1f}",
        f"{mean(runs, 'longest_without_hours'):.1f}",
        f"{mean(runs, 'people', 'jain_gpus'):.2f}",
        f"{mean(runs, 'people', 'light_p95'):.0f}",
    )


def _estimates(runs: Sequence[Run]) -> str:
    lines = []
    for run in runs:
        for sure, found in run["estimates"].items():
            lines.append(
                f"  estimates, {run['plan']}, {sure}: {found['count']:.0f} told, off by {found['error_median']:.0f} min "
                f"(median; they waited {found['wait_median']:.0f}), twice or half at most {found['twice']:.0%}, not later than told {found['not_later']:.0%}"
            )
    return "\n".join(lines)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
