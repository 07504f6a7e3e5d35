"""What a fake job service shows: jobs, their attempts and ends, profiles; and packs read back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from blake3 import blake3

from himalia.ids import new_id
from himalia.models import Artifact, AttemptView, JobView, ProfileView
from himalia.reasons import Reason
from himalia.snapshot.wire import BLOCK_BYTES, END, PLAIN, SQUEEZED, unfolded
from himalia.states import JobState

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Blocks(httpx.SyncByteStream):
    """An answer that comes in blocks, and may break off."""

    def __init__(self, content: bytes, cut_after: int | None = None, size: int = 4) -> None:
        self._content = content if cut_after is None else content[:cut_after]
        self._cut = cut_after is not None
        self._size = size

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._content), self._size):
            yield self._content[start : start + self._size]
        if self._cut:
            raise httpx.ReadError("the connection broke")


@dataclass
class FakeJob:
    """A job; each look at it is the next of `looks`, the last one stays."""

    view: JobView
    looks: list[dict[str, Any]] = field(default_factory=list)
    logs: list[bytes] = field(default_factory=lambda: [b""])  #: of attempt 1, 2, …
    artifacts: dict[str, bytes] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)  #: of artifacts that are no files
    truncated: bool = False
    page: int = 10_000  #: artifacts told at once

    def look(self) -> JobView:
        """Return the next look."""
        if self.looks:
            self.become(**self.looks.pop(0))
        return self.view

    def artifacts_page(self, begin: int) -> dict[str, Any]:
        """Return what a list of the artifacts has from one of them on."""
        listed = [
            Artifact(path=path, type=self.kinds.get(path, "file"), size_bytes=len(content), modified_at=NOW)
            for path, content in sorted(self.artifacts.items())
        ]
        end = begin + self.page
        cursor = str(end) if end < len(listed) else None
        return {"artifacts": tuple(listed[begin:end]), "cursor": cursor, "truncated": self.truncated or bool(cursor)}

    def become(self, **changes: Any) -> None:
        """Change what is to be seen."""
        self.view = self.view.model_copy(update=changes)


def job_view(**changes: Any) -> JobView:
    """Return a job that waits in line, but for the changes."""
    base: dict[str, Any] = {
        "id": new_id(),
        "seq": 1,
        "name": "python train.py",
        "project": "digits",
        "owner": "user:ada",
        "user": "ada",
        "state": JobState.QUEUED,
        "reason": Reason.IN_LINE,
        "sentence": "Waiting in line; others are first.",
        "cpus": 1.0,
        "memory_bytes": 2**31,
        "profile": "small",
        "created_at": NOW,
        "image": "himalia/server:dev",
        "image_id": "sha256:abc",
        "command": ["python", "train.py"],
        "timeout_seconds": 3600,
    }
    return JobView(**(base | changes))


def attempt(job_id: str, number: int, *, finished: bool = True) -> AttemptView:
    """Return an attempt of a job."""
    end = NOW + timedelta(seconds=5) if finished else None
    return AttemptView(id=f"{job_id}.{number}", number=number, node_id="local", created_at=NOW, finished_at=end)


def ended(job_id: str, **changes: Any) -> dict[str, Any]:
    """Return the changes of a job that has ended: well, unless they say otherwise."""
    last = int(changes.get("attempt", 1))
    base: dict[str, Any] = {
        "state": JobState.SUCCEEDED,
        "reason": Reason.EXITED,
        "sentence": "The command ended.",
        "exit_code": 0,
        "attempt": last,
        "attempts": tuple(attempt(job_id, number) for number in range(1, last + 1)),
        "started_at": NOW,
        "finished_at": NOW + timedelta(seconds=5),
    }
    return base | changes


def succeed(job: FakeJob, output: bytes = b"", **changes: Any) -> None:
    """Let a job run and end: after it was seen queued and running."""
    job.logs = [output]
    running = {"state": JobState.RUNNING, "reason": None, "sentence": "", "attempt": 1}
    job.looks = [{}, running, running, ended(job.view.id, **changes)]


def profile() -> ProfileView:
    """Return a profile."""
    return ProfileView(
        name="small",
        title="Small",
        image="himalia/server:dev",
        cpus=1,
        memory_bytes=2**31,
        time_limit_seconds=3600,
        max_time_limit_seconds=7200,
        servers=True,
        jobs=True,
        free_now=True,
        sentence="Free now.",
    )


def unpack(pack: bytes) -> dict[str, bytes]:
    """Return the contents of a pack, each checked against its digest."""
    magic, rest = pack[: len(PLAIN)], pack[len(PLAIN) :]
    assert magic in (PLAIN, SQUEEZED)
    contents = {}
    while rest[:32] != END:
        digest, length = rest[:32].hex(), int.from_bytes(rest[32:40], "big")
        if magic == PLAIN:
            contents[digest], rest = rest[40 : 40 + length], rest[40 + length :]
        else:
            contents[digest], rest = _unfolded(rest[40:], length)
        assert blake3(contents[digest]).hexdigest() == digest
    assert rest == END
    return contents


def _unfolded(rest: bytes, length: int) -> tuple[bytes, bytes]:
    """Return a content of a squeezed pack, and what comes after it."""
    content = b""
    while len(content) < length:
        sent = int.from_bytes(rest[:4], "big")
        content += unfolded(rest[4 : 4 + sent], min(BLOCK_BYTES, length - len(content)))
        rest = rest[4 + sent :]
    return content, rest
