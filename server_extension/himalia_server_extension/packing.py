"""Walking, packing and sending a directory: blocking work, for a thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from himalia.client import Client
from himalia.errors import LocalError
from himalia.git.worktree import Noted
from himalia.models import JobRequest, JobView
from himalia.owners import Owner
from himalia.settings import cache_directory
from himalia.snapshot import Packed, Scan, pack, scan, send
from himalia.snapshot.cache import HashCache
from himalia.snapshot.private import KINDS, told_of

from .directories import Directory
from .submissions import Progress, Report, Stage

MOST_SHOWN = 50


def preview(directory: Directory) -> Mapping[str, Any]:
    """Return what would be sent of a directory, and what is left out."""
    problems: list[str] = []
    try:
        scanned: Scan | None = scan(directory.path, homes=directory.homes)
    except LocalError as error:
        scanned = None
        problems.append(error.message)
    if scanned is not None and not scanned.file_count:
        problems.append("The directory is empty: there is nothing to submit.")
    if scanned is not None and (found := scanned.suspects()):
        problems.append(told_of(found))
    # What is private comes first: small, and the one thing to be sure of.
    left_out = sorted(scanned.left_out, key=lambda left: (left.rule not in KINDS, -left.size_bytes)) if scanned else []
    return {
        "directory": directory.contents_path,
        "project": directory.project,
        "file_count": scanned.file_count if scanned else 0,
        "size_bytes": scanned.size_bytes if scanned else 0,
        "left_out": [
            {"path": left.path, "size_bytes": left.size_bytes, "rule": left.rule} for left in left_out[:MOST_SHOWN]
        ],
        "left_out_count": len(left_out),
        "left_out_bytes": sum(left.size_bytes for left in left_out),
        "largest": [{"path": large.path, "size_bytes": large.size_bytes} for large in scanned.largest()]
        if scanned
        else [],
        "problems": problems,
    }


def submit(directory: Directory, job: JobRequest, url: str, token: str, report: Report) -> JobView:
    """Pack a directory, send what the service lacks, and submit the job."""
    report(Progress(stage=Stage.SCANNING))
    with Client(url, token) as client:
        # First: whoever may not submit, or finds the service away, shall not wait for the files to be read.
        owner = job.owner or str(Owner.user(client.me().name))
        noted = Noted()
        snapshot = send(client, owner, _packed(directory, report, noted), _telling(report, Stage.SENDING))
        source = noted.source()
        report(Progress(stage=Stage.SUBMITTING))
        return client.submit(job.model_copy(update={"snapshot": snapshot.id, "source": source}))


def _packed(directory: Directory, report: Report, noted: Noted) -> Packed:
    scanned = scan(directory.path, homes=directory.homes)
    if not scanned.file_count:
        raise LocalError("The directory is empty: there is nothing to submit. Open the directory of your code first.")
    noted.begin(scanned)
    cache = HashCache(cache_directory() / "hashes.sqlite")
    try:
        return pack(scanned, cache=cache, progress=_telling(report, Stage.READING))
    finally:
        cache.close()


def _telling(report: Report, stage: Stage) -> Callable[[str, int, int, int, int], None]:
    def tell(phase: str, files: int, of_files: int, done: int, total: int) -> None:  # the shape is the packer's
        report(Progress(stage=stage, done_bytes=done, total_bytes=total))

    return tell
