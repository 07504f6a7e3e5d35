"""What attempts, homes and storages take of this machine's disk: asked of the file system where it knows, else counted.

To count costs processor time, so it is done in threads that give way to all others, for a share of the time, and not
before a place can have reached its limit: nothing writes faster than `FASTEST`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from himalia.units import GiB

from ...layout import DataLayout
from ..disk import DiskLimit, DiskPlace, DiskUse
from ..errors import EngineError
from .counting import Count, Walk
from .open_deleted import deleted_but_open, processes_of
from .project_quota import ProjectQuota, find_quota

log = logging.getLogger(__name__)

FASTEST_BYTES, FASTEST_FILES = 4 * GiB, 200_000  #: that anything writes in a second
LONGEST_SECONDS = 20.0  #: between two looks at an attempt
LEAST_SECONDS, ROUND_SECONDS = 0.02, 0.4  #: of processor time, for all attempts of a round
SHARE = 0.2  #: of the time since the last round, in between
SLICE_SECONDS, REST_SECONDS = 0.05, 0.2  #: counting a storage, which nobody waits for
NICE = 10
#: Where an attempt's bytes lie, in words; `work` is the overlay's own.
WORDS = {
    "upper": "in the workspace",
    "work": "in the workspace",
    "artifacts": "in /artifacts",
    "home": "in its home",
    "run": "in /himalia",
    "container": "in /tmp and elsewhere in its container",
    "deleted": "in files that are deleted and still open",
}
FENCED = ("upper", "work", "artifacts", "home")


@dataclass(frozen=True, kw_only=True)
class Container:
    """A running attempt's container: its id, and where the Engine keeps what is written beside all mounts."""

    handle: str
    layer: Path | None


@dataclass(kw_only=True)
class _Seen:
    """What is known of an attempt."""

    use: DiskUse | None = None
    walk: Walk | None = None
    due: float = 0.0
    container: Container | None = None


