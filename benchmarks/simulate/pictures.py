"""Pictures of what was replayed, as small SVG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot as plt  # the way to draw is chosen first
from matplotlib.axes import Axes

from .campaign import USUAL_LOAD
from .tables import mean

Run = dict[str, Any]
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "himalia",
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "figure.facecolor": "white",
}
COLOURS = ("#9aa0a6", "#5f6368", "#8ab4f8", "#1a73e8", "#fbbc04", "#e37400", "#188038")


def draw(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Draw all pictures into a folder; return their files."""
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        return [_waits(runs, folder), _use(runs, folder)]


def _waits(runs: Sequence[Run], folder: Path) -> Path:
    """Draw how long jobs and people with little wait, 95 of 100 of them, at the usual load."""
    usual = [run for run in runs if run["load"] == USUAL_LOAD]
    sides = (
        ("small jobs", ("waits", "small jobs", "p95")),
        ("large jobs", ("waits", "large jobs", "p95")),
        ("people who ask for little", ("people", "light_p95")),
    )
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.2), layout="constrained", sharey=True)
    for axis, (title, path) in zip(axes, sides, strict=True):
        _bars(axis, usual, path)
        axis.set_title(title, fontsize=9)
    axes[0].set_ylabel("hours that 95 of 100 wait at most")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return _saved(figure, folder / "simulation-waits.svg")


def _bars(axis: Axes, runs: Sequence[Run], path: tuple[str, ...]) -> None:
    plans = list(dict.fromkeys(run["plan"] for run in runs))
    sizes = sorted({run["gpus"] for run in runs})
    width = 0.8 / len(plans)
    for number, plan in enumerate(plans):
        found = [[run for run in runs if run["plan"] == plan and run["gpus"] == size] for size in sizes]
        heights = [mean(same, *path) / 60 if same else 0.0 for same in found]
        places = [place + (number - (len(plans) - 1) / 2) * width for place in range(len(sizes))]
        axis.bar(places, heights, width, label=plan, color=COLOURS[number % len(COLOURS)])
    axis.set_xticks(range(len(sizes)), [f"{size} GPUs" for size in sizes])


def _use(runs: Sequence[Run], folder: Path) -> Path:
    """Draw how busy the GPUs are at each load, beside the bound."""
    by_size = {
        size: {run["load"] for run in runs if run["gpus"] == size} for size in sorted({run["gpus"] for run in runs})
    }
    sizes = [size for size, loads in by_size.items() if len(loads) > 1] or list(by_size)
    figure, axes = plt.subplots(
        1, len(sizes), figsize=(3.2 + 2.6 * len(sizes), 3.2), layout="constrained", sharey=True, squeeze=False
    )
    for axis, size in zip(axes[0], sizes, strict=True):
        here = [run for run in runs if run["gpus"] == size]
        loads = sorted({run["load"] for run in here})
        plans = [plan for plan in dict.fromkeys(run["plan"] for run in here) if _at_all(here, plan, loads)]
        for number, plan in enumerate(plans):
            values = [
                100 * mean([run for run in here if run["plan"] == plan and run["load"] == load], "use")
                for load in loads
            ]
            axis.plot([100 * load for load in loads], values, "o-", label=plan, color=COLOURS[number])
        bound = [
            100 * mean([run for run in here if run["load"] == load and run["plan"] in plans], "ideal_use")
            for load in loads
        ]
        axis.plot([100 * load for load in loads], bound, "k--", label="ideal packing", linewidth=1)
        axis.set_title(f"{size} GPUs", fontsize=9)
        axis.set_xlabel("asked for, % of what there is")
    axes[0][0].set_ylabel("GPUs in use, %")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return _saved(figure, folder / "simulation-use.svg")


def _at_all(runs: Sequence[Run], plan: str, loads: Sequence[float]) -> bool:
    return {run["load"] for run in runs if run["plan"] == plan} == set(loads)


def _saved(figure: Any, file: Path) -> Path:
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
    return file
