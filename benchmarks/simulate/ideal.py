"""The bound that no way to decide can pass: GPUs as one heap that can be cut at will, those who came first served first.

Nobody waits for a whole machine, for GPUs that are together or for anybody's turn: whatever is free works on what there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .workload import DAY, Month, Visit

STILL = 1e-6


@dataclass(frozen=True, kw_only=True)
class Ideal:
    """How a month goes without any packing."""

    busy: float
    waits: tuple[float, ...]  #: until the first part of a GPU, of jobs


@dataclass(kw_only=True)
class _Piece:
    at: float
    gpus: int
    left: float  #: GPU seconds
    is_job: bool
    waited: float | None = None


def ideal(month: Month, *, days: float, idle_limit: float | None) -> Ideal:
    """Return the use of the GPUs within the month, and how long jobs wait."""
    coming = sorted(_pieces(month, idle_limit), key=lambda piece: piece.at, reverse=True)
    end, now, area = days * DAY, 0.0, 0.0
    there: list[_Piece] = []
    waits: list[float] = []
    while coming or there:
        shares = _shares(there, month.gpus)
        next_end = min((piece.left / share for piece, share in shares), default=float("inf"))
        next_come = coming[-1].at - now if coming else float("inf")
        step = max(min(next_end, next_come), 0.0)
        area += sum(share for _, share in shares) * max(0.0, min(now + step, end) - min(now, end))
        for piece, share in shares:
            if piece.waited is None:
                piece.waited = now - piece.at
                waits += [piece.waited] if piece.is_job else []
            piece.left -= share * step
        now += step
        there = [piece for piece in there if piece.left > STILL]
        while coming and coming[-1].at <= now:
            there.append(coming.pop())
    return Ideal(busy=area / month.gpus / end, waits=tuple(waits))


def _shares(there: list[_Piece], gpus: int) -> list[tuple[_Piece, float]]:
    """Return who works on how many GPUs, those who came first served first."""
    free, shares = float(gpus), []
    for piece in there:
        share = min(float(piece.gpus), free)
        if share <= 0:
            break
        shares.append((piece, share))
        free -= share
    return shares


def _pieces(month: Month, idle_limit: float | None) -> Iterator[_Piece]:
    for job in month.jobs:
        yield _Piece(at=job.at, gpus=job.gpus, left=max(job.gpus * job.runs, 1.0), is_job=True)
    for visit in month.visits:
        for at, seconds in _stays(visit, idle_limit):
            yield _Piece(at=at, gpus=1, left=max(seconds, 1.0), is_job=False)


def _stays(visit: Visit, idle_limit: float | None) -> Iterator[tuple[float, float]]:
    """Yield from when on and how long a notebook holds its GPU when it never waits."""
    at, seconds = visit.at, 0.0
    for work, pause in visit.stretches:
        seconds += work
        if idle_limit is not None and pause > idle_limit:
            yield at, seconds + idle_limit
            at, seconds = at + seconds + pause, 0.0
        else:
            seconds += pause
    if seconds > 0:
        yield at, seconds
