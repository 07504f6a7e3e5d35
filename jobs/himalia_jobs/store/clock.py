"""Times as the database keeps them."""

from __future__ import annotations

from datetime import UTC, datetime


def now_text() -> str:
    """Return now as the database keeps it."""
    return to_text(datetime.now(UTC))


def to_text(moment: datetime) -> str:
    """Return a moment as the database keeps it: UTC, RFC 3339, sortable."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """Return the moment of a text."""
    return datetime.fromisoformat(text)


def from_text_or_none(text: str | None) -> datetime | None:
    """Return the moment of a text, or none."""
    return None if text is None else datetime.fromisoformat(text)
