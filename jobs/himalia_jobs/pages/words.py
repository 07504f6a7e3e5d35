"""How pages write sizes, lengths of time and moments; a browser then shows moments in its reader's zone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from himalia import moments
from himalia.models import WaiterView, WaitingView
from himalia.models.base import to_rfc3339
from himalia.moments import STAMP, stamp
from himalia.units import counted, format_duration, format_size
from himalia_gpus.request import parse_request


def moment(when: datetime | None) -> Markup:
    """Return a moment as an element that the page's script puts into the reader's zone."""
    if when is None:
        return Markup("")
    return Markup('<time datetime="{}">{}</time>').format(
        to_rfc3339(when), when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    )


def deadline(when: datetime) -> Markup:
    """Return a moment that is still to come, as sentences write it."""
    return sentence(stamp(when))


def asked(gpus: str) -> str:
    """Return a GPU request in words."""
    return parse_request(gpus).in_words


def sentence(text: str) -> Markup:
    """Return a sentence whose UTC stamps are such elements."""
    parts, last = [], 0
    for found in STAMP.finditer(text):
        parts += [escape(text[last : found.start()]), moment(datetime.fromisoformat(found.group()))]
        last = found.end()
    return Markup("").join([*parts, escape(text[last:])])


def expected(waiting: WaiterView | WaitingView) -> Markup:
    """Return when something is expected to start, as a sentence; nothing where that is not known."""
    return sentence(moments.expected(waiting.estimate_at, waiting.sure))


FILTERS: dict[str, Callable[..., Any]] = {
    "asked": asked,
    "counted": counted,
    "deadline": deadline,
    "duration": format_duration,
    "expected": expected,
    "moment": moment,
    "sentence": sentence,
    "size": format_size,
}
