"""The names in a directory, in order: those of the last ones that did not change are kept, so that page after page is quick."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator

KEPT_BYTES = 8 * 1024 * 1024  #: of memory, for all directories together
DIRECTORY_BYTES = 500  #: that one takes beside its names
MOST_OF_ONE = (
    50_000  #: of a directory with more only as many are held as are asked for, and it is read again for each page
)
SETTLED_SECONDS = 2.0  #: a directory that changed a moment ago may change again within the same tick of its clock

Key = tuple[int, int, int, int]


class KeptNames:
    """Reads names; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: OrderedDict[Key, list[str]] = OrderedDict()
        self._bytes = 0

    def after(self, folder: int, least: str, most: int) -> list[str]:
        """Return the first `most` names of an open directory that come after one, in order; fewer: there are no more."""
        state = os.fstat(folder)
        key = (state.st_dev, state.st_ino, state.st_mtime_ns, state.st_ctime_ns)
        with self._lock:
            names = self._names.get(key)
            if names is not None:
                self._names.move_to_end(key)
        if names is None:
            with os.scandir(folder) as found:
                rest = (entry.name for entry in found)
                names = list(itertools.islice(rest, MOST_OF_ONE))
                if len(names) == MOST_OF_ONE:
                    return _smallest((name for name in itertools.chain(names, rest) if name > least), most)
            names.sort()
            if time.time() - max(state.st_mtime, state.st_ctime) > SETTLED_SECONDS:
                self._keep(key, names)
        at = bisect_right(names, least) if least else 0
        return names[at : at + most]

    def _keep(self, key: Key, names: list[str]) -> None:
        with self._lock:
            if key in self._names:
                return
            self._names[key] = names
            self._bytes += _taken(names)
            while self._bytes > KEPT_BYTES:
                self._bytes -= _taken(self._names.popitem(last=False)[1])


def _taken(names: list[str]) -> int:
    """Return the bytes of memory that a directory's names take."""
    return DIRECTORY_BYTES + sys.getsizeof(names) + sum(map(sys.getsizeof, names))


def _smallest(names: Iterator[str], most: int) -> list[str]:
    """Return the first names in their order, without keeping many more."""
    kept: list[str] = []
    for name in names:
        kept.append(name)
        if len(kept) >= 2 * most:
            kept.sort()
            del kept[most:]
    kept.sort()
    return kept[:most]
