"""Sending a snapshot: only the contents that the service lacks, again after a cut."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol

from ..errors import Busy, LocalError, Unavailable
from ..models import Manifest, SnapshotView
from .pack import Packed, Progress

TRIES = 5
PAUSE_SECONDS = 1.0


class SnapshotTransport(Protocol):
    """The three calls of the service that a snapshot needs; the HTTP client implements them."""

    def open_snapshot(self, owner: str, manifest: Manifest) -> SnapshotView:
        """Write an open snapshot and return which contents are missing."""

    def put_contents(self, snapshot_id: str, chunks: Iterator[bytes]) -> SnapshotView:
        """Send a pack and return what is still missing."""

    def commit_snapshot(self, snapshot_id: str) -> SnapshotView:
        """Mark the snapshot as complete."""


def send(transport: SnapshotTransport, owner: str, packed: Packed, progress: Progress | None = None) -> SnapshotView:
    """Send what is missing and commit; raise LocalError when a file changes meanwhile, Unavailable when it never gets through."""
    for attempt in range(TRIES):
        snapshot = transport.open_snapshot(owner, packed.manifest)
        try:
            if snapshot.missing:
                _must_be_here(packed, snapshot)
                snapshot = transport.put_contents(snapshot.id, _counted(packed, set(snapshot.missing), progress))
            if not snapshot.missing:
                return snapshot if snapshot.committed else transport.commit_snapshot(snapshot.id)
        except (Unavailable, Busy):  # a cut; or a content that was there is missing after all
            if attempt == TRIES - 1:
                raise
            time.sleep(PAUSE_SECONDS * attempt)
    raise Unavailable("The files could not be sent completely. Try again.")


def _must_be_here(packed: Packed, snapshot: SnapshotView) -> None:
    if unknown := set(snapshot.missing) - packed.sources.keys():
        raise LocalError(f"The service asks for {len(unknown)} contents that are not in this directory. Submit again.")


def _counted(packed: Packed, missing: set[str], progress: Progress | None) -> Iterator[bytes]:
    total = sum(packed.sources[digest].length for digest in missing)
    done = 0
    for block in packed.stream(missing):
        yield block
        done += len(block)
        if progress:
            progress("sending", 0, len(missing), min(done, total), total)


__all__ = ["Progress", "SnapshotTransport", "send"]
