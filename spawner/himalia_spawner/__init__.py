"""Notebook servers on the GPUs of a ledger: the spawner, and `configure(c, …)` for a hub's configuration."""

from __future__ import annotations

from .configuration import configure
from .gpu_spawner import GPUSpawner
from .lease_mixin import LeaseMixin

__all__ = ["GPUSpawner", "LeaseMixin", "configure"]
