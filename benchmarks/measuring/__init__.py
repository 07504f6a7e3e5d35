"""What all benchmarks share: a platform of their own, rounds in turn, a table of what was measured, goals and whether they hold."""

from .judging import Bound
from .place import one_person, own_platform, own_service, places, someone
from .report import Figure, Report, main
from .turns import cpu_of, in_turn, percentile

__all__ = [
    "Bound",
    "Figure",
    "Report",
    "cpu_of",
    "in_turn",
    "main",
    "one_person",
    "own_platform",
    "own_service",
    "percentile",
    "places",
    "someone",
]
