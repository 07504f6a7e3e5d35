"""The line as the last round left it, told to whoever reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from himalia.models import WaitingFor
from himalia.reasons import Reason, Sure

from .policy import Estimate, Reader, Wait, holder, placed, why

LISTED = 16  #: holders that are listed beside the sentence


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one reader is told about something that waits."""

    reason: Reason
    sentence: str
    position: int
    estimate_at: datetime | None = None
    sure: Sure | None = None


@dataclass(frozen=True, kw_only=True)
class Line:
    """Who waits, by the id of the job or the lease, in line; and when they are expected to start."""

    waits: Mapping[str, Wait] = field(default_factory=dict)
    estimates: Mapping[str, Estimate] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.waits)

    def position(self, waiter_id: str) -> int | None:
        """Return the place of something in line."""
        wait = self.waits.get(waiter_id)
        return wait.position if wait else None

    def places(self) -> dict[str, tuple[int, Reason, tuple[str, ...]]]:
        """Return what people notice when it changes: place, reason, and who holds what is waited for."""
        return {
            key: (wait.position, wait.reason, tuple(hold.lease_id for _, hold in wait.lack.holds))
            for key, wait in self.waits.items()
        }

    def told(self, waiter_id: str, reader: Reader, now: datetime | None = None) -> Told | None:
        """Return what a reader is told about something that waits; none when it does not."""
        moment = now or datetime.now(UTC)
        return next(iter(self.told_of([waiter_id], reader, moment).values()), None)

    def told_of(self, waiter_ids: Iterable[str], reader: Reader, now: datetime) -> dict[str, Told]:
        """Return the same for many; what they have in common is put in words once."""
        known: dict[tuple[int, bool], str] = {}
        found = {}
        for waiter_id in waiter_ids:
            wait = self.waits.get(waiter_id)
            if wait is None:
                continue
            common = (id(wait.lack), reader.may_read(wait.waiter))
            if common not in known:
                known[common] = why(wait.lack, reader, now, own=common[1])
            expected = self.estimates.get(waiter_id)
            found[waiter_id] = Told(
                reason=wait.reason,
                sentence=placed(wait.position, known[common]),
                position=wait.position,
                estimate_at=max(expected.at, now) if expected else None,
                sure=expected.sure if expected else None,
            )
        return found

    def waiting_for(self, waiter_id: str, reader: Reader, now: datetime | None = None) -> tuple[WaitingFor, ...]:
        """Return the GPUs that something waits for, and who has them."""
        wait = self.waits.get(waiter_id)
        return _waiting_for(wait, reader, now or datetime.now(UTC)) if wait else ()


def _waiting_for(wait: Wait, reader: Reader, now: datetime) -> tuple[WaitingFor, ...]:
    return tuple(
        WaitingFor(
            node_id=slot.node_id,
            uuid=slot.uuid,
            index=slot.index,
            holder=holder(hold, reader, now),
            kind=hold.kind,
            user=hold.user if reader.may_read(hold) else None,
            job=(hold.job_id or None) if reader.may_read(hold) else None,
            until=hold.ends_at,
            idle_seconds=(now - hold.idle_since).total_seconds() if hold.idle_since else None,
        )
        for slot, hold in wait.lack.holds[:LISTED]
    )
