"""After which ends a job is tried again: what `--retry-on` takes.

Causes with `,` between them, in any order:

    exit          any exit code but 0, 126 and 127: the command itself failed
    exit:75       that exit code; exit:64-78 one of a range
    signal        ended by any signal
    signal:SEGV   ended by that signal: its name, with or without SIG, or its number
    oom           ended because it used more memory than it asked for
    timeout       ended at its time limit
    lost          the machine or the Docker Engine was stopped under it, or somebody removed its container
"""

from __future__ import annotations

import re
import signal as signals
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from .errors import FieldError
from .reasons import Reason

DEFAULT = "exit,signal,oom,lost"
LONGEST = 1000
HOW = "Write causes with commas between them: exit, exit:75, exit:64-78, signal, signal:SEGV, oom, timeout, lost."
_CODES = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?", re.ASCII)
_NUMBER = re.compile(r"\d{1,2}", re.ASCII)


class CauseKind(StrEnum):
    """What kind of end a cause names."""

    EXIT = "exit"
    SIGNAL = "signal"
    OOM = "oom"
    TIMEOUT = "timeout"
    LOST = "lost"


REASONS: dict[CauseKind, frozenset[Reason]] = {
    CauseKind.EXIT: frozenset({Reason.EXITED}),
    CauseKind.SIGNAL: frozenset({Reason.KILLED_BY_SIGNAL}),
    CauseKind.OOM: frozenset({Reason.OUT_OF_MEMORY}),
    CauseKind.TIMEOUT: frozenset({Reason.TIMED_OUT}),
    CauseKind.LOST: frozenset({Reason.NODE_REBOOTED, Reason.ENGINE_STOPPED, Reason.VANISHED}),
}
#: Who names such an exit code means it, whatever the platform says that it stands for.
BY_CODE = frozenset({Reason.EXITED, Reason.COMMAND_NOT_FOUND, Reason.COMMAND_NOT_EXECUTABLE})
_ORDER = list(CauseKind)


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One kind of end; `first` and `last` are exit codes or a signal's number, none: any."""

    kind: CauseKind
    first: int | None = None
    last: int | None = None

    def __str__(self) -> str:
        """Return the cause as it is written."""
        if self.first is None:
            return str(self.kind)
        if self.kind is CauseKind.SIGNAL:
            return f"{self.kind}:{_signal_name(self.first)}"
        return f"{self.kind}:{self.first}" if self.first == self.last else f"{self.kind}:{self.first}-{self.last}"

    def covers(self, reason: Reason, code: int | None, signal: int | None) -> bool:
        """Tell whether an end is of this kind."""
        if self.first is None or self.last is None:
            return reason in REASONS[self.kind]
        if self.kind is CauseKind.SIGNAL:
            return reason is Reason.KILLED_BY_SIGNAL and signal == self.first
        return reason in BY_CODE and code is not None and self.first <= code <= self.last


@dataclass(frozen=True, kw_only=True)
class RetryOn:
    """The causes of a retry; `str()` gives the canonical text, which parses to an equal one."""

    causes: tuple[Cause, ...]

    def __str__(self) -> str:
        """Return the canonical text."""
        return ",".join(str(cause) for cause in self.causes)

    def covers(self, reason: Reason, code: int | None = None, signal: int | None = None) -> bool:
        """Tell whether a job that ended so is tried again."""
        return any(cause.covers(reason, code, signal) for cause in self.causes)

    def names(self, reason: Reason, code: int | None = None, signal: int | None = None) -> bool:
        """Tell whether that very exit code or signal is named: then the person means it, whatever is known of it."""
        return any(cause.first is not None and cause.covers(reason, code, signal) for cause in self.causes)


def parse_retry_on(value: str | Sequence[str], field: str = "retry_on") -> RetryOn:
    """Read causes from a text or a list of texts; raise FieldError that points at the token."""
    text = value if isinstance(value, str) else ",".join(value)
    if len(text) > LONGEST:
        raise FieldError(field, f"That is longer than {LONGEST} characters. {HOW}")
    found, position = set(), 1
    for token in text.split(","):
        found.add(_cause(token.strip(), position + len(token) - len(token.lstrip()), field))
        position += len(token) + 1
    return RetryOn(causes=tuple(sorted(found, key=_place)))


def _cause(token: str, position: int, field: str) -> Cause:
    at = f"{token!r} at position {position}"
    if not token:
        raise FieldError(field, f"A cause is missing at position {position}. {HOW}")
    name, colon, rest = token.partition(":")
    kind = next((kind for kind in CauseKind if kind == name.strip().lower()), None)
    if kind is None:
        raise FieldError(field, f"{at} is no cause of a retry. {HOW}")
    if not colon:
        return Cause(kind=kind)
    if kind is CauseKind.EXIT:
        return _exit(rest.strip(), at, field)
    if kind is CauseKind.SIGNAL:
        number = _signal_number(rest.strip().upper())
        if number is None:
            raise FieldError(field, f"{at} names no signal. Write it like signal:SEGV or signal:11.")
        return Cause(kind=kind, first=number, last=number)
    raise FieldError(field, f"{at} says too much: nothing stands behind {kind}. {HOW}")


def _exit(codes: str, at: str, field: str) -> Cause:
    match = _CODES.fullmatch(codes)
    first = int(match[1]) if match else 0
    last = int(match[2]) if match and match[2] else first
    if not 1 <= first <= last <= 255:
        raise FieldError(
            field, f"{at} is no exit code of a failure. They lie between 1 and 255: exit:75, or exit:64-78 for a range."
        )
    return Cause(kind=CauseKind.EXIT, first=first, last=last)


def _signal_number(name: str) -> int | None:
    if _NUMBER.fullmatch(name):
        return int(name) if 1 <= int(name) <= 64 else None
    known = signals.Signals.__members__.get(name if name.startswith("SIG") else f"SIG{name}")
    return None if known is None else int(known)


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)


def _place(cause: Cause) -> tuple[int, int, int]:
    return _ORDER.index(cause.kind), cause.first or 0, cause.last or 0
