"""`owners.txt` beside the directories: whose each of them is, for people; what a database that was lost had said is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from himalia.errors import DiskFull

from .contents.files import write_whole


def read_owners(file: Path) -> dict[str, str]:
    """Return who the file says an internal id is: `user:NAME` or `team:NAME`."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    rows = (line.partition("\t") for line in lines)
    return {key: owner for key, tab, owner in rows if tab}


def write_owners(file: Path, rows: Sequence[tuple[str, str]]) -> None:
    """Write whose directories are whose; a disk without room keeps nobody out."""
    known = dict(rows)
    kept = {key: owner for key, owner in read_owners(file).items() if key not in known}
    lines = "".join(f"{key}\t{owner}\n" for key, owner in (known | kept).items())
    with contextlib.suppress(DiskFull):
        write_whole(file, lines.encode(), file.parent / ".drafts")
