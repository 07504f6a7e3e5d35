"""Fetching repositories: who may be asked, at which address, and git itself, cut off from all else."""

from __future__ import annotations

from .fetches import Fetch, Fetches

__all__ = ["Fetch", "Fetches"]
