"""A source in words."""

from __future__ import annotations

from ..models import Source
from ..units import counted

SHORT = 12


def source_words(source: Source) -> str:
    """Return where a job's files came from: `main at 1a2b3c4d5e6f of https://…; 2 files changed`."""
    at = f"{source.ref} at {source.commit[:SHORT]}" if source.ref != source.commit else source.commit[:SHORT]
    what = at if source.ref else source.commit[:SHORT]
    parts = [f"{what} of {source.remote}" if source.remote else what]
    if source.directory:
        parts.append(f"directory {source.directory}")
    parts += [*_compared(source), *(f"not fetched: {what}" for what in source.left_out)]
    return "; ".join(parts)


def _compared(source: Source) -> list[str]:
    if source.fetched:
        return []
    if source.changed is None:
        return ["nobody looked whether its files differ"]
    told = [_files(source.changed, "changed") if source.changed else "as committed"]
    if source.untracked:
        told.append(_files(source.untracked, "that git does not know"))
    return [", ".join(told)]


def _files(count: int, what: str) -> str:
    return f"{counted(count, 'file')} {what}"
