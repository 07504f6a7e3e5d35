"""Checks of a machine or a connection: each is well, or says what to do."""

from __future__ import annotations

from .check import Check, Outcome, ask_all
from .connection import connection_checks
from .gather import all_checks

__all__ = ["Check", "Outcome", "all_checks", "ask_all", "connection_checks"]
