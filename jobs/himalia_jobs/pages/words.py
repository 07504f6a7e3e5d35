"""How pages write sizes, lengths of time and moments; a browser then shows moments in its reader's zone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from himalia.models import WaiterView
from himalia.models.base import to_rfc3339
from himalia.moments import STAMP, stamp
from himalia.reasons import Sure
from himalia.units import format_duration, format_size

EXPECTED = {
    Sure.AT_LATEST: "It should start at the latest at",
    Sure.LIKELY: "It should start about",
    Sure.GUESS: "It may start about",
}


def moment(when: datetime | None) -> Markup:
    """Return a moment as an element that the page's script puts into the reader's zone."""
    if when is None:
        return Markup("")
    return Markup('<time datetime="{}">{}</time>').format(
        to_rfc3339(when), when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    )


def sentence(text: str) -> Markup:
    """Return a sentence whose UTC stamps are such elements."""
    parts, last = [], 0
    for found in STAMP.finditer(text):
        parts += [escape(text[last : found.start()]), moment(datetime.fromisoformat(found.group()))]
        last = found.end()
    return Markup("").join([*parts, escape(text[last:])])


def expected(waiter: WaiterView) -> str:
    """Return when something is expected to start, as a sentence; nothing where that is not known."""
    if waiter.estimate_at is None or waiter.sure is None:
        return ""
    return f"{EXPECTED[waiter.sure]} {stamp(waiter.estimate_at)}."


FILTERS: dict[str, Callable[..., Any]] = {
    "duration": format_duration,
    "expected": expected,
    "moment": moment,
    "sentence": sentence,
    "size": format_size,
}
