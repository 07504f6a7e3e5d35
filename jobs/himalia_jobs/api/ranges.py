"""What part of a file is asked for (RFC 9110, section 14), and how much of it is holes."""

from __future__ import annotations

import os
import re

MOST_RANGES = 100  #: in one request; more are refused unread
MOST_HOLES_BYTES = 16 * 1024**3  #: zeros that were never written, in one answer
MOST_STEPS = 100_000  #: from hole to hole of a file

_RANGE = re.compile(r"(\d{0,19})-(\d{0,19})")


class NotThere(Exception):
    """Nothing of what is asked for is there."""


def wanted(header: str, size: int) -> tuple[int, int] | None:
    """Return from where to where a file of a size is asked for; none: all of it. Raise NotThere where that is nothing.

    Several ranges that touch each other are one; where they do not, all of the file is sent: it is never sent in pieces.
    """
    unit, equals, listed = header.partition("=")
    if unit.strip().lower() != "bytes" or not equals:
        return None
    if listed.count(",") >= MOST_RANGES:
        raise NotThere
    found = []
    for one in listed.split(","):
        match = _RANGE.fullmatch(one.strip())
        if match is None or one.strip() == "-":
            return None
        first, last = match.groups()
        if first and last and int(last) < int(first):
            return None
        begin, end = (int(first), int(last) + 1 if last else size) if first else (size - int(last), size)
        if max(0, begin) < min(end, size):
            found.append((max(0, begin), min(end, size)))
    if not found:
        raise NotThere
    begin, end = min(found)
    for first, last in sorted(found):
        if first > end:
            return None
        end = max(end, last)
    return begin, end


def tag(state: os.stat_result) -> str:
    """Return the entity tag of a file: another one after every change."""
    return f'"{state.st_ino:x}-{state.st_size:x}-{state.st_mtime_ns:x}-{state.st_ctime_ns:x}"'


def holes(descriptor: int, begin: int, end: int, most: int) -> int | None:
    """Return how many bytes of a part of a file are holes; none where they are more than so many, or without number."""
    state = os.fstat(descriptor)
    if min(end - begin, state.st_size - state.st_blocks * 512) <= 0:
        return 0
    found, at = 0, begin
    for _ in range(MOST_STEPS):
        try:
            data = min(end, os.lseek(descriptor, at, os.SEEK_DATA))
        except OSError:
            data = end  # nothing but a hole up to the end
        found += data - at
        if found > most:
            return None
        if data >= end:
            return found
        at = min(end, os.lseek(descriptor, data, os.SEEK_HOLE))
        if at >= end:
            return found
    return None
