"""The base of all models: frozen; a field that is not known is refused in requests and ignored in answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer


class Request(BaseModel):
    """The body of a request: unknown fields are refused, so that a typing mistake is told."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Answer(BaseModel):
    """The body of an answer: unknown fields are ignored, so that an older client reads a newer service."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def to_rfc3339(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC with `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[datetime, PlainSerializer(to_rfc3339, return_type=str)]
