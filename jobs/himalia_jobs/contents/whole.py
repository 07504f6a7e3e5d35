"""Remembers of which snapshots all contents were there: they are not looked for again while nothing was taken away.

A name that goes or comes changes the time stamps of its folder. So a snapshot of which all was there still has it for as long
as the folders of its owner's contents are as they were then; when one differs, whoever did that, all is looked for again. The
memory dies with the service: what a power cut may have taken, the next one looks for.
"""

from __future__ import annotations

import marshal
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

#: A clock ticks in steps (a file system's of up to two seconds): what changed this late could change again unseen.
SETTLED_NS = 2_500_000_000
MOST_SNAPSHOTS = 2000


class WholeSnapshots:
    """Which snapshots were whole, and how the folders were then; safe to use from any thread."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def look(self, blobs: Path, manifest: Path) -> bytes | None:
        """Return how an owner's folders and a manifest are now; None where something is gone, or has changed a moment ago."""
        try:
            states = [("", *_state(os.stat(blobs))), ("", *_state(os.stat(manifest)))]
            with os.scandir(blobs) as found:
                states += sorted((entry.name, *_state(entry.stat(follow_symlinks=False))) for entry in found)
        except FileNotFoundError:
            return None
        newest = max(max(modified, changed) for *_, modified, changed in states)
        if self._now_ns() - newest < SETTLED_NS:
            return None
        return blake3(marshal.dumps(states, 2)).digest()

    def knows(self, owner_id: str, digest: str, look: bytes | None) -> bool:
        """Tell whether a snapshot was whole when all looked as it does now."""
        with self._lock:
            return look is not None and self._seen.get((owner_id, digest)) == look

    def remember(self, owner_id: str, digest: str, look: bytes | None) -> None:
        """Remember that a snapshot was whole at some moment after this look."""
        if look is None:
            return
        with self._lock:
            self._seen[owner_id, digest] = look
            self._seen.move_to_end((owner_id, digest))
            if len(self._seen) > MOST_SNAPSHOTS:
                self._seen.popitem(last=False)

    def forget(self, owner_id: str) -> None:
        """Believe nothing any more of an owner's snapshots: contents go."""
        with self._lock:
            for key in [key for key in self._seen if key[0] == owner_id]:
                del self._seen[key]


def _state(state: os.stat_result) -> tuple[int, int, int, int]:
    return state.st_dev, state.st_ino, state.st_mtime_ns, state.st_ctime_ns
