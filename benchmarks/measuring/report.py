"""From samples to a table: median, least and most of each figure, and how it compares with the other side."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import click

from . import machine
from .judging import HEAD, Judged, judge, short, table


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Samples of one thing; `beside` names the figure it is compared with, measured in the same rounds."""

    name: str
    unit: str
    samples: tuple[float, ...]
    beside: str = ""

    @property
    def median(self) -> float:
        """The sample in the middle."""
        return median(self.samples)


@dataclass(kw_only=True)
class Report:
    """What one benchmark measured."""

    title: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=machine.describe)

    def add(self, name: str, unit: str, samples: list[float], *, beside: str = "") -> None:
        """Add a figure."""
        self.figures.append(Figure(name=name, unit=unit, samples=tuple(samples), beside=beside))

    def judge(
        self, goal: str, what: str, unit: str, ours: Sequence[float], *others: Sequence[float], **told: Any
    ) -> None:
        """Judge a goal, as `judging.judge` does."""
        told.setdefault("load_before", self.before["load"][0])
        self.judged.append(judge(goal, what, unit, ours, *others, **told))

    def ratio(self, figure: Figure) -> float | None:
        """Return a figure over the one beside it, by their medians; the two sides met the same load."""
        other = next((found for found in self.figures if found.name == figure.beside), None)
        return figure.median / other.median if other and other.median else None

    def to_json(self) -> dict[str, Any]:
        """Return all of it as data."""
        figures = [asdict(figure) | {"median": figure.median, "ratio": self.ratio(figure)} for figure in self.figures]
        return {
            "title": self.title,
            "machine": self.before,
            "load_after": machine.load(),
            "figures": figures,
            "goals": [judged.to_json() for judged in self.judged],
            "notes": self.notes,
            "text": self.to_text(),
        }

    def to_text(self) -> str:
        """Return a table."""
        rows = [("", "unit", "median", "min", "max", "n", "ratio")]
        for figure in self.figures:
            ratio = self.ratio(figure)
            numbers = [short(value) for value in (figure.median, min(figure.samples), max(figure.samples))]
            said = f"{ratio:.2f} x {figure.beside}" if ratio is not None else ""
            rows.append((figure.name, figure.unit, *numbers, str(len(figure.samples)), said))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [_line(row, widths) for row in rows]
        seen = self.before
        where = f"{seen['cores']} cores ({seen['cpu']}), {seen['memory_bytes'] / 2**30:.0f} GiB, Linux {seen['kernel']}"
        when = f"{seen['at']}, load {seen['load'][0]} before and {machine.load()[0]} after"
        goals = [table([HEAD, *(judged.row() for judged in self.judged)])] if self.judged else []
        return "\n".join([self.title, *lines, *self.notes, *goals, where, when, ""])


def main(measure: Callable[..., Report], *, rounds: int, sized: bool = False) -> None:
    """Run a benchmark as a command: a table, or with --json data. One that is `sized` is told how large to be."""

    @click.command(help=measure.__doc__)
    @click.option("--rounds", default=rounds, show_default=True, help="How often each side is measured.")
    @click.option(
        "--scale", default=1.0, show_default=True, help="How large what is measured is, as a share of the whole."
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON in place of a table.")
    def command(rounds: int, scale: float, as_json: bool) -> None:
        report = measure(rounds, scale) if sized else measure(rounds)
        click.echo(json.dumps(report.to_json()) if as_json else report.to_text())

    command()


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    first, unit, *rest, last = row
    padded = [text.rjust(width) for text, width in zip(rest, widths[2:-1], strict=True)]
    return "  ".join([first.ljust(widths[0]), unit.ljust(widths[1]), *padded, last]).rstrip()
