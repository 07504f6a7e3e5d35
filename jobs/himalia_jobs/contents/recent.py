"""The lengths of the contents of snapshots that are being sent: between two requests of a sender their list is not read again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping

MOST_CONTENTS = 20_000  #: in memory, of all together: some five megabytes


class RecentLengths:
    """By owner and digest, which says all of a snapshot that there is to say; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lengths: OrderedDict[tuple[str, str], Mapping[str, int]] = OrderedDict()
        self._count = 0

    def keep(self, owner_id: str, digest: str, lengths: Mapping[str, int]) -> None:
        """Keep the length of each content of a snapshot, in the place of those that were used least lately."""
        key = (owner_id, digest)
        with self._lock:
            if key in self._lengths:
                self._lengths.move_to_end(key)
                return
            if len(lengths) > MOST_CONTENTS:
                return
            self._lengths[key] = lengths
            self._count += len(lengths)
            while self._count > MOST_CONTENTS:
                self._count -= len(self._lengths.popitem(last=False)[1])

    def of(self, owner_id: str, digest: str) -> Mapping[str, int] | None:
        """Return what was kept of a snapshot; None where that is nothing."""
        key = (owner_id, digest)
        with self._lock:
            if key in self._lengths:
                self._lengths.move_to_end(key)
            return self._lengths.get(key)
