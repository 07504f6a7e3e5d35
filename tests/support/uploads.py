"""Sending contents to a service that listens, as a client does it."""

from __future__ import annotations

from blake3 import blake3
from service_at_work import AtWork

from himalia.models import Entry, Manifest
from himalia.snapshot.wire import END, PLAIN, header


def packed_of(*contents: bytes) -> bytes:
    """Return a pack with these contents."""
    return PLAIN + b"".join(header(blake3(content).hexdigest(), len(content)) + content for content in contents) + END


def manifest_of(*contents: bytes) -> Manifest:
    """Return a manifest of files with these contents."""
    digests = [blake3(content).hexdigest() for content in contents]
    files = [
        {"path": f"f{number}", "type": "file", "size_bytes": len(content), "chunks": (digests[number],)}
        for number, content in enumerate(contents)
    ]
    return Manifest(entries=tuple(Entry.model_validate(file) for file in files))


async def opened(work: AtWork, *contents: bytes, who: str = "ada") -> dict[str, object]:
    """Open a snapshot of files with these contents."""
    wish = {"owner": f"user:{who}", "manifest": manifest_of(*contents).model_dump(mode="json")}
    answer = await work.ask("POST", "snapshots", who, json=wish)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def sent(work: AtWork, *contents: bytes) -> None:
    """Send what is missing, and commit."""
    snapshot = await opened(work, *contents)
    missing = [content for content in contents if blake3(content).hexdigest() in snapshot["missing"]]  # type: ignore[operator]
    await work.ask("PUT", f"snapshots/{snapshot['id']}/contents", content=packed_of(*missing))
    assert (await work.ask("POST", f"snapshots/{snapshot['id']}/commit")).json()["committed"]
