"""Lines of a log that are picked: the last, those since a moment, those that match; over broken connections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from ..errors import LocalError, Unavailable
from ..line_patterns import LinePattern
from ..moments import parse_since
from .http import Http
from .patience import Patience
from .streams import START, Kind, follow_log, log_of

MARKED = "Himalia-Log-Marked"  #: the answer's pieces say up to where of the log they go


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


def read_lines(
    http: Http, job_id: str, picked: Picked, *, attempt: int, offset: int, start: dict[str, Any] | None = None
) -> Iterator[bytes]:
    """Yield the lines that are wanted of what a log has now; `start`: instead of where `picked` begins."""
    sent, query = 0, picked.start if start is None else start | picked.lines
    patience = Patience.short()
    while True:
        try:
            with http.stream(log_of(job_id), query={"attempt": attempt or None, "offset": offset} | query) as answer:
                # The same bytes give the same lines: what had come before the break is passed over.
                offset, query = int(answer.headers.get(START, offset)), picked.lines
                over = sent
                for block in answer.iter_raw():
                    fresh = block[over:]
                    over = max(0, over - len(block))
                    sent += len(fresh)
                    patience.renew()
                    if fresh:
                        yield fresh
            return
        except (httpx.TransportError, Unavailable) as error:
            patience.lose(error, http.url)


def follow_lines(http: Http, job_id: str, picked: Picked, *, attempt: int, offset: int) -> Iterator[bytes]:
    """Yield the lines that are wanted until the job (or the one attempt that is named) has ended; each once it is whole."""

    def rest(http: Http, job_id: str, *, attempt: int, offset: int, start: dict[str, Any] | None) -> Iterator[bytes]:
        return read_lines(http, job_id, picked, attempt=attempt, offset=offset, start=start or {})

    kind = Kind(query=picked.lines | {"marked": 1}, pieces=_pieces, rest=rest)
    return follow_log(http, job_id, attempt=attempt, offset=offset, start=picked.start, kind=kind)


def _pieces(answer: httpx.Response, offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield what comes behind each mark (`OFFSET LENGTH`), with that offset of the log; a piece that is not whole is not told."""
    if MARKED not in answer.headers:
        raise LocalError(
            "The platform is older than this himalia and does not say how far it has looked. Leave out -f, or --grep and --timestamps."
        )
    kept = b""
    for block in answer.iter_raw():
        kept += block
        while b"\n" in kept:
            mark, _, behind = kept.partition(b"\n")
            upto, length = map(int, mark.split())
            if len(behind) < length:
                break
            kept = behind[length:]
            yield upto, behind[:length]
