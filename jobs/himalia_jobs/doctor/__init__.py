"""What only a platform's own machine can check; `himalia doctor` finds it by an entry point."""

from __future__ import annotations

from .listed import checks

__all__ = ["checks"]
