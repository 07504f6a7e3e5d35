"""Fetching the files of a job as they were submitted. Their names are a stranger's: nothing is written outside the target."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import LocalError
from ..models import Entry, EntryType, Manifest
from .download import NEW_FILE, make_folder, open_folder, receive
from .http import Http, part, path_of


def download_files(http: Http, manifest: Manifest, job_id: str, to: Path) -> int:
    """Write all entries of a manifest below a directory, over what is there; return how many files there are.

    Links come last, so that nothing is ever written through one. A `.git` is never sent, so one that is there is somebody's
    trap: its configuration would run commands here.
    """
    kept = (entry for entry in manifest.entries if ".git" not in entry.path.lower().split("/"))
    entries = sorted(kept, key=lambda entry: (entry.type is EntryType.SYMLINK, entry.path))
    try:
        to.mkdir(parents=True, exist_ok=True)
        for entry in entries:
            _write(http, job_id, entry, to)
    except OSError as error:
        raise LocalError(f"{to} cannot be written ({error.strerror}). Choose another directory with --to.") from error
    return sum(entry.type is EntryType.FILE for entry in entries)


def _write(http: Http, job_id: str, entry: Entry, to: Path) -> None:
    folder, name = open_folder(to, entry.path)
    try:
        if entry.type is EntryType.DIR:
            make_folder(name, folder)
            return
        _make_room(name, folder)
        if entry.type is EntryType.SYMLINK:
            os.symlink(entry.target, name, dir_fd=folder)
            return
        with os.fdopen(os.open(name, NEW_FILE, 0o600, dir_fd=folder), "wb") as out:
            if entry.size_bytes:
                receive(http, f"jobs/{part(job_id)}/files/{path_of(entry.path)}", 0, out)
            os.fchmod(out.fileno(), entry.mode & 0o777)
    finally:
        os.close(folder)


def _make_room(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass
