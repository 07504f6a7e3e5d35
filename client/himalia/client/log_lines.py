"""Lines of a log that are picked: the last, those since a moment, those that match; over broken connections."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from ..errors import NotFound, Unavailable
from ..line_patterns import LinePattern
from ..moments import parse_since
from ..states import FINAL_STATES
from .http import Http
from .patience import Patience
from .streams import START, is_over, log_of, patient_look


@dataclass(frozen=True, kw_only=True)
class Picked:
    """Which lines of a log are wanted."""

    tail: int | None = None  #: the last ones, of those that match
    since: datetime | None = None
    grep: str = ""  #: text as it stands, `*` for anything in between
    ignore_case: bool = False
    timestamps: bool = False

    @classmethod
    def parse(cls, *, since: str | datetime | None = None, **others: Any) -> Picked:
        """Read what somebody wrote; raise FieldError for what cannot be meant. Moments without a zone are in this machine's."""
        picked = cls(since=parse_since(since, datetime.now(UTC), None) if isinstance(since, str) else since, **others)
        if picked.grep:
            LinePattern.parse(picked.grep)
        return picked

    @property
    def start(self) -> dict[str, Any]:
        """The query that says where to begin."""
        since = self.since.astimezone(UTC).isoformat() if self.since is not None else None
        own = {"tail": self.tail, "since": since}
        return {name: value for name, value in own.items() if value is not None} | self.lines

    @property
    def lines(self) -> dict[str, Any]:
        """The query that says which lines, and how they are shown; empty: all bytes as they are."""
        own = {"grep": self.grep, "ignore_case": self.grep and self.ignore_case, "timestamps": self.timestamps}
        return {name: 1 if value is True else value for name, value in own.items() if value}


def read_lines(http: Http, job_id: str, picked: Picked, *, attempt: int, offset: int) -> Iterator[bytes]:
    """Yield the lines that are wanted of what a log has now."""
    yield from _window(http, job_id, attempt, offset, picked.start, picked.lines, Patience.short())


def follow_lines(http: Http, job_id: str, picked: Picked, *, attempt: int, offset: int) -> Iterator[bytes]:
    """Yield the lines that are wanted until the job (or the one attempt that is named) has ended; each once it is whole."""
    number = attempt or max(1, patient_look(http, job_id).attempt)
    start = picked.start
    while True:
        job = patient_look(http, job_id)  # before the log is read: what came before its end is read then
        over = is_over(job, number)
        try:
            offset = yield from _window(http, job_id, number, offset, start, picked.lines, Patience())
            start = {}
        except NotFound:
            if patient_look(http, job_id).attempt >= number:
                raise
            over = job.state in FINAL_STATES
        if not over:
            Patience().rest()
        elif attempt or (job.state in FINAL_STATES and job.attempt <= number):
            return
        else:
            number, offset, start = number + 1, 0, {}


def _window(
    http: Http, job_id: str, attempt: int, offset: int, start: dict[str, Any], lines: dict[str, Any], patience: Patience
) -> Generator[bytes, None, int]:
    """Yield the lines of one answer, asked for again where it breaks; return up to where it told of the log."""
    sent, end = 0, offset
    while True:
        try:
            query = {"attempt": attempt or None, "offset": offset} | (start or lines)
            with http.stream(log_of(job_id), query=query) as answer:
                # The same bytes give the same lines: what had come before the break is passed over.
                offset, start = int(answer.headers.get(START, offset)), {}
                end = int(answer.headers.get("Himalia-Log-End", offset))
                over = sent
                for block in answer.iter_raw():
                    fresh = block[over:]
                    over = max(0, over - len(block))
                    sent += len(fresh)
                    patience.renew()
                    if fresh:
                        yield fresh
            return end
        except (httpx.TransportError, Unavailable) as error:
            patience.lose(error, http.url)
