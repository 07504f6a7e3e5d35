"""From an address to the files of a commit: blocking work, for a thread."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin

from himalia.errors import FieldError, HimaliaError, TooLarge
from himalia.git import Git, Repository, parse_repository
from himalia.git.address import FIELD
from himalia.models import Source
from himalia.site import Limits
from himalia.snapshot import Scan

from . import words
from .cage import Cage, GitFailed
from .commit import LINK, SUBMODULE, Item, items_of, lay_out
from .hosts import addresses_of, check_host, pinned

REF = "refs/himalia/it"
USER = "x-access-token"  #: any name does for GitHub; GitLab, Forgejo and Bitbucket take this one with a token too
DEEPEST_SUBMODULE = 4
MOST_SUBMODULES = 50
NAMED = 5


@dataclass(kw_only=True)
class Fetching:
    """One fetch: what is asked for, and what it may take."""

    repository: Repository
    token: str | None = field(repr=False)
    setting: Git
    limits: Limits
    cage: Cage
    _pins: dict[str, str] = field(default_factory=dict)
    _count: int = 0
    _empty: list[str] = field(default_factory=list)  #: submodules that were not fetched

    def bring(self, folder: Path, begun: Callable[[Source], None]) -> tuple[Scan, Source]:
        """Fetch the repository and write its files below a directory; return what is there, and where it came from."""
        self.cage.run("init", "--bare", "--quiet", "--template=")
        commit = self._fetch(self.repository)
        source = Source(fetched=True, remote=self.repository.url, ref=self.repository.ref, commit=commit, changed=0)
        begun(source)
        items = self._items(commit, "", self.repository, 0)
        scanned, pointers = lay_out(self.cage, items, folder)
        return scanned, source.model_copy(update={"left_out": self._left_out(pointers)})

    def _fetch(self, repository: Repository) -> str:
        """Fetch one commit and return its id; a host that wants `.git` behind a name gets it."""
        check_host(repository, self.setting)
        try:
            return self._fetch_once(repository)
        except GitFailed as error:
            if not words.moved(error.said) or repository.path.endswith(".git"):
                raise self._told(error, repository) from None  # what git said is not repeated in a log
        try:
            return self._fetch_once(repository.with_suffix())
        except GitFailed as error:
            raise self._told(error, repository, led=True) from None

    def _fetch_once(self, repository: Repository) -> str:
        target = f"+{repository.ref or 'HEAD'}:{REF}"
        options = ("--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
        self.cage.run("fetch", *options, "--", repository.url, target, settings=self._settings(repository))
        return self.cage.run("rev-parse", "--verify", "--quiet", f"{REF}^{{commit}}").decode().strip()

    def _settings(self, repository: Repository) -> dict[str, str]:
        """Return what git is told for one host: its addresses, whom to trust, the token for it alone."""
        if repository.site not in self._pins:
            self._pins[repository.site] = pinned(repository, addresses_of(repository, self.setting))
        told = {"http.curloptResolve": self._pins[repository.site]}
        if self.setting.certificates is not None:
            told["http.sslCAInfo"] = self.cage.given(self.setting.certificates)
        if self.token and repository.site == self.repository.site:
            secret = base64.b64encode(f"{USER}:{self.token}".encode()).decode()
            told[f"http.https://{repository.site}/.extraHeader"] = f"Authorization: Basic {secret}"
        return told

    def _items(self, commit: str, below: str, repository: Repository, depth: int) -> list[Item]:
        """Return what is in a commit, and in its submodules where these are fetched."""
        items = items_of(self.cage, commit, below, self.limits)
        modules = [item for item in items if item.mode == SUBMODULE]
        if not modules:
            return items
        if not self.setting.submodules or depth >= DEEPEST_SUBMODULE:
            self._empty += [module.path for module in modules]
            return items
        addresses = self._addresses(commit, below, items)
        for module in modules:
            self._count += 1
            if self._count > MOST_SUBMODULES:
                raise TooLarge(f"The repository has more than {MOST_SUBMODULES} submodules.")
            inner = self._module(module, addresses, repository)
            items += self._items(self._fetch(inner), module.path, inner, depth + 1)
            self._bounded(items)
        return items

    def _module(self, module: Item, addresses: dict[str, str], repository: Repository) -> Repository:
        """Return where a submodule is fetched from: an address as people may give it, or one beside the repository's."""
        written = addresses.get(module.path, "")
        if written.startswith(("./", "../")):
            written = urljoin(f"{repository.url}/", written)
        try:
            return parse_repository(f"{written}@{module.object_id}")
        except FieldError as error:
            raise FieldError(FIELD, f"The submodule {module.path} cannot be fetched. {error.message}") from error

    def _addresses(self, commit: str, below: str, items: Sequence[Item]) -> dict[str, str]:
        """Return the addresses of a commit's submodules by their paths."""
        file = f"{below}/.gitmodules" if below else ".gitmodules"
        if not any(item.path == file and item.mode not in (LINK, SUBMODULE) for item in items):
            return {}
        told = self.cage.run(
            "config", f"--blob={commit}:.gitmodules", "-z", "--get-regexp", r"^submodule\..*\.(path|url)$"
        )
        paths: dict[str, str] = {}
        urls: dict[str, str] = {}
        for line in told.decode(errors="replace").split("\0"):
            key, _, value = line.partition("\n")
            name, _, kind = key.rpartition(".")
            (paths if kind == "path" else urls)[name] = value
        return {(f"{below}/{path}" if below else path): urls.get(name, "") for name, path in paths.items()}

    def _bounded(self, items: Sequence[Item]) -> None:
        if len(items) > self.limits.entries or sum(item.size_bytes for item in items) > self.limits.workspace:
            raise TooLarge("The repository with its submodules is larger than a workspace may be.")

    def _left_out(self, pointers: int) -> tuple[str, ...]:
        """Return in words what was not fetched."""
        told = []
        if self._empty:
            more = f" and {len(self._empty) - NAMED} more" if len(self._empty) > NAMED else ""
            told.append(f"submodules: {', '.join(self._empty[:NAMED])}{more}")
        if pointers:
            told.append(f"contents of {pointers} {'file' if pointers == 1 else 'files'} in Git LFS")
        return tuple(told)

    def _told(self, error: GitFailed, repository: Repository, *, led: bool = False) -> HimaliaError:
        return words.error_of(error.said, repository, with_token=bool(self.token), led=led)
