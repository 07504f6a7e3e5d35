"""`himalia`: the command line. One file a command group."""

from __future__ import annotations

from .main import main

__all__ = ["main"]
