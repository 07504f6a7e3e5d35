"""Measures how idle GPUs are that somebody holds, and adds up GPU hours.

How long something was held is written with the grant itself, so that no restart loses any of it. What is measured in
between is kept for a minute and then written; a minute that is lost with a crash counts as not measured, never as idle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection

from himalia.models import UsageBy, UsageView

from .accounts import Use, months_between, rows_by, span_of, total_hours
from .bootclock import BootClock
from .engines.gpus import GPUState
from .ledger import SeenGPUs
from .person import Person
from .store import Database, grants
from .store.clock import to_text
from .store.records import GrantRecord
from .work import repeat

MEASURE_SECONDS = 5.0
WRITE_SECONDS = 60.0
LONGEST_SECONDS = 30.0  #: between two looks; what is longer apart was not measured in between
NOT_MEASURED = "What the driver says of a GPU decides what is idle; of simulated GPUs nothing is known."


class Accounting:
    """Keeps account of GPU hours."""

    def __init__(self, db: Database, clock: BootClock, seen: SeenGPUs) -> None:
        self.db = db
        self.clock = clock
        self.seen = seen
        self._last: tuple[float, Mapping[str, GPUState]] | None = None
        self._written = clock.now()
        self._kept: dict[tuple[str, int], tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))

    async def run(self) -> None:
        """Measure until cancelled, and write what is not written yet."""
        try:
            await repeat(self.measure, every_seconds=MEASURE_SECONDS)
        finally:
            await self.write()

    async def measure(self) -> None:
        """Look at what the GPUs of all holders do; a look that is not newer than the last one tells nothing."""
        now, states = self.clock.now(), self.seen.states
        if self._last is not None and states is self._last[1]:
            return
        before, self._last = self._last, (now, states)
        seconds = 0.0 if before is None else now - before[0]
        if states and 0 < seconds <= LONGEST_SECONDS:
            month = f"{self.clock.wall():%Y-%m}"
            for grant in await self.db.read(grants.standing):
                busy = _busy(states, grant)
                if busy is not None:
                    measured, idle = self._kept[month, grant.number]
                    self._kept[month, grant.number] = (measured + seconds, idle + (0.0 if busy else seconds))
        if now - self._written >= WRITE_SECONDS:
            await self.write()

    async def write(self) -> None:
        """Write what was measured."""
        kept, self._written = dict(self._kept), self.clock.now()
        self._kept.clear()
        by_month: dict[str, dict[int, tuple[float, float]]] = defaultdict(dict)
        for (month, grant), seconds in kept.items():
            by_month[month][grant] = seconds

        def write(db: Connection) -> None:
            for month, seconds in by_month.items():
                grants.add_use(db, month, seconds)

        if by_month:
            await self.db.write(write)

    async def usage(self, person: Person, by: UsageBy, first: str, last: str) -> UsageView:
        """Return GPU hours from one month to another."""
        now, months = self.clock.wall(), months_between(first, last)
        since, until = span_of(first)[0], min(span_of(last)[1], now)

        def read(db: Connection) -> tuple[list[GrantRecord], Use]:
            return grants.between(db, to_text(since), to_text(until)), grants.use_of(db, months)

        held, use = await self.db.read(read)
        rows = rows_by(by, held, use, months, now, person)
        unknown = bool(rows) and all(row.idle_share is None for row in rows)
        return UsageView(
            by=by,
            since=since,
            until=until,
            rows=tuple(rows),
            gpu_hours=total_hours(by, held, months, now, person),
            note=NOT_MEASURED if unknown else "",
        )


def _busy(states: Mapping[str, GPUState], grant: GrantRecord) -> int | None:
    """Return how busy the GPU of a grant is; none where the driver does not tell."""
    state = states.get(grant.uuid)
    return state.busy_percent if state is not None else None
