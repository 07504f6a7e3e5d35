"""What git knows of a directory that is submitted: commit, branch, remote, and how its files differ from the commit.

A directory can come from anywhere, with a configuration of git that runs commands (filters, hooks, `core.fsmonitor`,
tools that show differences). So git looks at the files through a directory of its own, which has the repository's
objects and index and nothing of its configuration. Whatever goes wrong here, the directory is submitted all the same.
"""

from __future__ import annotations

import base64
import os
import selectors
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..models import EntryType, SourceRequest
from ..settings import environment_without
from ..snapshot import Scan
from .address import is_commit, without_secret

MOST_DIFF_BYTES = 1024 * 1024
MOST_LIST_BYTES = 64 * 1024 * 1024
MOST_HIDDEN = 100  #: files that git knows and that are left out
SECONDS = 15.0
PATIENCE_SECONDS = 2.0  #: after all is sent
#: How files lie on this disk: all that is taken over of a repository's configuration.
HARMLESS = ("filemode", "ignorecase", "symlinks", "autocrlf", "eol", "precomposeunicode")
ASKED = rf"^(remote\..*\.url|branch\..*\.remote|core\.({'|'.join(HARMLESS)})|extensions\.objectformat)$"
OPTIONS = ("--no-ext-diff", "--no-textconv", "--no-renames", "--ignore-submodules=all", "--no-color")


class _Unknown(Exception):
    """Git does not say it."""


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a work tree and its repository lie."""

    top: Path
    git_dir: Path
    prefix: str  #: of the directory below the top, with a slash behind it; empty for the top itself


class Noted:
    """Asks git beside the packing and sending; what it has not said a moment after these is not waited for."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._said: SourceRequest | None = None

    def begin(self, scanned: Scan) -> None:
        """Begin to ask."""
        self._thread = threading.Thread(target=self._ask, args=(scanned,), name="git", daemon=True)
        self._thread.start()

    def source(self) -> SourceRequest | None:
        """Return what git has said: all, or in a very large work tree no more than the commit."""
        if self._thread is not None:
            self._thread.join(PATIENCE_SECONDS)
        return self._said

    def _ask(self, scanned: Scan) -> None:
        self._said = describe(scanned, so_far=self._take)

    def _take(self, source: SourceRequest) -> None:
        self._said = source


def describe(scanned: Scan, so_far: Callable[[SourceRequest], None] | None = None) -> SourceRequest | None:
    """Return what git knows of a directory that was walked; None when that is nothing, or git is not here.

    `so_far` is called with the commit before the files are looked at.
    """
    try:
        place = _find(scanned.root)
        if place is None or shutil.which("git") is None:
            return None
        return _describe(place, scanned, so_far)
    except (OSError, ValueError, _Unknown, subprocess.SubprocessError):
        return None


def _find(directory: Path) -> _Place | None:
    """Return the work tree that a directory is in."""
    for top in (directory, *directory.parents):
        marker = top / ".git"
        if not os.path.lexists(marker):
            continue
        prefix = "" if top == directory else f"{directory.relative_to(top).as_posix()}/"
        if marker.is_file():  # a work tree of its own, or a submodule
            said = marker.read_text()[:4096].strip()
            if not said.startswith("gitdir:"):
                return None
            marker = (top / said.removeprefix("gitdir:").strip()).resolve()
        return _Place(top=top, git_dir=marker, prefix=prefix) if (marker / "HEAD").is_file() else None
    return None


def _describe(place: _Place, scanned: Scan, so_far: Callable[[SourceRequest], None] | None) -> SourceRequest | None:
    until = time.monotonic() + SECONDS
    own = {"GIT_DIR": str(place.git_dir), "GIT_WORK_TREE": str(place.top)}
    commit = _line(_git(place, own, until, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"))
    common = _line(_git(place, own, until, "rev-parse", "--git-common-dir"))
    branch = _line(_git(place, own, until, "symbolic-ref", "--quiet", "--short", "HEAD", may_fail=True))
    settings = _settings(_git(place, own, until, "config", "-z", "--get-regexp", ASKED, may_fail=True))
    source = SourceRequest(
        remote=without_secret(_remote(settings, branch)),
        branch=branch,
        commit=commit,
        directory=place.prefix.rstrip("/"),
    )
    if not is_commit(commit):
        return None
    if so_far is not None:
        so_far(source)
    try:
        with _apart(place, (place.top / common).resolve(), commit, settings) as view:
            return _compared(source, place, view, until, scanned)
    except (_Unknown, subprocess.SubprocessError):
        return source


def _compared(
    source: SourceRequest, place: _Place, view: Mapping[str, str], until: float, scanned: Scan
) -> SourceRequest | None:
    """Return a source with what the files have over its commit; None when git knows none of them."""
    here = f":(top,literal){place.prefix}" if place.prefix else ":(top)"
    known = set(_names(_git(place, view, until, "ls-files", "-z", "--full-name", "--", here, most=MOST_LIST_BYTES)))
    if not known:
        return None
    files = [f"{place.prefix}{entry.path}" for entry in scanned.entries if entry.type is not EntryType.DIR]
    untracked = sum(file not in known for file in files)
    left_out = tuple(f"{place.prefix}{left.path}" for left in scanned.left_out)
    differ = _names(
        _git(place, view, until, "diff", "--name-only", "-z", *OPTIONS, "HEAD", "--", here, most=MOST_LIST_BYTES)
    )
    hidden = [
        name for name in differ if name.startswith(left_out) and _is_below(name, left_out)
    ]  # the first test is fast
    counted = source.model_copy(update={"changed": len(differ) - len(hidden), "untracked": untracked})
    if len(differ) == len(hidden) or len(hidden) > MOST_HIDDEN:
        return counted
    # What is left out of the snapshot has no place in the difference either.
    without = [f":(top,exclude,literal){name}" for name in hidden]
    diff = _git(
        place,
        view,
        until,
        "diff",
        "--binary",
        "--full-index",
        *OPTIONS,
        "HEAD",
        "--",
        here,
        *without,
        most=MOST_DIFF_BYTES + 1,
    )
    if len(diff) > MOST_DIFF_BYTES:
        return counted
    return counted.model_copy(update={"diff": base64.b64encode(diff).decode()})


def _is_below(name: str, left_out: Sequence[str]) -> bool:
    return any(name == left or name.startswith(f"{left}/") for left in left_out)


@contextmanager
def _apart(place: _Place, common: Path, commit: str, settings: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Yield an environment in which git sees the objects and the index of a repository, and nothing of its configuration."""
    with tempfile.TemporaryDirectory(prefix="himalia-git-") as folder:
        view = Path(folder)
        (view / "refs").mkdir()
        (view / "objects").mkdir()
        (view / "HEAD").write_text(f"{commit}\n")
        lines = ["[core]", "bare = false"]
        lines += [f"{name} = {_plain(settings[f'core.{name}'])}" for name in HARMLESS if f"core.{name}" in settings]
        if "extensions.objectformat" in settings:
            lines += [
                "repositoryformatversion = 1",
                "[extensions]",
                f"objectformat = {_plain(settings['extensions.objectformat'])}",
            ]
        (view / "config").write_text("\n".join(lines) + "\n")
        yield {
            "GIT_DIR": folder,
            "GIT_WORK_TREE": str(place.top),
            "GIT_INDEX_FILE": str(place.git_dir / "index"),
            "GIT_OBJECT_DIRECTORY": str(common / "objects"),
        }


def _git(
    place: _Place,
    told: Mapping[str, str],
    until: float,
    *words: str,
    most: int = 64 * 1024,
    may_fail: bool = False,
) -> bytes:
    """Return what git writes, `most` bytes of it; raise _Unknown when it fails or takes too long."""
    command = ["git", "-c", "core.fsmonitor=false", "-c", "diff.autoRefreshIndex=false", "--no-optional-locks", *words]
    with subprocess.Popen(
        command,
        cwd=place.top,
        env=_environment(told),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            written = _read(process, most, until)
            if len(written) < most and process.wait(max(0.1, until - time.monotonic())) and not may_fail:
                raise _Unknown
            return written
        finally:
            process.kill()


def _read(process: subprocess.Popen[bytes], most: int, until: float) -> bytes:
    """Read what a command writes until it has written all, enough, or too slowly."""
    assert process.stdout is not None
    written = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(written) < most:
            if not selector.select(max(0.0, until - time.monotonic())):
                raise _Unknown
            block = os.read(process.stdout.fileno(), min(1024 * 1024, most - len(written)))
            if not block:
                break
            written += block
    return bytes(written)


def _environment(told: Mapping[str, str]) -> dict[str, str]:
    """Return git's environment: the person's own, without what would lead it elsewhere."""
    fixed = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    return environment_without("GIT_") | fixed | dict(told)


def _settings(told: bytes) -> dict[str, str]:
    pairs = (line.partition("\n") for line in told.decode(errors="replace").split("\0") if line)
    return {_lower(key): value for key, _, value in pairs}


def _lower(key: str) -> str:
    """Return a key as it is compared: only what stands between the first dot and the last keeps its case."""
    section, dot, rest = key.partition(".")
    inner, last, name = rest.rpartition(".")
    return f"{section.lower()}{dot}{inner}{last}{name.lower()}"


def _remote(settings: Mapping[str, str], branch: str) -> str:
    """Return the address of the remote that the branch follows, of `origin`, or of the only one."""
    urls = {
        key.removeprefix("remote.").removesuffix(".url"): url for key, url in settings.items() if key.endswith(".url")
    }
    followed = settings.get(f"branch.{branch}.remote", "origin")
    return urls.get(followed) or urls.get("origin") or (next(iter(urls.values())) if len(urls) == 1 else "")


def _names(told: bytes) -> list[str]:
    return [name.decode("utf-8", errors="surrogateescape") for name in told.split(b"\0") if name]


def _line(told: bytes) -> str:
    return told.decode("utf-8", errors="replace").strip()


def _plain(value: str) -> str:
    """Return a value that a file of settings can hold; others are none that are known."""
    if not value.isalnum():
        raise _Unknown
    return value
