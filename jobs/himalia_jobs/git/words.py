"""What git's errors mean to people. What git and a server say is a stranger's: it is recognised, and little of it is shown."""

from __future__ import annotations

import re

from himalia.errors import FieldError, HimaliaError, TooLarge, Unavailable
from himalia.git import Repository
from himalia.git.address import FIELD, SHORT_COMMIT

TOKEN = "token"  # the name of a field
SHOWN = 200
MOVED = re.compile(r"error: 30[1278]\b")
REFUSED = re.compile(
    r"could not read (?:Username|Password)|Authentication failed|error: 40[134]\b|[Rr]epository .*not found|Access denied|terminal prompts disabled"
)
NO_REF = re.compile(r"couldn't find remote ref|not our ref|no such remote ref|unadvertised object|bad object")
TOO_LARGE = re.compile(r"File too large|[Oo]ut of memory|mmap failed|signal 2[45]")
NO_ROOM = re.compile(r"No space left|Disk quota exceeded")
CERTIFICATE = re.compile(r"certificate|SSL")
AWAY = re.compile(
    r"Failed to connect|Connection (?:refused|reset|timed out)|timed out|Operation too slow|Empty reply|error: 5\d\d"
    r"|early EOF|RPC failed|unexpected disconnect|hung up|Could not resolve|HTTP/2 stream"
)
NO_SHALLOW = re.compile(r"dumb http transport")


def moved(said: str) -> bool:
    """Tell whether a host said that a repository is elsewhere; that is not followed."""
    return MOVED.search(said) is not None


def error_of(said: str, repository: Repository, *, with_token: bool, led: bool = False) -> HimaliaError:
    """Return the error that people are told; `led`: the host led elsewhere at first."""
    where = f"{repository.site}/{repository.path}"
    if moved(said):
        return FieldError(FIELD, f"{where} has moved. Write the address that it has now.")
    if NO_REF.search(said):
        return _no_ref(repository)
    if REFUSED.search(said):
        return _refused(repository, with_token=with_token, led=led)
    if TOO_LARGE.search(said):
        return TooLarge(f"{where} is larger than a workspace may be. Clone it, and submit the part that you need.")
    if NO_ROOM.search(said):
        return Unavailable("There is no room for the repository on the platform's disk. Ask an administrator.")
    if NO_SHALLOW.search(said):
        return FieldError(FIELD, f"{repository.site} serves plain files, from which no single commit can be fetched.")
    if CERTIFICATE.search(said):
        return Unavailable(f"The certificate of {repository.site} is not trusted here. Ask an administrator.")
    if AWAY.search(said):
        return Unavailable(f"{repository.site} did not answer, or broke off. Try again.")
    return Unavailable(
        f"{where} could not be fetched ({_end_of(said)}). Try again, or clone it and submit the directory."
    )


def _no_ref(repository: Repository) -> HimaliaError:
    if not repository.ref:
        return FieldError(FIELD, f"{repository.site}/{repository.path} is empty, or has no default branch.")
    hint = " Write the whole id of a commit." if SHORT_COMMIT.fullmatch(repository.ref) else ""
    return FieldError(
        FIELD,
        f"{repository.site}/{repository.path} has no branch, tag or commit {repository.ref}.{hint}",
    )


def _refused(repository: Repository, *, with_token: bool, led: bool) -> HimaliaError:
    where = f"{repository.site}/{repository.path}{' has moved,' if led else ''}"
    if with_token:
        return FieldError(TOKEN, f"{where} is not there, or the token may not read it. Check both.")
    return FieldError(
        FIELD,
        f"{where} is not there, or is private. Check it; for a private one give a token, too (in a terminal: --token-from).",
    )


def _end_of(said: str) -> str:
    """Return git's own last word, without what steers a terminal; a server's lines begin with `remote:`."""
    lines = [line for line in said.splitlines() if line.startswith(("fatal:", "error:"))]
    last = lines[-1].partition(":")[2] if lines else "git gave no reason"
    return "".join(letter for letter in last if letter.isprintable()).strip()[:SHOWN]
