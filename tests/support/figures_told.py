"""What long runs of faults came to: told as a table once all tests are over, and to `make bench` as goals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from measuring.judging import Bound, Judged, judge, leave

FIGURES: list[tuple[str, str]] = []
MOST_FAULTS = 100  #: fewer tests of faults than this are no run of all of them
PARTS = ("test_service_campaign", "test_power_cuts", "test_recovery_steps")  #: a campaign without one of them is none
NONE = Bound(limit=0)


def tell_figure(what: str, figure: str) -> None:
    """Add a line to the table."""
    FIGURES.append((what, figure))


def table() -> str:
    """Return all lines; empty where nothing was told."""
    width = max((len(what) for what, _ in FIGURES), default=0)
    return "\n".join(f"{what:<{width}}  {figure}" for what, figure in FIGURES)


def tell_goals(folder: Path, stats: Mapping[str, Sequence[Any]], *, campaign: bool) -> None:
    """Leave what a run judged where `make bench` finds it: G16 by a campaign, G21 by a run of all faults."""
    ran = {
        outcome: [report for report in stats.get(outcome, ()) if _of_faults(report)] for outcome in ("passed", "failed")
    }
    failed = len(ran["failed"]) + len(stats.get("error", ()))
    if campaign and all(any(part in report.nodeid for report in chain(*ran.values())) for part in PARTS):
        what = "parts of the campaign in which something was lost, begun twice or left over"
        leave(folder, [replace(_judged("G16", what, failed), notes=[": ".join(figure) for figure in FIGURES])])
    if sum(map(len, ran.values())) >= MOST_FAULTS:
        count = len(ran["passed"]) + len(ran["failed"])
        leave(folder, [_judged("G21", f"of {count} tests of faults and bad inputs, those with another end", failed)])


def _of_faults(report: Any) -> bool:
    return getattr(report, "when", "") == "call" and "fault" in getattr(report, "keywords", {})


def _judged(goal: str, what: str, failed: int) -> Judged:
    return judge(goal, what, "", [float(failed)], bound=NONE)
