"""What the service and its process for long lists say to each other: a line of JSON, lines with lengths, and bytes.

The first line says how many lines and bytes follow. The lengths of many contents are read some at a time, as others wait for
each that is read at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any

LENGTHS_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What one side has said."""

    head: dict[str, Any]
    lengths: Mapping[str, int]
    rest: bytes


def say(
    stream: IO[bytes],
    head: Mapping[str, Any],
    *,
    lengths: Mapping[str, int] | None = None,
    rest: bytes | bytearray = b"",
) -> None:
    """Send a frame."""
    items = iter((lengths or {}).items())
    lines = []
    while some := dict(islice(items, LENGTHS_AT_ONCE)):
        lines.append(json.dumps(some).encode() + b"\n")
    stream.write(json.dumps({**head, "lines": len(lines), "bytes": len(rest)}).encode() + b"\n")
    stream.writelines(lines)
    stream.write(rest)
    stream.flush()


def hear(stream: IO[bytes]) -> Frame:
    """Return the next frame; raise EOFError where there is none, or not all of it, and ValueError, KeyError or TypeError for none at all."""
    head = json.loads(_line(stream))
    lengths: dict[str, int] = {}
    for _ in range(head["lines"]):
        lengths.update(json.loads(_line(stream)))
    rest = stream.read(head["bytes"])
    if len(rest) != head["bytes"]:
        raise EOFError("it was cut off")
    return Frame(head=head, lengths=lengths, rest=rest)


def _line(stream: IO[bytes]) -> bytes:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError("nothing more comes")
    return line
