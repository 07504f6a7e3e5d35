"""What the tables of `himalia.toml` are made of: sizes, durations, names, and a table that refuses what it does not know."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from .units import parse_duration, parse_size

Bytes = Annotated[int, BeforeValidator(lambda value: parse_size(value))]
Seconds = Annotated[int, BeforeValidator(lambda value: parse_duration(value))]
SecondsOrNever = Annotated[int | None, BeforeValidator(lambda value: _or_never(value))]
SecondsOrNeverOrDefault = Annotated[
    int | Literal[""] | None, BeforeValidator(lambda value: value if value == "" else _or_never(value))
]
BytesOrUnlimited = Annotated[int | None, BeforeValidator(lambda value: _or_unlimited(value) and parse_size(value))]
CountOrUnlimited = Annotated[int | None, BeforeValidator(lambda value: _or_unlimited(value))]
NAME = r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"


class Section(BaseModel):
    """A table of the file; a setting that is not known is refused, so that a typing mistake is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _or_unlimited(value: str | int | None) -> str | int | None:
    return None if value in (None, "unlimited") else value


def _or_never(value: str | int | None) -> int | None:
    return None if value in (None, "never") else parse_duration(value or 0)
