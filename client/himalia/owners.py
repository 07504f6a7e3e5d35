"""Owners: `user:NAME` or `team:NAME`, so that a user and a team of one name never meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .errors import FieldError


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who a project, a snapshot or a job belongs to."""

    kind: Literal["user", "team"]
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @classmethod
    def user(cls, name: str) -> Owner:
        """Return the owner that is one person."""
        return cls(kind="user", name=name)

    @classmethod
    def team(cls, name: str) -> Owner:
        """Return the owner that is a team."""
        return cls(kind="team", name=name)

    @classmethod
    def parse(cls, text: str, field: str = "owner") -> Owner:
        """Read `user:NAME` or `team:NAME`; raise FieldError otherwise."""
        kind, colon, name = text.partition(":")
        if not colon or not name or kind not in ("user", "team"):
            raise FieldError(field, f"{text!r} is no owner. Write user:NAME or team:NAME.")
        return cls.user(name) if kind == "user" else cls.team(name)
