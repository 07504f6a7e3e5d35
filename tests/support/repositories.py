"""Repositories for tests: a real host over https, a fetch as an operator allows it, and what no well-behaved git would write."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from git_host import GitHost, git, git_host

from himalia.errors import HimaliaError
from himalia.git import Git, parse_repository
from himalia.models import EntryType, Source
from himalia.site import Limits
from himalia.snapshot import Scan
from himalia_jobs.git.cage import Cage
from himalia_jobs.git.fetching import Fetching


@dataclass
class Fetched:
    """What came of a fetch."""

    scanned: Scan
    source: Source

    @property
    def files(self) -> dict[str, str]:
        """The files' texts; a link's target behind an arrow."""
        return {
            entry.path: f"-> {entry.target}"
            if entry.type is EntryType.SYMLINK
            else (self.scanned.root / entry.path).read_text()
            for entry in self.scanned.entries
            if entry.type is not EntryType.DIR
        }


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    """A host of repositories on this machine."""
    with git_host(tmp_path) as found:
        yield found


Fetch = Callable[..., Fetched]


@pytest.fixture
def fetch(host: GitHost, tmp_path: Path) -> Fetch:
    """Fetches from the host, as an operator has allowed it."""

    def run(
        name: str,
        ref: str = "",
        *,
        called: str = "localhost",
        token: str | None = None,
        seconds: float = 60,
        **given: Any,
    ) -> Fetched:
        site, url = host.site.replace("localhost", called), host.url(name).replace("localhost", called)
        limits = {key: given.pop(key) for key in ("entries", "workspace") if key in given}
        setting = {"hosts": (site,), "networks": ("127.0.0.0/8", "::1/128"), "certificates": host.certificate}
        own = tmp_path / f"fetch-{len(os.listdir(tmp_path))}"
        fetching = Fetching(
            repository=parse_repository(f"{url}@{ref}" if ref else url),
            token=token,
            setting=Git(**setting | given),
            limits=Limits(**limits),
            cage=Cage(own / "git", seconds=seconds, largest_bytes=1024**3),
        )
        scanned, source = fetching.bring(own / "files", lambda known: None)
        return Fetched(scanned, source)

    return run


def digits_in(host: GitHost, cage: Cage) -> Fetching:
    """Return a fetch of `digits` from a host, in a cage."""
    setting = Git(hosts=(host.site,), networks=("127.0.0.0/8", "::1/128"), certificates=host.certificate)
    repository = parse_repository(host.url("digits"))
    return Fetching(repository=repository, token=None, setting=setting, limits=Limits(), cage=cage)


def into(failures: list[HimaliaError], call: Callable[..., Any], *words: Any, **options: Any) -> None:
    """Call, and keep what people would be told."""
    try:
        call(*words, **options)
    except HimaliaError as error:
        failures.append(error)


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that comes soon."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


def command_lines() -> list[str]:
    """Return the command lines of all processes of this machine."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return lines


def add_submodule(tree: Path, repository: str, path: str, url: str) -> None:
    """Add a submodule whose address is another one than it was taken from."""
    git(tree, "submodule", "--quiet", "add", repository, path)
    git(tree, "config", "--file", ".gitmodules", f"submodule.{path}.url", url)


def raw_tree(work: Any, entries: list[tuple[str, str, str]]) -> str:
    """Write a tree as no well-behaved git would, and return its id."""
    body = b"".join(f"{mode} {name}".encode() + b"\0" + bytes.fromhex(object_id) for mode, name, object_id in entries)
    file = work.tree.parent / "tree-object"
    file.write_bytes(body)
    return git(work.bare, "hash-object", "-t", "tree", "-w", "--literally", str(file)).strip()


def push_tree(work: Any, files: dict[str, str]) -> None:
    """Let the main branch have files at paths that cannot be."""
    entries = []
    for path, blob in files.items():
        above, _, name = path.rpartition("/")
        entry = ("100644", name, blob)
        for step in reversed(above.split("/") if above or path.startswith("/") else []):
            entry = ("40000", step, raw_tree(work, [entry]))
        entries.append(entry)
    push_commit(work, raw_tree(work, entries))


def push_commit(work: Any, tree: str) -> None:
    """Let the main branch be a commit with a tree."""
    commit = git(work.bare, "commit-tree", tree, "-m", "odd").strip()
    git(work.bare, "update-ref", "refs/heads/main", commit)
