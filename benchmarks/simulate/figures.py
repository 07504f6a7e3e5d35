"""From what happened to figures: use, waits by class, fairness among people, how true estimates were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean, median
from typing import Any

from .record import Ask, Course
from .workload import HOUR

KINDS = ("notebooks", "small jobs", "large jobs", "preemptible")
MINUTE = 60.0
BOUND_SECONDS = 600.0  #: of a slowdown: what runs shorter is taken to run so long
MOST = 20.0  #: minutes that an estimate may be off to count as near
SLACK = 5.0  #: minutes that are added to both before a wait is compared with what was told


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the value that so many per cent do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


def jain(values: Sequence[float]) -> float:
    """Return Jain's index: 1 where all have the same, 1/n where one has all."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / len(values) / squares if squares else 1.0


def slowdown(ask: Ask) -> float:
    """Return the bounded slowdown of a job (Feitelson and others): how many times as long as alone on the machine."""
    run = ask.used
    return max(1.0, (ask.waited + run) / max(run, BOUND_SECONDS))


def figures(course: Course) -> dict[str, Any]:
    """Return all figures of a month under one plan; times in minutes or hours, as their names say."""
    asks = list(course.asks.values())
    lasting = [ask for ask in asks if not ask.preemptible]
    notebooks = [ask for ask in asks if not ask.is_job]
    held = sum(ask.held for ask in notebooks)
    return {
        "use": course.busy(0.0, course.seconds),
        "done_days": max((at for at, _ in course.taken), default=0.0) / 86_400,
        "waits": {kind: _waits([ask for ask in asks if ask.kind == kind]) for kind in KINDS},
        "longest_wait_hours": max((ask.waited for ask in lasting), default=0.0) / HOUR,
        "longest_without_hours": course.longest_without / HOUR,
        "longest_first_hours": course.longest_first / HOUR,
        "notebook_hours": held / HOUR,
        "notebook_idle": 1 - sum(ask.used for ask in notebooks) / held if held else 0.0,
        "given_way": sum(ask.given_way for ask in asks),
        "repeated_hours": sum(ask.repeated * ask.gpus for ask in asks) / HOUR,
        "people": _people(asks) | {"jain_gpus": jain(_had(course))},
        "estimates": _estimates(asks),
        "rounds": course.rounds,
        "most_waiting": course.most_waiting,
        "round_milliseconds": 1000 * course.rounds_seconds / max(course.rounds, 1),
    }


def _waits(asks: Sequence[Ask]) -> dict[str, float]:
    minutes = [ask.waited / MINUTE for ask in asks]
    return {
        "count": len(asks),
        "median": median(minutes) if minutes else 0.0,
        "mean": fmean(minutes) if minutes else 0.0,
        "p95": percentile(minutes, 95),
        "longest": max(minutes, default=0.0),
        "at_once": sum(1 for one in minutes if one < 0.5) / max(len(minutes), 1),
        "withdrawn": sum(1 for ask in asks if ask.withdrawn is not None),
    }


def _had(course: Course) -> list[float]:
    """Return how many GPUs each person had on average while they waited for more; who waited an hour in all counts."""
    return [course.had_waiting[user] / seconds for user, seconds in course.waiting.items() if seconds >= HOUR]


def _people(asks: Sequence[Ask]) -> dict[str, float]:
    """Return how differently people fare: by the slowdown of their jobs, and the waits of those who ask for little."""
    by_person: dict[str, list[Ask]] = defaultdict(list)
    for ask in asks:
        if ask.is_job and not ask.preemptible and ask.started is not None:
            by_person[ask.user].append(ask)
    work = {user: sum(ask.used * ask.gpus for ask in own) for user, own in by_person.items()}
    ordered = sorted(by_person, key=lambda user: work[user])
    means = [fmean(slowdown(ask) for ask in by_person[user]) for user in ordered]
    light = [ask.waited / MINUTE for user in ordered[: len(ordered) // 2] for ask in by_person[user]]
    heavy = [ask.waited / MINUTE for ask in by_person[ordered[-1]]] if ordered else []
    return {
        "count": len(ordered),
        "jain_slowdown": jain(means),
        "slowdown_median": median(means) if means else 0.0,
        "slowdown_worst": max(means, default=0.0),
        "light_median": median(light) if light else 0.0,
        "light_p95": percentile(light, 95),
        "heaviest_median": median(heavy) if heavy else 0.0,
        "heaviest_part": work[ordered[-1]] / max(sum(work.values()), 1.0) if ordered else 0.0,
    }


def _estimates(asks: Sequence[Ask]) -> dict[str, dict[str, float]]:
    """Return how far the first estimate of each was from what happened, by how sure it was."""
    by_sure: dict[str, list[Ask]] = defaultdict(list)
    for ask in asks:
        if ask.told is not None and ask.started is not None and ask.sure is not None:
            by_sure[str(ask.sure)].append(ask)
    return {sure: _errors(told) for sure, told in sorted(by_sure.items())}


def _errors(told: Sequence[Ask]) -> dict[str, float]:
    late = [((ask.started or 0.0) - (ask.told or 0.0)) / MINUTE for ask in told]
    waits = [ask.waited / MINUTE for ask in told]
    return {
        "count": len(told),
        "wait_median": median(waits),
        "error_median": median(abs(minutes) for minutes in late),
        "error_p90": percentile((abs(minutes) for minutes in late), 90),
        "near": sum(1 for minutes in late if abs(minutes) <= MOST) / len(late),
        "twice": sum(1 for ask in told if _within_twice(ask)) / len(told),
        "not_later": sum(1 for minutes in late if minutes <= 1) / len(late),
        "late_median": median(late),
    }


def _within_twice(ask: Ask) -> bool:
    """Tell whether somebody waited no more than twice as long as told, and no less than half."""
    since = ask.told_at or 0.0
    told, was = (((moment or 0.0) - since) / MINUTE + SLACK for moment in (ask.told, ask.started))
    return was <= 2 * told and told <= 2 * was
