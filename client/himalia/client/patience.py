"""How long a connection that broke is tried again."""

from __future__ import annotations

import time
from typing import Self

from .http import for_people

PAUSE_SECONDS = 1.0
GIVE_UP_SECONDS = 600.0
GIVE_UP_SOON_SECONDS = 15.0


class Patience:
    """Counts from the first failure; anything that works starts it anew."""

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = GIVE_UP_SECONDS if seconds is None else seconds
        self._since: float | None = None

    @classmethod
    def short(cls) -> Self:
        """Return the patience of somebody who waits for an answer at once."""
        return cls(GIVE_UP_SOON_SECONDS)

    @property
    def lost(self) -> bool:
        """Whether nothing has worked since the last failure."""
        return self._since is not None

    def renew(self) -> None:
        """Start anew: it works."""
        self._since = None

    def lose(self, error: Exception, url: str) -> None:
        """Wait a little after a failure; raise it, in words, when it has gone on for too long."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since >= self._seconds:
            raise for_people(error, url) from error
        self.rest()

    def rest(self) -> None:
        """Wait a little."""
        time.sleep(PAUSE_SECONDS)
