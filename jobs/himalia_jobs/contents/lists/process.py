"""The process that reads long lists of files: it reads one after the other from stdin, and ends with whoever started it."""

from __future__ import annotations

import contextlib
import gc
import os
from pathlib import Path
from typing import IO, Any

from himalia.errors import HimaliaError

from ...process import give_memory_back, keep_what_is_there, return_free_memory
from .frames import Frame, hear, say
from .reading import CheckedList, kept_lengths, read_list

GIVES_WAY = 5  #: how nice it is: short requests, which the service answers itself, go first


def main() -> None:
    """Answer until nothing more can come: the service has closed its end, or is dead."""
    os.nice(GIVES_WAY)
    give_memory_back()
    keep_what_is_there()
    gc.disable()  # it is asked for after each list; what is read has hardly any cycles
    with (
        contextlib.suppress(BrokenPipeError),
        open(0, "rb", closefd=False) as asked,
        open(1, "wb", closefd=False) as said,
    ):
        serve(asked, said)


def serve(asked: IO[bytes], said: IO[bytes]) -> None:
    """Answer each frame of a stream, to its end."""
    while True:
        try:
            frame = hear(asked)
        except EOFError:
            return
        try:
            _answer(frame, said)
        except HimaliaError as error:
            say(said, _wrong(error))
        del frame
        gc.collect()
        return_free_memory()


def _answer(frame: Frame, said: IO[bytes]) -> None:
    if "kept" in frame.head:
        try:
            lengths = kept_lengths(Path(frame.head["kept"]))
        except FileNotFoundError:
            say(said, {"absent": True})
        else:
            say(said, {"absent": False}, lengths=lengths)
        return
    read = read_list(frame.rest, **frame.head["most"])
    head: dict[str, Any] = {"owner": read.owner, "digest": read.digest, "listed": None}
    if not isinstance(read.listed, CheckedList):
        say(said, head | {"listed": _wrong(read.listed)} if read.listed is not None else head)
        return
    listed = read.listed
    head["listed"] = {
        "digest": listed.digest,
        "file_count": listed.file_count,
        "size_bytes": listed.size_bytes,
        "has_lengths": listed.lengths is not None,
    }
    say(said, head, lengths=listed.lengths, rest=listed.text)


def _wrong(error: HimaliaError) -> dict[str, Any]:
    return {"status": error.status, **error.to_json()}


if __name__ == "__main__":
    main()
