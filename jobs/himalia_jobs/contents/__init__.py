"""Snapshots, the service's side: contents by digest, manifests and trees, for each owner apart."""

from __future__ import annotations

from .lists import ReadList
from .receiver import PackReceiver
from .store import Accepted, ContentStore
from .sweeping import Freed, Needs, Sweeper

__all__ = ["Accepted", "ContentStore", "Freed", "Needs", "PackReceiver", "ReadList", "Sweeper"]
