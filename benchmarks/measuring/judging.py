"""Goals: what was promised, what was measured, and whether it holds.

A goal is judged by the ratio of two sides that took turns in one run, or by a figure alone. It is missed only when the median
*and* the best of the rounds miss: others on the machine make a figure worse, never better.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from . import machine


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Where a goal ends."""

    limit: float
    at_least: bool = False  #: else at most

    def holds(self, value: float) -> bool:
        """Tell whether a value is within it."""
        return value >= self.limit if self.at_least else value <= self.limit

    def best(self, values: Sequence[float]) -> float:
        """Return the value that is furthest on the good side."""
        return max(values) if self.at_least else min(values)

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {short(self.limit)}"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A sample in few numbers."""

    median: float
    lower: float  #: a quarter of the samples is less
    upper: float  #: a quarter is more
    best: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float], bound: Bound) -> Spread:
        """Return the spread of some values."""
        lower, _, upper = quantiles(values, n=4, method="inclusive") if len(values) > 1 else (*values, *values, *values)
        return cls(median=median(values), lower=lower, upper=upper, best=bound.best(values), count=len(values))


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One goal, judged."""

    goal: str  #: its number, such as G1
    what: str
    unit: str
    ours: Spread
    other: Spread | None
    other_side: str
    ratio: Spread | None  #: of each round; its best is that of the best samples of both sides
    bound: Bound
    passed: bool
    stretch: bool  #: one that is hoped for: it fails nothing
    cpu_seconds: dict[str, float]  #: of the whole machine in one round of each side
    load: list[float]  #: before and after
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return it as data."""
        return asdict(self)

    def row(self) -> tuple[str, ...]:
        """Return it as a line of the table."""
        return row_of(self.to_json())


def judge(
    goal: str,
    what: str,
    unit: str,
    ours: Sequence[float],
    other: Sequence[float] = (),
    *,
    bound: Bound,
    other_side: str = "",
    stretch: bool = False,
    cpu_seconds: dict[str, float] | None = None,
    load_before: float | None = None,
) -> Judged:
    """Judge a goal by the ratio of both sides, round by round, or by our side alone where there is no other."""
    ratio = None
    if other:
        by_rounds = [mine / theirs for mine, theirs in zip(ours, other, strict=True)]
        spread = Spread.of(by_rounds, bound)
        best = bound.best(ours) / bound.best(other)
        ratio = Spread(median=spread.median, lower=spread.lower, upper=spread.upper, best=best, count=spread.count)
    counted = ratio or Spread.of(ours, bound)
    now = machine.load()[0]
    return Judged(
        goal=goal,
        what=what,
        unit=unit,
        ours=Spread.of(ours, bound),
        other=Spread.of(other, bound) if other else None,
        other_side=other_side,
        ratio=ratio,
        bound=bound,
        passed=bound.holds(counted.median) or bound.holds(counted.best),
        stretch=stretch,
        cpu_seconds=cpu_seconds or {},
        load=[now if load_before is None else load_before, now],
    )


TOLD = "told"  #: below `build`: what longer runs than `make bench` leave there
HEAD = (
    "goal",
    "what",
    "unit",
    "himalia",
    "other side",
    "ratio (quartiles; best)",
    "goal is",
    "",
    "load",
    "CPU s a round",
)


def row_of(judged: dict[str, Any]) -> tuple[str, ...]:
    """Return a line of the table for a goal as it stands in JSON."""
    other, ratio, cpu = judged["other"], judged["ratio"], judged["cpu_seconds"]
    bound = Bound(**judged["bound"])
    before, after = judged["load"]
    said = "pass" if judged["passed"] else "not reached" if judged["stretch"] else "MISS"
    return (
        judged["goal"],
        judged["what"],
        judged["unit"],
        short(judged["ours"]["median"]),
        f"{short(other['median'])} {judged['other_side']}" if other else "",
        f"{ratio['median']:.2f} ({ratio['lower']:.2f} to {ratio['upper']:.2f}; {ratio['best']:.2f})" if ratio else "",
        str(bound),
        said,
        f"{before:.1f} to {after:.1f}",
        ", ".join(f"{name} {seconds:.2f}" for name, seconds in cpu.items()),
    )


def row_of_absent(goal: str, what: str, run: str) -> tuple[str, ...]:
    """Return a line of the table for a goal that is judged by a longer run, which has left nothing here."""
    said = [goal, what, *[""] * (len(HEAD) - 2)]
    said[HEAD.index("goal is") + 1] = f"not measured here: run `{run}`"
    return tuple(said)


def leave(folder: Path, judged: Sequence[Judged]) -> None:
    """Leave goals of one name where `make bench` finds them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{judged[0].goal}.json").write_text(json.dumps([one.to_json() for one in judged], indent=1) + "\n")


def short(value: float) -> str:
    """Return a number with as many digits as say something."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 0.1 else f"{value:.2g}"


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return lines of columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
