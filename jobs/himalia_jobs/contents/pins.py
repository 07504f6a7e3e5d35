"""Snapshots that somebody works with now: they stay whole, though no row of the database may say so yet.

Pins are in memory alone. A service that dies has answered nothing that a pin was to keep: who asked asks again.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable

PIN_SECONDS = 3600.0  #: from the last time that it was worked with


class Pins:
    """Remembers which snapshots are worked with; safe to use from any thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._until: dict[str, dict[str, float]] = defaultdict(dict)

    def pin(self, owner_id: str, digest: str) -> None:
        """Keep a snapshot for an hour from now."""
        with self._lock:
            self._until[owner_id][digest] = self._now() + PIN_SECONDS

    def of(self, owner_id: str) -> frozenset[str]:
        """Return the snapshots of an owner that are pinned; pins that are over are forgotten."""
        with self._lock:
            pinned = self._until.get(owner_id, {})
            for digest in [digest for digest, until in pinned.items() if until <= self._now()]:
                del pinned[digest]
            if not pinned:
                self._until.pop(owner_id, None)
            return frozenset(pinned)
