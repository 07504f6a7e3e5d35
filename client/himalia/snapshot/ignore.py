"""What is left out: `.himaliaignore`, else `.gitignore` (nested ones too, as git does), always a few, and a home's secrets."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass

from ..errors import LocalError
from .patterns import Pattern, read_pattern
from .private import kind_of_private

ALWAYS = frozenset({".git", ".ipynb_checkpoints", "__pycache__", ".venv", "node_modules"})
HIMALIA = ".himaliaignore"
GIT = ".gitignore"
LARGEST_FILE = 1024 * 1024


@dataclass(frozen=True)
class _Rules:
    prefix: str  #: directory of the file, with a '/' at its end; empty for the root
    name: str
    patterns: tuple[Pattern, ...]  #: the last one first

    def verdict(self, path: str, *, is_dir: bool) -> Pattern | None:
        """Return the pattern that decides about an entry, the last one that speaks of it; None when none does."""
        inner = path[len(self.prefix) :]
        return next((one for one in self.patterns if one.matches(inner, is_dir=is_dir)), None)


class Ignore:
    """The rules of one directory tree, read on the way down: what lies in a directory that is left out is never asked for."""

    def __init__(self, root: str, homes: Collection[str] = ()) -> None:
        self._root = root
        #: What is private lies in these, relative to the root.
        self._homes = {_relative(home, root) for home in homes}
        self._name = HIMALIA if os.path.isfile(os.path.join(root, HIMALIA)) else GIT
        self._rules: dict[str, tuple[_Rules, ...]] = {}  #: of a directory, the deepest file first

    def enter(self, directory: str, names: Collection[str]) -> None:
        """Read the rules of a directory (relative, empty for the root) with these names in it; its parents came before."""
        above = self._rules[directory.rpartition("/")[0]] if directory else ()
        here = self._name in names and (not directory or self._name == GIT)
        own = self._read(directory) if here else None
        self._rules[directory] = (own, *above) if own else above

    def is_plain(self, directory: str) -> bool:
        """Tell whether nothing but what is always left out is left out of a directory."""
        return not self._rules[directory] and directory not in self._homes

    def rule_for(self, directory: str, name: str, *, is_dir: bool) -> str | None:
        """Return which file of rules leaves an entry of a directory out; None when none does."""
        if name in ALWAYS:
            return "always left out"
        private = kind_of_private(name) if directory in self._homes else None
        path = f"{directory}/{name}" if directory else name
        for rules in self._rules[directory]:
            pattern = rules.verdict(path, is_dir=is_dir)
            if pattern is not None:
                # Only its own name brings back what is private: `!*/` is written for code.
                kept = None if pattern.text.rpartition("/")[2] == name else private
                return kept if pattern.keeps else rules.name
        return private

    def _read(self, directory: str) -> _Rules | None:
        prefix = f"{directory}/" if directory else ""
        name = prefix + self._name
        text = _text(os.path.join(self._root, name), name, follow=self._name == HIMALIA)
        patterns = tuple(pattern for line in text.split("\n")[::-1] if (pattern := read_pattern(line)) is not None)
        return _Rules(prefix, name, patterns) if patterns else None


def _relative(home: str, root: str) -> str:
    """Return where a home lies below the root; empty for the root itself."""
    path = os.path.relpath(home, root)
    return "" if path == "." else path


def _text(file: str, name: str, *, follow: bool) -> str:
    """Return what a file of rules says. As in git, a `.gitignore` that is a link says nothing."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(file, flags)
    except PermissionError as error:
        raise LocalError(f"{name} cannot be read: nobody knows what to leave out. Change its permissions.") from error
    except OSError:
        return ""
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            return ""
        if state.st_size > LARGEST_FILE:
            raise LocalError(f"{name} is larger than 1 MB. Write fewer rules, with * in them.")
        with os.fdopen(os.dup(descriptor), "rb") as stream:
            return stream.read().decode("utf-8-sig", "replace")
    finally:
        os.close(descriptor)