class DiskMeter:
    """Tells what places take; `find` looks for the container of an attempt."""

    def __init__(self, layout: DataLayout, log_bytes: int, find: Callable[[str], Awaitable[Container | None]]) -> None:
        self.layout = layout
        self.quota: ProjectQuota | None = None
        self._log_bytes = log_bytes  #: of an attempt's log, which has a limit of its own
        self._find = find
        self._attempts: dict[str, _Seen] = {}
        self._looked_at = 0.0
        self._closing = threading.Event()
        self._quick = ThreadPoolExecutor(1, thread_name_prefix="disk", initializer=_give_way)
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="storages", initializer=_give_way)

    async def open(self) -> None:
        """Find out whether the file system fences by itself."""
        self.quota = await asyncio.get_running_loop().run_in_executor(self._quick, find_quota, self.layout.data)

    def close(self) -> None:
        """Let go of everything."""
        self._closing.set()
        for pool in (self._quick, self._slow):
            pool.shutdown(wait=True, cancel_futures=True)
        for seen in self._attempts.values():
            _drop(seen)

    def fence(self, attempt: str, limit: DiskLimit) -> None:
        """Let the file system hold a new attempt to its limit, where it can; one that is not fenced is counted."""
        own = self.layout.attempt(attempt)
        if self.quota is not None and limit != DiskLimit():
            try:
                self.quota.fence(own, [own / name for name in FENCED], limit)
            except OSError:
                return

    async def use(self, places: Sequence[DiskPlace]) -> list[DiskUse]:
        """Return what places take: attempts as they are now or cannot have passed, others counted to the end."""
        attempts = [place for place in places if place.kind == "attempt"]
        loop = asyncio.get_running_loop()
        found: list[DiskUse] = []
        if attempts:
            await asyncio.gather(*(self._known(place.name) for place in attempts))
            found += await loop.run_in_executor(self._quick, self._round, attempts)
        for place in places:
            if place.kind != "attempt":
                found.append(await loop.run_in_executor(self._slow, self._storage, place))
        return found

    async def _known(self, attempt: str) -> None:
        """Look for an attempt's container once; without an Engine that answers, the rest is counted all the same."""
        seen = self._attempts.setdefault(attempt, _Seen())
        if seen.container is None:
            with contextlib.suppress(EngineError):
                seen.container = await self._find(attempt)

    def _round(self, places: Sequence[DiskPlace]) -> list[DiskUse]:
        """Look at those that are due, each for its share of the round."""
        names = {place.name for place in places}
        for name in self._attempts.keys() - names:
            _drop(self._attempts.pop(name))
        now = time.monotonic()
        seconds = min(
            ROUND_SECONDS, max(LEAST_SECONDS, SHARE * (now - self._looked_at))
        )  # what is not done goes on in the next round
        self._looked_at = now
        due = [place for place in places if now >= self._attempts[place.name].due]
        handles = {name: seen.container.handle for name, seen in self._attempts.items() if seen.container}
        pids = processes_of(handles[place.name] for place in due if place.name in handles)
        for place in due:
            self._look(place, pids.get(handles.get(place.name, ""), []), seconds / len(due))
        known = (self._attempts[place.name].use for place in places)
        return [use for use in known if use is not None]

    def _look(self, place: DiskPlace, pids: Sequence[int], seconds: float) -> None:
        seen = self._attempts[place.name]
        project = self._project(self.layout.attempt(place.name) / "upper")
        if seen.walk is None:
            seen.walk = Walk(self._roots(place.name, seen.container, fenced=bool(project)))
        done = seen.walk.go_on(seconds)
        counts = dict(seen.walk.counts) | {"deleted": deleted_but_open(pids)}
        counts["run"] = replace(counts["run"], size_bytes=max(0, counts["run"].size_bytes - self._log_bytes))
        if self.quota is not None and project:
            taken = self.quota.use(project)
            counts["upper"] = Count(size_bytes=taken.size_bytes, files=taken.files)
        now = _added(place, counts, fenced=bool(project))
        if done or seen.use is None or now.used_bytes > seen.use.used_bytes or now.files > seen.use.files:
            seen.use = now  # a count that is not through tells the least that there is
        else:
            seen.use = replace(seen.use, place=place)
        if done:
            _drop(seen)
            seen.due = time.monotonic() + _pause(now)

    def _roots(self, attempt: str, container: Container | None, *, fenced: bool) -> list[tuple[str, Path]]:
        own = self.layout.attempt(attempt)
        names = ("run",) if fenced else (*FENCED, "run")
        layer = [("container", container.layer)] if container is not None and container.layer is not None else []
        return [(name, own / name) for name in names] + layer

    def _project(self, folder: Path) -> int:
        """Return the project of ours that a directory belongs to; 0: none."""
        if self.quota is None:
            return 0
        try:
            return self.quota.project_of(folder)
        except OSError:
            return 0

    def _storage(self, place: DiskPlace) -> DiskUse:
        """Ask the file system, or count to the end, a little at a time."""
        folder = {"home": self.layout.home, "storage": self.layout.storage, "team": self.layout.team}[place.kind](
            place.name
        )
        if self.quota is not None and place.limit != DiskLimit():
            try:
                taken = self.quota.use(self.quota.fence_tree(folder, place.limit))
                return DiskUse(place=place, used_bytes=taken.size_bytes, files=taken.files, fenced=True)
            except (OSError, RecursionError) as error:
                log.warning("%s cannot be fenced, and is looked at instead: %s", folder, error)
        walk = Walk([("all", folder)])
        while not walk.go_on(SLICE_SECONDS) and not self._closing.wait(REST_SECONDS):
            pass
        walk.close()
        return DiskUse(place=place, used_bytes=walk.size_bytes, files=walk.files)


def _added(place: DiskPlace, counts: Mapping[str, Count], *, fenced: bool) -> DiskUse:
    largest = max(counts, key=lambda name: (counts[name].size_bytes, counts[name].files))
    return DiskUse(
        place=place,
        used_bytes=sum(count.size_bytes for count in counts.values()),
        files=sum(count.files for count in counts.values()),
        mostly=WORDS[largest],
        fenced=fenced,
    )


def _pause(use: DiskUse) -> float:
    """Return for how long an attempt cannot have reached its limit."""
    limit = use.place.limit
    left = [LONGEST_SECONDS]
    if limit.size_bytes:
        left.append((limit.size_bytes - use.used_bytes) / FASTEST_BYTES)
    if limit.files:
        left.append((limit.files - use.files) / FASTEST_FILES)
    return max(0.0, min(left))


def _drop(seen: _Seen) -> None:
    if seen.walk is not None:
        seen.walk.close()
    seen.walk = None


def _give_way() -> None:
    """Let this thread, and on Linux no other of the process, run behind all others."""
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, max(NICE, os.getpriority(os.PRIO_PROCESS, thread)))
