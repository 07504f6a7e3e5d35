"""Fetching artifacts. Their names are a stranger's: nothing is ever written outside the target, no link is followed."""

from __future__ import annotations

import errno
import fnmatch
import os
from pathlib import Path
from typing import BinaryIO

import httpx

from ..errors import LocalError, Unavailable
from ..ids import new_id
from ..models import Artifact, ArtifactList
from .http import NO_SUCH_RANGE, Http, part, path_of
from .patience import Patience

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def download_artifacts(
    http: Http, listing: ArtifactList, job_id: str, to: Path, patterns: tuple[str, ...]
) -> list[Path]:
    """Fetch the files that match one of the patterns (none: all); return what was written."""
    if listing.truncated:
        raise LocalError(
            f"{job_id} left more than {len(listing.artifacts)} artifacts, too many to fetch one by one. Fetch its zip instead."
        )
    files = [artifact for artifact in listing.artifacts if artifact.type == "file"]
    chosen = [
        artifact for artifact in files if not patterns or any(_matches(artifact.path, pattern) for pattern in patterns)
    ]
    if patterns and not chosen:
        raise LocalError(f"No artifact matches {' '.join(patterns)}. See what is there: himalia artifacts {job_id}.")
    attempt = int(listing.attempt.partition(".")[2] or 0)
    return [_fetch(http, job_id, attempt, artifact, to) for artifact in chosen]


def _matches(path: str, pattern: str) -> bool:
    pattern = pattern.removeprefix("./").rstrip("/")
    return fnmatch.fnmatchcase(path, pattern) or path.startswith(pattern + "/")


def _fetch(http: Http, job_id: str, attempt: int, artifact: Artifact, to: Path) -> Path:
    """Fetch one file: under its name only once it is whole."""
    draft = f".{new_id()}.part"
    try:
        folder, name = open_folder(to, artifact.path)
        try:
            with os.fdopen(os.open(draft, NEW_FILE, 0o666, dir_fd=folder), "wb") as out:
                receive(http, f"jobs/{part(job_id)}/artifacts/{path_of(artifact.path)}", attempt, out)
            os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            _remove(draft, folder)
            os.close(folder)
    except OSError as error:
        what = "there is no room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
        raise LocalError(
            f"{to / artifact.path} cannot be written ({what}). Choose another directory with --to."
        ) from error
    return to / artifact.path


def receive(http: Http, url: str, attempt: int, out: BinaryIO) -> None:
    """Write a file's bytes; after a cut it goes on where it was."""
    patience = Patience.short()
    known = ""  #: the tag of the file that a part is here of
    while True:
        here = out.tell()
        headers = {"Range": f"bytes={here}-"} if here else {}
        headers |= {"If-Range": known} if here and known else {}
        try:
            with http.stream(url, query={"attempt": attempt or None}, headers=headers) as answer:
                if here and answer.status_code != 206:
                    out.seek(0)
                    out.truncate()
                known = answer.headers.get("ETag", "")
                if answer.status_code == NO_SUCH_RANGE:  # it was written anew, and shorter
                    raise httpx.ReadError("the file changed")
                for block in answer.iter_raw():
                    out.write(block)
                    patience.renew()
            return
        except (httpx.TransportError, Unavailable) as error:
            patience.lose(error, http.url)


def open_folder(to: Path, path: str) -> tuple[int, str]:
    """Return a descriptor of the directory a file goes to, made step by step without following links; and its name."""
    steps = path.split("/")
    if any(step in ("", ".", "..") or "\0" in step for step in steps):
        raise LocalError(
            f"The artifact {path!r} has a name that cannot be written here. Name the others with patterns."
        )
    to.mkdir(parents=True, exist_ok=True)
    folder = os.open(to, FOLDER)
    try:
        for step in steps[:-1]:
            make_folder(step, folder)
            inner = os.open(step, FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
    except OSError:
        os.close(folder)
        raise
    return folder, steps[-1]


def make_folder(name: str, folder: int) -> None:
    """Make a directory inside another one, unless it is there."""
    try:
        os.mkdir(name, dir_fd=folder)
    except FileExistsError:
        pass


def _remove(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass
