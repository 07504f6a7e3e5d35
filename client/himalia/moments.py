"""Moments inside sentences: they travel as UTC stamps, and are shown in the reader's own zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from .errors import FieldError
from .reasons import Sure
from .units import parse_duration

EXPECTED = {
    Sure.AT_LATEST: "It should start at the latest at",
    Sure.LIKELY: "It should start about",
    Sure.GUESS: "It may start about",
}
STAMP = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z")


def stamp(moment: datetime) -> str:
    """Return a moment as sentences carry it: UTC, to the minute, never earlier than it is."""
    rounded = moment.astimezone(UTC) + timedelta(seconds=59, microseconds=999_999)
    return rounded.strftime("%Y-%m-%dT%H:%MZ")


def stamp_to_second(moment: datetime) -> str:
    """Return the same to the second: for what comes so soon that a minute says too little."""
    return (moment.astimezone(UTC) + timedelta(microseconds=999_999)).strftime("%Y-%m-%dT%H:%M:%SZ")


def expected(at: datetime | None, sure: Sure | None) -> str:
    """Return when something is expected to start, as a sentence; nothing where that is not known."""
    return f"{EXPECTED[sure]} {stamp(at)}." if at is not None and sure is not None else ""


def parse_since(text: str, now: datetime, zone: tzinfo | None = UTC, field: str = "since") -> datetime:
    """Return the moment that somebody means: so long ago (`10m`), or itself (`2026-05-04T10:00`, in a zone if it names none)."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now - timedelta(seconds=parse_duration(text, field))
        except FieldError as error:
            raise FieldError(field, f"{text[:40]!r} is no moment. Write 10m, 2h, or 2026-05-04T10:00.") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def localised(text: str, now: datetime | None = None, zone: tzinfo | None = None) -> str:
    """Return a sentence with its stamps in a zone (none: this machine's): `14:20` (`14:20:05`) today, else `Thu 3 Dec 14:20`."""
    here = (now or datetime.now(UTC)).astimezone(zone)
    return STAMP.sub(
        lambda found: _shown(datetime.fromisoformat(found[0]).astimezone(zone), here, zone, seconds=bool(found[1])),
        text,
    )


def _shown(moment: datetime, now: datetime, zone: tzinfo | None, *, seconds: bool) -> str:
    name = " UTC" if zone is UTC else ""
    time = f"{moment:%H:%M:%S}" if seconds else f"{moment:%H:%M}"
    if moment.date() == now.date():
        return f"{time}{name}"
    return f"{moment:%a} {moment.day} {moment:%b} {time}{name}"
