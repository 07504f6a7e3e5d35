"""Whether a container that the Engine calls running does run: an Engine that is stopped at the wrong moment misses an end.

The control group of a process names its container by its whole id; a process id alone would be another's by now.
"""

from __future__ import annotations

from pathlib import Path

from ..bootclock import BootClock
from .journal import Journal
from .leftovers import groups, processes_of

#: How long nothing of a container must have been there: an Engine that works tells of an end within a moment.
GONE_SECONDS = 5.0
#: The same where the launcher wrote no record: only the Engine knows why, and it may yet tell.
GONE_WITHOUT_WORD_SECONDS = 60.0
SIGHT = "sight"


class Pulse:
    """Looks for the processes of containers. A machine on which it never saw any is one that it cannot see."""

    def __init__(self, journal: Journal, clock: BootClock, proc: Path = Path("/proc")) -> None:
        self.proc = proc
        self._journal = journal
        self._clock = clock
        self._gone_at: dict[str, float] = {}
        self._sees = False

    def is_gone(self, container: str, pid: int, *, wrote_record: bool) -> bool:
        """Tell whether nothing of a container has been there for some time; `pid` is the Engine's word for its first process."""
        if container in groups(self.proc / str(pid)) or processes_of(container, self.proc):
            self.forget(container)
            self._note_sight()
            return False
        if not self._can_see():
            return False
        gone = self._clock.now() - self._gone_at.setdefault(container, self._clock.now())
        return gone >= (GONE_SECONDS if wrote_record else GONE_WITHOUT_WORD_SECONDS)

    def forget(self, container: str) -> None:
        """Forget a container."""
        self._gone_at.pop(container, None)

    def _can_see(self) -> bool:
        """Tell whether containers' processes are seen from here: a service can have processes of its own, as in a container."""
        self._sees = self._sees or self._journal.noted(SIGHT) == self._here()
        return self._sees

    def _note_sight(self) -> None:
        if not self._can_see():
            self._journal.note(SIGHT, self._here())

    def _here(self) -> str:
        """Return which processes are seen here: those of one start of the machine, in one namespace."""
        return f"{self._clock.boot_id} {(self.proc / 'self/ns/pid').readlink()}"
