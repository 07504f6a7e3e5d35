"""The HTTP client of the job service."""

from __future__ import annotations

from .client import Client

__all__ = ["Client"]
