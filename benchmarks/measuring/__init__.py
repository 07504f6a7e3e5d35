"""What all benchmarks share: a platform of their own, rounds in turn, and a table of what was measured."""

from .place import one_person, own_platform
from .report import Figure, Report, main

__all__ = ["Figure", "Report", "main", "one_person", "own_platform"]
