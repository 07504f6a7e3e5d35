"""Files taken into a store of contents as a sender would send them."""

from __future__ import annotations

from pathlib import Path

from himalia.snapshot import pack, scan
from himalia_jobs.contents import ContentStore

OWNER, OTHER = "a" * 12, "b" * 12


def take(store: ContentStore, folder: Path, owner: str = OWNER) -> str:
    """Take a directory in as a sender would send it; return the snapshot's digest."""
    packed = pack(scan(folder))
    accepted = store.accept(owner, packed.manifest)
    receiver = store.receive(owner, accepted.digest)
    for piece in packed.stream(store.missing_of(owner, accepted.digest)):
        receiver.feed(piece)
    receiver.finish()
    return accepted.digest
