"""Sending a snapshot: only the contents that the service lacks, a few packs at once, and on after a cut."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Protocol

from ..errors import Busy, FieldError, HimaliaError, LocalError, NotFound, Unavailable
from ..models import Manifest, SnapshotView
from ..units import MiB
from . import wire
from .pack import LARGE_TREE, Packed, Progress

TRIES = 5  #: without anything new that got through
PAUSE_SECONDS = 1.0
PACKS_AT_ONCE = 3
LEAST_PACK_BYTES = 8 * MiB  #: less is not worth a connection of its own


class SnapshotTransport(Protocol):
    """The calls of the service that a snapshot needs; the HTTP client implements them."""

    def find_snapshot(self, owner: str, digest: str) -> SnapshotView:
        """Return a committed snapshot of which the service has everything; raise NotFound when there is none."""

    def open_snapshot(self, owner: str, manifest: Manifest) -> SnapshotView:
        """Write an open snapshot and return which contents are missing."""

    def put_contents(
        self, snapshot_id: str, chunks: Iterator[bytes], url: str | None = None, length: int | None = None
    ) -> SnapshotView:
        """Send a pack, to another address where one is given, and return what is still missing."""

    def commit_snapshot(self, snapshot_id: str) -> SnapshotView:
        """Mark the snapshot as complete."""


def send(transport: SnapshotTransport, owner: str, packed: Packed, progress: Progress | None = None) -> SnapshotView:
    """Send what is missing and commit; raise LocalError when a file changes meanwhile, Unavailable when it never gets through."""
    if packed.entry_count >= LARGE_TREE and not packed.is_new:
        with suppress(NotFound, FieldError):  # an older service wants the list
            return transport.find_snapshot(owner, packed.digest)
    tries, lacked = 0, -1
    while True:
        snapshot = transport.open_snapshot(owner, packed.manifest)
        tries, lacked = (0 if len(snapshot.missing) < lacked else tries), len(snapshot.missing)
        failure: HimaliaError = Unavailable("The files could not be sent completely. Try again.")
        try:
            sent = _Sending(transport, snapshot, packed, progress).run() if snapshot.missing else snapshot
            if not sent.missing:
                return (
                    sent if sent.committed else transport.commit_snapshot(snapshot.id)
                )  # an older service waits for that
        except (Unavailable, Busy) as error:  # a cut; or a content that was there is missing after all
            failure = error
        tries += 1
        if tries == TRIES:
            raise failure
        time.sleep(PAUSE_SECONDS * (tries - 1))


class Stopped(LocalError):
    """Another pack of the same snapshot failed in a way that no other try mends."""


class _Sending:
    """One go at sending what is missing."""

    def __init__(
        self, transport: SnapshotTransport, snapshot: SnapshotView, packed: Packed, progress: Progress | None
    ) -> None:
        if unknown := set(snapshot.missing) - packed.sources.keys():
            raise LocalError(
                f"The service asks for {len(unknown)} contents that are not in this directory. Submit again."
            )
        self._transport = transport
        self._snapshot = snapshot
        self._packed = packed
        self._progress = progress
        self._squeezed = snapshot.squeeze and wire.can_squeeze()
        self._stopped = threading.Event()
        self._telling = threading.Lock()
        self._done = 0
        self._total = sum(packed.sources[digest].length for digest in snapshot.missing)

    def run(self) -> SnapshotView:
        """Send all packs; return the snapshot as it was when the last one had arrived."""
        parts = self._parts()
        self._read(0)
        if len(parts) == 1:
            return self._put(parts[0])
        with ThreadPoolExecutor(len(parts), thread_name_prefix="send") as threads:
            try:
                sending = [threads.submit(self._put, part) for part in parts]
                wait(sending)
            except BaseException:  # of whoever waits, such as Ctrl+C
                self._stopped.set()
                raise
        errors = [error for one in sending if (error := one.exception()) is not None]
        # What no other try mends is told before a cut.
        for error in sorted(errors, key=lambda error: isinstance(error, (Stopped, Unavailable, Busy))):
            raise error
        return min((one.result() for one in sending), key=lambda view: (len(view.missing), not view.committed))

    def _put(self, digests: Collection[str]) -> SnapshotView:
        stream = self._packed.stream(digests, squeezed=self._squeezed, read=self._read)
        length = None if self._squeezed else self._packed.length_of(digests)
        try:
            return self._transport.put_contents(self._snapshot.id, stream, self._snapshot.upload_url, length)
        except (Unavailable, Busy):  # the other packs arrive all the same
            raise
        except BaseException:
            self._stopped.set()
            raise

    def _read(self, count: int) -> None:
        """Count what was read; called in the threads that send."""
        if self._stopped.is_set():
            raise Stopped("The upload was stopped.")
        with self._telling:
            self._done += count
            if self._progress:
                self._progress("sending", 0, len(self._snapshot.missing), self._done, self._total)

    def _parts(self) -> list[list[str]]:
        """Cut what is missing into packs of about the same length, in the order of the files."""
        count = max(1, min(PACKS_AT_ONCE, self._total // LEAST_PACK_BYTES))
        parts: list[list[str]] = [[] for _ in range(count)]
        before = 0
        for digest in self._packed.in_order(self._snapshot.missing):
            parts[min(count - 1, before * count // self._total)].append(digest)
            before += self._packed.sources[digest].length
        return [part for part in parts if part]


__all__ = ["Progress", "SnapshotTransport", "send"]
