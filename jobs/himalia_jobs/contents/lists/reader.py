"""Reading lists of files without keeping others waiting: a long one is read in a process of its own.

While Python reads a list as JSON, no other thread of the same process runs; and what such a list takes of memory, a process
that lives for months gives back in part only.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from himalia.errors import Unavailable, from_json

from .frames import Frame, hear, say
from .reading import CheckedList, ReadList, kept_lengths, read_list

log = logging.getLogger(__name__)

Result = TypeVar("Result")
PROGRAM = (sys.executable, "-P", "-m", "himalia_jobs.contents.lists.process")
LONG_BYTES = 256 * 1024  #: some thousand files: Python reads them as JSON within two milliseconds
IDLE_SECONDS = 300.0  #: after which the process ends; a new one is there within half a second
MOST_SECONDS = 120.0  #: for one list: a million files take ten seconds where nobody else is at work
TRIES = 2
#: What comes of a process that has died, or says something that is no answer.
BROKEN = (OSError, EOFError, ValueError, KeyError, TypeError)
STOPS = "The platform is stopping. Send the list of files again in a moment."
ENDED = (
    "The list of files could not be read: what reads long lists has ended twice. Try again in a moment; if that does not "
    "help, tell an administrator, or submit fewer files."
)


class ListReader:
    """Reads lists, long ones one at a time; safe to use from any thread. Its process is started when it is first needed."""

    def __init__(
        self, program: tuple[str, ...] = PROGRAM, *, long_bytes: int = LONG_BYTES, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._program = program
        self._long_bytes = long_bytes
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._end: threading.Timer | None = None
        self._closed = False

    @property
    def process_id(self) -> int | None:
        """The number of the process that reads long lists; none while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def read(self, body: bytes | bytearray, *, most_values: int, most_entries: int, most_bytes: int) -> ReadList:
        """Do as `read_list` does; raise Unavailable besides, when a long list cannot be read now."""
        most = {"most_values": most_values, "most_entries": most_entries, "most_bytes": most_bytes}
        if len(body) < self._long_bytes:
            return read_list(body, **most)
        return self._asked({"most": most}, _as_read, body)

    def kept_lengths(self, file: Path) -> Mapping[str, int]:
        """Return the length of each content of a manifest that was kept; raise FileNotFoundError, or Unavailable."""
        if file.stat().st_size < self._long_bytes:
            return kept_lengths(file)
        lengths = self._asked({"kept": str(file)}, lambda frame: None if frame.head["absent"] else frame.lengths)
        if lengths is None:
            raise FileNotFoundError(file)
        return lengths

    def close(self) -> None:
        """End the process; who still waits for it hears that the service stops."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._drop()

    def _asked(
        self, head: Mapping[str, object], understood: Callable[[Frame], Result], body: bytes | bytearray = b""
    ) -> Result:
        """Ask the process, and a new one where that breaks off."""
        with self._lock:
            for _ in range(TRIES):
                try:
                    return self._answer(head, understood, body)
                except BROKEN as error:
                    if not self._closed:
                        log.warning("what reads long lists of files is started anew: %r", error)
                    self._drop()
        raise Unavailable(ENDED)

    def _answer(
        self, head: Mapping[str, object], understood: Callable[[Frame], Result], body: bytes | bytearray
    ) -> Result:
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        self._end_after(MOST_SECONDS, process)
        try:
            say(process.stdin, head, rest=body)
            frame = hear(process.stdout)
        except BaseException:
            self._drop()  # what is left in the pipe must never be taken for the answer to somebody else
            raise
        self._end_after(self._idle_seconds, process)
        if "error" in frame.head:
            raise from_json(frame.head["status"], frame.head)
        return understood(frame)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._drop()
        if self._process is None and not self._closed:
            self._process = subprocess.Popen(
                self._program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C in the operator's terminal is for the service alone
            )
        if self._process is None or self._closed:
            raise Unavailable(STOPS)
        return self._process

    def _end_after(self, seconds: float, process: subprocess.Popen[bytes]) -> None:
        """End the process then, unless something else is said before; it holds nothing that could be lost."""
        if self._end is not None:
            self._end.cancel()
        self._end = threading.Timer(seconds, _kill, (process,))
        self._end.daemon = True
        self._end.start()

    def _drop(self) -> None:
        if self._end is not None:
            self._end.cancel()
        process, self._process = self._process, None
        if process is None:
            return
        _kill(process)
        assert process.stdin is not None and process.stdout is not None
        process.stdout.close()
        with contextlib.suppress(OSError):  # what was not sent is not wanted any more
            process.stdin.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _as_read(frame: Frame) -> ReadList:
    """Return what the process has read."""
    owner, digest, listed = frame.head["owner"], frame.head["digest"], frame.head["listed"]
    if listed is None:
        return ReadList(owner=owner, digest=digest, listed=None)
    if "error" in listed:
        return ReadList(owner=owner, digest=digest, listed=from_json(listed["status"], listed))
    lengths = frame.lengths if listed.pop("has_lengths") else None
    return ReadList(owner=owner, digest=digest, listed=CheckedList(text=frame.rest, lengths=lengths, **listed))
