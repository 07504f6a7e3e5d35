"""How near a place is to its limit of the disk, and what people read then: pure functions."""

from __future__ import annotations

from enum import StrEnum

from himalia.units import format_size

from ..engines.disk import DiskUse

FENCE_PART = 0.999
LONGEST_NAME = 20  #: of a job, in a notice: Lab shows 140 letters


class Level(StrEnum):
    """How full a place is."""

    OK = "ok"
    NEARLY = "nearly"
    FULL = "full"


def level_of(use: DiskUse, nearly_percent: int) -> Level:
    """Return how full a place is; one that is fenced is full a little before its limit: what does not fit is refused whole."""
    if use.over or (use.fenced and use.part >= FENCE_PART):
        return Level.FULL
    return Level.NEARLY if use.part * 100 >= nearly_percent else Level.OK


def over_sentence(use: DiskUse) -> str:
    """Return what an attempt had written that is ended for it."""
    return f"It had {_written(use)} that it may{_mostly(use)}."


def near_sentence(use: DiskUse, name: str, job_id: str) -> str:
    """Return what is told of a job that nears its limit."""
    short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    then = "more is refused" if use.fenced else "above that it is ended"
    return f"Your job {short} ({job_id}) has {_written(use)} that it may{_mostly(use)}; {then}."


def place_sentence(use: DiskUse, place: str, level: Level) -> str:
    """Return what is told of a home or a storage that is nearly full, or full; empty: nothing."""
    whose = f"The team's {place}" if use.place.kind == "team" else f"Your {place}"
    if level is Level.NEARLY:
        return f"{whose} is nearly full: {_taken(use)}. Delete what is not needed before it is full."
    if level is Level.FULL and use.place.kind == "home":
        return f"{whose} is full: {_taken(use)}. Delete something."
    if level is Level.FULL:
        return f"{whose} is full: {_taken(use)}. Delete something: no new job is taken before."
    return ""


def waits_sentence(use: DiskUse) -> str:
    """Return what is told of a job in line whose person's storage, or whose team's, is full."""
    whose = "storage of its team" if use.place.kind == "team" else "/storage of who submitted it"
    return f"The {whose} is full: {_taken(use)}. It starts when something was deleted there."


def _written(use: DiskUse) -> str:
    """Return what was written of how much, of that which is nearer to its limit."""
    limit = use.place.limit
    if _by_files(use):
        return f"made {use.files:,} of the {limit.files:,} files"
    return f"written {format_size(use.used_bytes)} of the {format_size(limit.size_bytes)}"


def _taken(use: DiskUse) -> str:
    limit = use.place.limit
    if _by_files(use):
        return f"{use.files:,} of {limit.files:,} files"
    return f"{format_size(use.used_bytes)} of {format_size(limit.size_bytes)}"


def _by_files(use: DiskUse) -> bool:
    limit = use.place.limit
    if not limit.size_bytes or not limit.files:
        return not limit.size_bytes
    return use.files / limit.files > use.used_bytes / limit.size_bytes


def _mostly(use: DiskUse) -> str:
    return f", mostly {use.mostly}" if use.mostly else ""
