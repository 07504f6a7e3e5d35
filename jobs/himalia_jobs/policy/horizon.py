"""When the first in line can start at the latest, by the time limits of those who hold what it lacks.

EASY backfill (Lifka: The ANL/IBM SP Scheduling System, JSSPP 1995; Mu'alem and Feitelson: Utilization, Predictability,
Workloads, and User Runtime Estimates in Scheduling the IBM SP2 with Backfilling, IEEE TPDS 12(6), 2001): the first in
line has a promise, and others may go before it where they are gone by then or use what it leaves over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from himalia.gpus import Slot, SlotHealth, SlotKind

from .benches import given_back
from .pool import ROUNDING, Pool, make_of, makes_fit
from .words import Hold, Waiter


@dataclass(frozen=True, kw_only=True)
class Release:
    """A share of a node that is given back by some moment."""

    at: datetime
    node_id: str
    cpus: float
    memory_bytes: int
    slots: tuple[Slot, ...] = ()
    user_id: str = ""  #: whose it was


@dataclass(frozen=True, kw_only=True)
class Promise:
    """Where and when the first in line starts at the latest, and what the node has over then."""

    node_id: str
    at: datetime
    slots: tuple[Slot, ...]
    cpus_over: float
    memory_over: int


def releases_of(holds: Iterable[Hold]) -> Iterator[Release]:
    """Yield what is given back, and when at the latest, by those with a time limit."""
    for hold in holds:
        if hold.ends_at is not None:
            yield Release(
                at=hold.ends_at,
                node_id=hold.node_id,
                cpus=hold.cpus,
                memory_bytes=hold.memory_bytes,
                slots=hold.slots,
                user_id=hold.user_id,
            )


def promise(waiter: Waiter, pools: Sequence[Pool], releases: Iterable[Release]) -> Promise | None:
    """Return the earliest promise that holds; none where it hangs on somebody without a time limit."""
    by_node: dict[str, list[Release]] = {}
    for release in sorted(releases, key=lambda release: (release.at, release.node_id)):
        by_node.setdefault(release.node_id, []).append(release)
    found = (_on(waiter, pool, by_node.get(pool.node_id, [])) for pool in pools if pool.open)
    return min((one for one in found if one), key=lambda one: (one.at, one.node_id), default=None)


def _on(waiter: Waiter, pool: Pool, releases: Sequence[Release]) -> Promise | None:
    shared = waiter.gpus.kind is SlotKind.SEAT or any(slot.auto for one in releases for slot in one.slots)
    return _tried(waiter, pool, releases) if shared else _counted(waiter, pool, releases)


def _tried(waiter: Waiter, pool: Pool, releases: Sequence[Release]) -> Promise | None:
    """Return the promise by trying after each release: seats share memory, and a GPU may be whole or by seats."""
    room = pool.room()
    for release in releases:
        room = given_back(room, release.cpus, release.memory_bytes, [(release.user_id, slot) for slot in release.slots])
        slots = Pool(room).place(waiter)
        if slots is not None:
            return Promise(
                node_id=pool.node_id,
                at=release.at,
                slots=slots,
                cpus_over=room.cpus - waiter.cpus,
                memory_over=room.memory_bytes - waiter.memory_bytes,
            )
    return None


def _counted(waiter: Waiter, pool: Pool, releases: Sequence[Release]) -> Promise | None:
    cpus, memory = pool.cpus, pool.memory_bytes
    coming: list[Slot] = []
    free = pool.matching(waiter.gpus)
    for release in releases:
        cpus, memory = cpus + release.cpus, memory + release.memory_bytes
        coming += [slot for slot in release.slots if _usable(slot, waiter)]
        enough = len(free) + len(coming) >= waiter.gpus.count
        if enough and waiter.cpus <= cpus + ROUNDING and waiter.memory_bytes <= memory:
            # Those that come last are promised first: what is free now is left to others as far as possible.
            slots = (coming[::-1] + free)[: waiter.gpus.count]
            return Promise(
                node_id=pool.node_id,
                at=release.at,
                slots=tuple(slots),
                cpus_over=cpus - waiter.cpus,
                memory_over=memory - waiter.memory_bytes,
            )
    return None


def _usable(slot: Slot, waiter: Waiter) -> bool:
    return slot.health is SlotHealth.OK and makes_fit(make_of(slot), waiter.gpus)
