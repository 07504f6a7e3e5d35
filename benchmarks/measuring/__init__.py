"""What all benchmarks share: a platform of their own, rounds in turn, and a table of what was measured."""

from .place import own_platform
from .report import Figure, Report, main

__all__ = ["Figure", "Report", "main", "own_platform"]
