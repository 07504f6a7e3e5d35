"""Where a job's files came from, as far as git knows it."""

from __future__ import annotations

from .base import Answer, Request


class SourceRequest(Request):
    """What git knows of a directory that is submitted, as its sender says."""

    remote: str = ""  #: address of the repository that it was cloned from; what is secret in it is dropped
    branch: str = ""  #: empty: none
    commit: str
    directory: str = ""  #: where the submitted directory lies in the repository; empty: it is its root
    changed: int | None = None  #: files that git knows and that differ from the commit; none: nobody looked
    untracked: int | None = None  #: files that are sent and that git does not know
    diff: str | None = None  #: how they differ, as `git diff --binary` writes it, in base64; none: not recorded


class Source(Answer):
    """Where a job's files came from, as far as git knows it."""

    fetched: bool = (
        False  #: by the platform itself, so that the files are the commit's; else it is what the sender said
    )
    remote: str = ""
    ref: str = ""  #: the branch, or what was asked for; empty: none, or the default branch
    commit: str
    directory: str = ""
    changed: int | None = None
    untracked: int | None = None
    diff_bytes: int | None = None  #: of the difference that is recorded with the job; none: none is
    left_out: tuple[str, ...] = ()  #: what was not fetched, in words
