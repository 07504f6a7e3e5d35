"""How soon to look again at what jobs write: every two seconds, and often while one of them writes towards its limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..engines.disk import DiskUse

LONGEST_SECONDS, SHORTEST_SECONDS = 2.0, 0.2
NEW_SECONDS = 0.5  #: after the first look at an attempt: nobody knows yet how fast it writes
EARLY = 0.5  #: of the time in which it would reach its limit at its pace


@dataclass(frozen=True, kw_only=True)
class _Glance:
    """What an attempt took when that was counted last, and how much of its limit it adds in a second."""

    at: float
    use: DiskUse
    pace: float | None = None  #: none: it was seen once


class Pace:
    """Remembers how fast attempts write."""

    def __init__(self) -> None:
        self._seen: dict[str, _Glance] = {}

    def pause(self, uses: Iterable[DiskUse], now: float) -> float:
        """Return for how long nobody need look, after what was seen now; an engine that did not count again tells the same."""
        before, self._seen = self._seen, {}
        for use in uses:
            name = use.place.name
            self._seen[name] = _glance(before.get(name), use, now)
        return min((_pause(glance) for glance in self._seen.values()), default=LONGEST_SECONDS)


def _glance(before: _Glance | None, use: DiskUse, now: float) -> _Glance:
    if before is None:
        return _Glance(at=now, use=use)
    if use is before.use or now <= before.at:
        return before
    return _Glance(at=now, use=use, pace=(use.part - before.use.part) / (now - before.at))


def _pause(glance: _Glance) -> float:
    if glance.pace is None:
        return NEW_SECONDS
    if glance.pace <= 0:
        return LONGEST_SECONDS
    left = max(0.0, 1.0 - glance.use.part) / glance.pace
    return min(LONGEST_SECONDS, max(SHORTEST_SECONDS, left * EARLY))
