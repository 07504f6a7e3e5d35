"""Whether a container that the Engine calls running does run: an Engine that is stopped at the wrong moment misses an end."""

from __future__ import annotations

from himalia.processes import Sightings

from ..bootclock import BootClock
from .journal import Journal

#: How long nothing of a container must have been there: an Engine that works tells of an end within a moment.
GONE_SECONDS = 5.0
#: The same where the launcher wrote no record: only the Engine knows why, and it may yet tell.
GONE_WITHOUT_WORD_SECONDS = 60.0
SIGHT = "sight"


class Pulse:
    """Looks for the processes of containers; whether they are seen from here, the journal keeps for the next service."""

    def __init__(self, journal: Journal, clock: BootClock) -> None:
        self.sightings = Sightings(now=clock.now)
        self._journal = journal
        self._clock = clock

    def is_gone(self, container: str, pid: int, *, wrote_record: bool) -> bool:
        """Tell whether nothing of a container has been there for some time; `pid` is the Engine's word for its first process."""
        could_see = self.sees()
        gone = self.sightings.seconds_gone(container, pid)
        if self.sightings.sees and not could_see:
            self._journal.note(SIGHT, self._here())
        return gone >= (GONE_SECONDS if wrote_record else GONE_WITHOUT_WORD_SECONDS)

    def sees(self) -> bool:
        """Tell whether a process of some container was seen from here."""
        self.sightings.sees = self.sightings.sees or self._journal.noted(SIGHT) == self._here()
        return self.sightings.sees

    def forget(self, container: str) -> None:
        """Forget a container."""
        self.sightings.forget(container)

    def _here(self) -> str:
        """Return which processes are seen here: those of one start of the machine, in one namespace."""
        return f"{self._clock.boot_id} {(self.sightings.proc / 'self/ns/pid').readlink()}"
