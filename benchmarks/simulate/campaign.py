"""Which months are replayed under which plans, and their figures side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from time import process_time
from typing import Any

from .figures import figures, percentile
from .ideal import ideal
from .plans import PLANS, TURNS_BACKFILL, Plan
from .replay import replay
from .workload import DAYS, month

SIZES = (8, 16, 64)
LOADS = (0.70, 0.85, 0.95)
USUAL_LOAD = 0.85  #: at which everything is compared
KEPT = replace(TURNS_BACKFILL, name="the same, idle notebooks stay", idle_limit=None)
EVERYTHING = (*PLANS, KEPT)
AT_ALL_LOADS = PLANS[:4]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One month under one plan."""

    gpus: int
    load: float
    seed: int
    days: float
    plan: Plan


def tasks(sizes: Iterable[int], loads: Iterable[float], seeds: Iterable[int], days: float = DAYS) -> list[Task]:
    """Return all that is to be replayed."""
    return [
        Task(gpus=gpus, load=load, seed=seed, days=days, plan=plan)
        for gpus in sizes
        for seed in seeds
        for load in loads
        for plan in (EVERYTHING if load == USUAL_LOAD else AT_ALL_LOADS)
    ]


def run(task: Task) -> dict[str, Any]:
    """Replay one month; return its figures with what they are of."""
    begun = process_time()
    drawn = month(task.gpus, task.load, task.seed, task.days)
    course = replay(drawn, task.plan, days=task.days, estimates=not task.plan.one_line)
    bound = ideal(drawn, days=task.days, idle_limit=task.plan.idle_limit)
    return {
        "gpus": task.gpus,
        "load": task.load,
        "seed": task.seed,
        "plan": task.plan.name,
        "jobs": len(drawn.jobs),
        "notebooks": len(drawn.visits),
        "asked": drawn.asked_hours / (task.gpus * task.days * 24),
        "ideal_use": bound.busy,
        "ideal_p95": percentile(bound.waits, 95) / 60,
        **figures(course),
        "cpu_seconds": process_time() - begun,
    }


def run_all(todo: Sequence[Task], *, at_once: int = 1) -> Iterable[dict[str, Any]]:
    """Replay all of them; the figures come as they are done, in order."""
    if at_once == 1:
        yield from map(run, todo)
        return
    with ProcessPoolExecutor(at_once) as pool:
        yield from pool.map(run, todo)
