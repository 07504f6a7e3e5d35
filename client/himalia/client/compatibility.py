"""Whether this client and a service understand each other."""

from __future__ import annotations

from ..errors import LocalError
from ..models import Me
from ..version import VERSION


def refuse_if_too_old(me: Me) -> None:
    """Raise LocalError when the service no longer understands this client."""
    if _numbers(VERSION) < _numbers(me.oldest_client):
        raise LocalError(
            f"This himalia ({VERSION}) is too old for the platform ({me.version}). Upgrade it: pip install -U 'himalia>={me.oldest_client}'."
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
