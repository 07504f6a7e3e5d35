"""GPU hours by person, older ones counting less: the same sums that the service makes, kept up to date instead of read."""

from __future__ import annotations

from collections import defaultdict
from math import exp, log

HOUR = 3600.0
LEARN_SECONDS = 60.0  #: the service counts once a minute


class Usage:
    """What each person used, each hour counting half for every half-life that it is past."""

    def __init__(self, half_life: float) -> None:
        self._rate = log(2) / half_life
        self._done: dict[str, float] = defaultdict(float)  #: decayed GPU seconds of what has ended, as of `_as_of`
        self._as_of = 0.0
        self._running: dict[tuple[str, int, float], int] = defaultdict(int)
        self._told: dict[str, float] = {}
        self._told_at = -LEARN_SECONDS

    def start(self, user: str, gpus: int, at: float) -> None:
        """Count somebody who starts."""
        self._running[user, gpus, at] += 1

    def end(self, user: str, gpus: int, began: float, at: float) -> None:
        """Count somebody who ends."""
        self._age(at)
        self._done[user] += gpus * self._decayed(began, at, at)
        left = self._running[user, gpus, began] - 1
        self._running[user, gpus, began] = left
        if not left:
            del self._running[user, gpus, began]

    def hours(self, at: float) -> dict[str, float]:
        """Return the GPU hours of each person, as they were counted last."""
        if at - self._told_at >= LEARN_SECONDS:
            self._age(at)
            told = {user: seconds / HOUR for user, seconds in self._done.items()}
            for (user, gpus, began), count in self._running.items():
                told[user] = told.get(user, 0.0) + count * gpus * self._decayed(began, at, at) / HOUR
            self._told, self._told_at = told, at
        return self._told

    def _age(self, at: float) -> None:
        factor = exp(-self._rate * (at - self._as_of))
        for user in self._done:
            self._done[user] *= factor
        self._as_of = at

    def _decayed(self, start: float, end: float, now: float) -> float:
        return (exp(-self._rate * (now - end)) - exp(-self._rate * (now - start))) / self._rate
