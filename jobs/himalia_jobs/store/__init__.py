"""The service's database: tables, guarded moves and queries. The only place with SQL."""

from __future__ import annotations

from .database import Database

__all__ = ["Database"]
