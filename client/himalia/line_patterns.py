"""Patterns of lines of a log: text as it stands, `*` for anything in between, `\\*` for a star.

No regular expressions: a pattern is matched in a time that grows with the text alone, whatever the text and the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from .errors import FieldError

LONGEST_PATTERN = 500
LONGEST_LINE = 64 * 1024  #: a longer one is looked at in pieces
_PIECE = re.compile(r"(?:\\\*|[^*])+")


def left_out(count: int) -> bytes:
    """Return the line that stands in a log for bytes that it leaves out."""
    return f"\nhimalia: {count:,} bytes are left out here: the log is longer than its limit\n".encode()


@dataclass(frozen=True, kw_only=True)
class LinePattern:
    """A pattern that was read."""

    parts: tuple[bytes, ...]  #: what a line must contain, in this order
    ignore_case: bool = False

    @classmethod
    def parse(cls, text: str, *, ignore_case: bool = False, field: str = "grep") -> Self:
        """Read a pattern; raise FieldError for one that says nothing or is too long."""
        parts = [found.replace(r"\*", "*") for found in _PIECE.findall(text)]
        if not "".join(parts) or len(text) > LONGEST_PATTERN or "\n" in text:
            raise FieldError(
                field, f"A pattern is a text of one line and at most {LONGEST_PATTERN} letters; * stands for anything."
            )
        encoded = (part.encode("utf-8", "surrogateescape") for part in parts)
        return cls(parts=tuple(part.lower() if ignore_case else part for part in encoded), ignore_case=ignore_case)

    def spans(self, block: bytes) -> Iterator[tuple[int, int]]:
        """Yield where the lines of a block that match begin and end; a newline at the end belongs to its line."""
        text = block.lower() if self.ignore_case else block
        at = 0
        while (hit := text.find(self.parts[0], at)) >= 0:
            newline = text.find(b"\n", hit)
            end = len(text) if newline < 0 else newline + 1
            if self._goes_on(text, hit + len(self.parts[0]), end):
                yield text.rfind(b"\n", at, hit) + 1 or at, end
            at = end

    def _goes_on(self, text: bytes, at: int, end: int) -> bool:
        """Tell whether the further parts follow before the end of the line."""
        for part in self.parts[1:]:
            at = text.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True
