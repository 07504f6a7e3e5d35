"""A job's output on a terminal: colours and progress bars, and nothing that reaches beyond the job's own lines.

What goes into a file or a pipe stays byte by byte as the job wrote it.
"""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from ..harmless import STEERING, harmless

MOST_SEQUENCE = 4096  #: a sequence that is longer and has no end is none

_STOP = re.compile(STEERING.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))  # all but tabs and line ends
_COMMAND = re.compile(r"\x1b\[([0-?]*)[ -/]*([@-~])")
#: Titles, links, the clipboard, and whatever else has a text in it; then what is two letters long.
_OTHER = re.compile(r"\x1b[\]PX^_][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)|\x1b[ -/]*[0-OQ-WYZ\\`-~]")
_NUMBERS = re.compile(r"[0-9;:]*")
_WITHIN_LINE = "mKCDG"


class Printer(Protocol):
    """Takes the blocks of a log."""

    def __call__(self, block: bytes) -> None:
        """Print a block."""


class Cleaner:
    """Turns a job's bytes into what a terminal may be given."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._rest = ""
        self._row = self._lowest = 0  #: lines of the job, so that it never goes up to those of others
        self._styled = False

    def clean(self, block: bytes, *, last: bool = False) -> str:
        """Return what is shown of the next bytes."""
        text, self._rest = self._rest + self._decoder.decode(block, last), ""
        shown, at = [], 0
        while (stop := _STOP.search(text, at)) is not None:
            shown.append(self._lines(text[at : stop.start()]))
            at = stop.start()
            taken, visible = self._obey(text, at, last)
            if not taken:
                self._rest = text[at:]
                return "".join(shown)
            shown.append(visible)
            at += taken
        shown.append(self._lines(text[at:]))
        return "".join(shown)

    def end(self) -> str:
        """Return what is still to be shown, and what takes the job's colours away."""
        rest = self.clean(b"", last=True)
        return rest + ("\x1b[0m" if self._styled else "")

    def _lines(self, text: str) -> str:
        self._row += text.count("\n")
        self._lowest = max(self._lowest, self._row)
        return text

    def _obey(self, text: str, at: int, last: bool) -> tuple[int, str]:
        """Return how many letters a sequence or a control character has, none when more is needed; and what is shown of it."""
        if text[at] in "\r\b":
            return 1, text[at]
        if text[at] != "\x1b":
            return 1, harmless(text[at])
        command = _COMMAND.match(text, at)
        if command:
            return len(command[0]), self._command(command[0], command[1], command[2])
        other = _OTHER.match(text, at)
        if other:
            return len(other[0]), ""
        rest = text[at : at + MOST_SEQUENCE]
        return (1, harmless("\x1b")) if last or len(rest) == MOST_SEQUENCE or "\n" in rest else (0, "")

    def _command(self, whole: str, numbers: str, letter: str) -> str:
        if not _NUMBERS.fullmatch(numbers):
            return ""
        if letter in _WITHIN_LINE:
            self._styled |= letter == "m"
            return whole
        count = max(1, int(numbers)) if numbers.isdecimal() and len(numbers) < 6 else 1
        if letter in "AF":
            count = min(count, self._row)
            self._row -= count
        elif letter in "BE":
            count = min(count, self._lowest - self._row)
            self._row += count
        else:
            return ""
        return f"\x1b[{count}{letter}" if count else "\r" if letter in "EF" else ""


@contextmanager
def printing() -> Iterator[Printer]:
    """Yield what prints a job's output: byte by byte, or cleaned where a person reads it on a terminal."""
    if not sys.stdout.isatty():
        yield _print_bytes
        sys.stdout.buffer.flush()
        return
    cleaner = Cleaner()

    def show(block: bytes) -> None:
        _print_text(cleaner.clean(block))

    try:
        yield show
    finally:
        _print_text(cleaner.end())


def _print_bytes(block: bytes) -> None:
    sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()


def _print_text(text: str) -> None:
    sys.stdout.write(text.encode(sys.stdout.encoding or "utf-8", "replace").decode(sys.stdout.encoding or "utf-8"))
    sys.stdout.flush()
