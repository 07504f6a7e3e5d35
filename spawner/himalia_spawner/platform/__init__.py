"""Starting and stopping a platform on one machine: `himalia-platform`."""

from __future__ import annotations

from .cli import main

__all__ = ["main"]
