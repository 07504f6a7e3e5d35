"""Following logs and events over broken connections: nothing twice, nothing left out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import ValidationError

from ..errors import NotFound, Unavailable
from ..line_patterns import left_out
from ..models import Event, JobView
from ..states import FINAL_STATES
from .http import Http, part
from .patience import Patience

SILENCE_SECONDS = 60.0  #: after which a quiet connection may be a dead one, and is made anew
GAP = "Himalia-Log-Gap"  #: where something may be left out
START = "Himalia-Log-Offset"  #: of an answer's first byte
KEEP_ALIVE_SECONDS = 40.0  #: events come with a sign of life every 15 s


def read_log(
    http: Http, job_id: str, *, attempt: int, offset: int, start: dict[str, Any] | None = None
) -> Iterator[bytes]:
    """Yield what a log has now, from an offset; `start` asks the service to choose a later one."""
    patience = Patience.short()
    ended_at = -1
    while True:
        try:
            query = {"attempt": attempt or None, "offset": offset, "exact": 1} | (start or {})
            with http.stream(log_of(job_id), query=query) as answer:
                begin = int(answer.headers.get(START, offset))
                jumped = begin > offset and not start
                if jumped:
                    yield left_out(begin - offset)
                offset, start = begin, None
                for block in answer.iter_raw():
                    offset += len(block)
                    patience.renew()
                    yield block
                # More may come behind what is left out here, or has been left out since it was asked for.
                if offset == ended_at or not (answer.headers.get(GAP) == str(offset) or (jumped and offset == begin)):
                    return
                ended_at = offset
        except (httpx.TransportError, Unavailable) as error:
            patience.lose(error, http.url)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is followed of a log: all its bytes, or lines of it."""

    query: Mapping[str, Any]
    #: What an answer brings, from an offset: each piece with the offset to go on from.
    pieces: Callable[[httpx.Response, int], Iterator[tuple[int, bytes]]]
    #: What there is, from an offset, once nothing is added any more.
    rest: Callable[..., Iterator[bytes]]


def follow_log(
    http: Http, job_id: str, *, attempt: int, offset: int, start: dict[str, Any] | None = None, kind: Kind | None = None
) -> Iterator[bytes]:
    """Yield a log (all bytes, unless said otherwise) from an offset until the job, or the one attempt that is named, has ended.

    Attempts have logs of their own, so each is followed by its number: an offset means nothing without it.
    """
    number = attempt or max(1, patient_look(http, job_id).attempt)
    while True:
        yield from _follow_attempt(http, job_id, number, offset, start, kind or BYTES)
        job = patient_look(http, job_id)
        if attempt or (job.state in FINAL_STATES and job.attempt <= number):
            return
        number, offset, start = number + 1, 0, None


def follow_events(http: Http, last: int | None) -> Iterator[Event]:
    """Yield events for ever; after a cut it resumes after the last one. Kinds that a newer service has are passed over."""
    patience = Patience(math.inf)
    seq = last
    while True:
        headers = {"Last-Event-ID": str(last)} if last is not None else {}
        try:
            with http.stream("events", headers=headers, read_timeout_seconds=KEEP_ALIVE_SECONDS) as answer:
                patience.renew()
                for line in _lines(answer.iter_bytes()):
                    if line.startswith("id: ") and line[4:].isdigit():
                        seq = int(line[4:])
                    elif line.startswith("data: "):
                        event = _event(line[6:])
                        last = seq if event is None else event.seq
                        if event is not None:
                            yield event
            patience.rest()
        except (httpx.TransportError, Unavailable) as error:
            patience.lose(error, http.url)


def _follow_attempt(
    http: Http, job_id: str, number: int, offset: int, start: dict[str, Any] | None, kind: Kind
) -> Iterator[bytes]:
    patience = Patience()
    while True:
        opened = False
        try:
            query = {"attempt": number, "offset": offset, "follow": 1, **kind.query, **(start or {})}
            with http.stream(log_of(job_id), query=query, read_timeout_seconds=SILENCE_SECONDS) as answer:
                opened = True
                begin = int(answer.headers.get(START, offset))
                if begin > offset and not start:
                    yield left_out(begin - offset)
                offset, start = begin, None
                patience.renew()
                for upto, piece in kind.pieces(answer, begin):
                    offset = upto
                    if piece:
                        yield piece
            job = _look(http, job_id)
            if job.attempt < number and job.state in FINAL_STATES:
                return  # it ended without this attempt
            if is_over(job, number):
                break
            patience.rest()  # somebody in between ended the answer
        except NotFound:
            if patient_look(http, job_id).attempt >= number:
                raise
            return
        except (httpx.TransportError, Unavailable) as error:
            if not (opened and isinstance(error, httpx.ReadTimeout)):
                patience.lose(error, http.url)
    yield from kind.rest(http, job_id, attempt=number, offset=offset, start=start)


def _bytes(answer: httpx.Response, offset: int) -> Iterator[tuple[int, bytes]]:
    for block in answer.iter_raw():
        offset += len(block)
        yield offset, block


BYTES = Kind(query={"exact": 1}, pieces=_bytes, rest=read_log)


def _lines(blocks: Iterator[bytes]) -> Iterator[str]:
    """Yield the lines of an event stream: other line ends than its own are part of what somebody wrote."""
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")


def log_of(job_id: str) -> str:
    """Return where a job's log is."""
    return f"jobs/{part(job_id)}/logs"


def _look(http: Http, job_id: str) -> JobView:
    return http.model(JobView, "GET", f"jobs/{part(job_id)}")


def patient_look(http: Http, job_id: str) -> JobView:
    """Return a job as it is now, also when the service is away for a while."""
    patience = Patience()
    while True:
        try:
            return _look(http, job_id)
        except Unavailable as error:
            patience.lose(error, http.url)


def is_over(job: JobView, number: int) -> bool:
    """Tell whether nothing can be added to an attempt's log any more."""
    finished = any(attempt.number == number and attempt.finished_at is not None for attempt in job.attempts)
    return finished or job.state in FINAL_STATES or job.attempt > number


def _event(data: str) -> Event | None:
    try:
        return Event.model_validate(json.loads(data))
    except (ValidationError, ValueError):
        return None
