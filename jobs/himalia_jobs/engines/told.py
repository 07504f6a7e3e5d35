"""What the Engine's events told of attempts and images: what is known from there need not be asked for.

Only of an attempt whose start was told on the same connection is anything known: an earlier event may have been missed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from himalia.container import Label

NANOSECONDS = 1_000_000_000
#: After its start was told an attempt is taken for running so long; an end that comes meanwhile is told as well.
NEW_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Life:
    """A container since its start."""

    handle: str
    labels: Mapping[str, str]
    name: str
    started_at: datetime
    heard: float  #: when that was, by the monotonic clock
    answered: bool = False  #: known by the answer to whoever started it; the event is yet to come
    oom: bool = False  #: one of its processes was killed for want of memory
    code: int | None = None  #: how it ended
    ended_at: datetime | None = None

    @property
    def is_new(self) -> bool:
        """Whether it was started a moment ago, and no end was told."""
        return self.code is None and time.monotonic() - self.heard < NEW_SECONDS


class Lives:
    """Written by the thread that hears the events, read by the service."""

    def __init__(self) -> None:
        self.complete = False  #: whether events are heard now
        self.images = 0  #: how often something was told of an image, or may have been
        self._lives: dict[str, Life] = {}

    def begin(self) -> None:
        """Hear of what happens from now on."""
        self._lives = {}
        self.images += 1
        self.complete = True

    def end(self) -> None:
        """Know nothing: from now on events are missed."""
        self.complete = False
        self._lives = {}

    def of(self, attempt: str) -> Life | None:
        """Return what was told of an attempt."""
        return self._lives.get(attempt)

    def begun(self, attempt: str, labels: Mapping[str, str], name: str) -> None:
        """Know of an attempt that the Engine says was started now: the event of it may be a moment behind."""
        if self.complete:
            now, heard = datetime.now(UTC), time.monotonic()
            life = Life(handle="", labels=labels, name=name, started_at=now, heard=heard, answered=True)
            self._lives.setdefault(attempt, life)  # in one go: an end may have been told by now

    def hear(self, row: Mapping[str, Any]) -> None:
        """Take in an event, in the Engine's own words."""
        if row.get("Type") == "image":
            self.images += 1
            return
        attributes = row.get("Actor", {}).get("Attributes", {})
        attempt, at = attributes.get(Label.ATTEMPT), int(row.get("timeNano") or 0)
        if not attempt or not at:
            return
        moment = datetime.fromtimestamp(at / NANOSECONDS, UTC)
        life = self._lives.pop(attempt, None)
        # One that is started again, somebody started by hand: it is asked for.
        if row["Action"] == "start" and (life is None or life.answered):
            handle, name = str(row["Actor"].get("ID", "")), attributes.get("name", "")
            self._lives[attempt] = Life(
                handle=handle, labels=attributes, name=name, started_at=moment, heard=time.monotonic()
            )
        elif row["Action"] == "oom" and life is not None:
            self._lives[attempt] = replace(life, oom=True)
        elif row["Action"] == "die" and life is not None and str(attributes.get("exitCode", "")).isdigit():
            self._lives[attempt] = replace(life, code=int(attributes["exitCode"]), ended_at=moment)
