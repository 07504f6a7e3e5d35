"""One line of a `.gitignore`, matched as git matches it against one entry at a time.

Libraries match what lies below a directory as well, which goes wrong with rules that keep (`!*/`), with nested files and
with `d/**/`, and they refuse lines that git passes over. A walk from the top needs none of that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": " \\t\\n\\r\\f\\v",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}


@dataclass(frozen=True)
class Pattern:
    """What one line says: which entries, and whether they are left out or kept after all (`!`)."""

    expression: re.Pattern[str]
    keeps: bool
    only_dirs: bool
    any_depth: bool  #: speaks of names, wherever they are
    text: str  #: the glob, without the signs around it

    def matches(self, path: str, *, is_dir: bool) -> bool:
        """Tell whether the line speaks of an entry, by its path relative to the file's directory."""
        if self.only_dirs and not is_dir:
            return False
        return self.expression.fullmatch(path.rpartition("/")[2] if self.any_depth else path) is not None


def read_pattern(line: str) -> Pattern | None:
    """Return the pattern of a line; None for a comment, an empty line, and what git takes for no pattern."""
    text = _without_trailing_spaces(line.removesuffix("\r"))
    if not text or text.startswith("#"):
        return None
    keeps, text = text.startswith("!"), text.removeprefix("!")
    only_dirs, text = text.endswith("/"), text.removesuffix("/")
    any_depth, text = "/" not in text, text.removeprefix("/")
    try:
        expression = re.compile(_translated(text), re.DOTALL)
    except (_NoPattern, re.error):
        return None
    return Pattern(expression, keeps, only_dirs, any_depth, text)


class _NoPattern(Exception):
    """Git takes this for a pattern that nothing matches."""


def _without_trailing_spaces(text: str) -> str:
    stripped = text.rstrip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if backslashes % 2 and len(stripped) < len(text) else stripped


def _translated(glob: str) -> str:
    """Return a glob as a regular expression; `*` and `?` stop at a slash, `**` between slashes does not."""
    if not glob:
        raise _NoPattern
    parts, position = [], 0
    while position < len(glob):
        letter = glob[position]
        if letter == "*":
            part, position = _stars(glob, position)
        elif letter == "?":
            part, position = "[^/]", position + 1
        elif letter == "[":
            part, position = _bracket(glob, position + 1)
        else:
            part, position = _literal(glob, position)
        parts.append(part)
    return "".join(parts)


def _literal(glob: str, position: int) -> tuple[str, int]:
    if glob[position] != "\\":
        return re.escape(glob[position]), position + 1
    if position + 1 == len(glob):
        raise _NoPattern
    return re.escape(glob[position + 1]), position + 2


def _stars(glob: str, start: int) -> tuple[str, int]:
    end = start
    while glob[end : end + 1] == "*":
        end += 1
    alone = (start == 0 or glob[start - 1] == "/") and (end == len(glob) or glob[end] == "/")
    if end - start == 1 or not alone:
        return "[^/]*", end
    return ("(?:.*/)?", end + 1) if end < len(glob) else (".*", end)


def _bracket(glob: str, position: int) -> tuple[str, int]:
    """Return a character class; it never takes a slash."""
    no = "^" if glob[position : position + 1] in ("!", "^") else ""
    position += len(no)
    items: list[str] = []
    first = True
    while glob[position : position + 1] != "]" or first:
        first = False
        if named := re.match(r"\[:([a-z]*):\]", glob[position:]):
            if named[1] not in _CLASSES:
                raise _NoPattern
            items.append(_CLASSES[named[1]])
            position += named.end()
            continue
        low, position = _member(glob, position)
        if glob[position : position + 1] == "-" and glob[position + 1 : position + 2] not in ("]", ""):
            high, position = _member(glob, position + 1)
            items += [f"{re.escape(low)}-{re.escape(high)}"] if low <= high else []
        else:
            items.append(re.escape(low))
    inside = "".join(items)
    return f"(?!/)[{no}{inside}]" if inside else ("(?!/)." if no else "(?!)"), position + 1


def _member(glob: str, position: int) -> tuple[str, int]:
    if glob[position : position + 1] == "\\":
        position += 1
    if position >= len(glob):
        raise _NoPattern
    return glob[position], position + 1
