"""Small worlds for the queue's policy: who waits, who holds what, and a clock that is turned by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from himalia.gpus import Slot
from himalia.units import GiB
from himalia_gpus.request import parse_request
from himalia_jobs.policy import Decision, Hold, Room, Situation, Start, Waiter

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


def slots(count: int, node: str = "local", **changes: Any) -> tuple[Slot, ...]:
    """Return GPUs of a node."""
    base: dict[str, Any] = {"node_id": node, "model": "H200", "memory_bytes": 141 * GiB}
    return tuple(Slot(uuid=f"GPU-{node}-{n}", index=n, **(base | changes)) for n in range(count))


def room(cpus: float = 8, memory: int = 64 * GiB, gpus: int = 0, node: str = "local") -> Room:
    """Return what a node has free."""
    return Room(node_id=node, cpus=cpus, memory_bytes=memory, slots=slots(gpus, node))


def waiter(name: str, user: str = "ada", gpus: str = "0", cpus: float = 1, memory: int = GiB, **more: Any) -> Waiter:
    """Return one who waits; the number that the name ends with is the second it came in."""
    more.setdefault("since", NOW - timedelta(hours=1) + timedelta(seconds=int(name[-2:])))
    base: dict[str, Any] = {"kind": "job", "limit_seconds": 3600.0, "profile": "small", "user": user}
    request = parse_request(gpus)
    more["teams"] = frozenset(more.get("teams", ()))
    return Waiter(id=name, user_id=user, cpus=cpus, memory_bytes=memory, gpus=request, **(base | more))


def hold(user: str = "bob", held: Sequence[Slot] = (), ends_in: float | None = None, **more: Any) -> Hold:
    """Return one who holds something; `ends_in` seconds."""
    base: dict[str, Any] = {
        "lease_id": f"lease-of-{user}-{held[0].uuid if held else ''}",
        "kind": "job",
        "user": user,
        "node_id": held[0].node_id if held else "local",
        "cpus": 1,
        "memory_bytes": GiB,
        "since": NOW - timedelta(minutes=10),
        "profile": "small",
        "job_id": "8f2abcdefghi",
        "ends_at": None if ends_in is None else NOW + timedelta(seconds=ends_in),
    }
    more["teams"] = frozenset(more.get("teams", ()))
    return Hold(user_id=user, slots=tuple(held), **(base | more))


def situation(
    waiters: Sequence[Waiter] = (), rooms: Sequence[Room] = (), holds: Sequence[Hold] = (), **more: Any
) -> Situation:
    """Return a situation."""
    more.setdefault("now", NOW)
    return Situation(waiters=tuple(waiters), rooms=tuple(rooms), holds=tuple(holds), **more)


def names(starts: Sequence[Start]) -> list[str]:
    """Return who starts."""
    return [start.waiter.id for start in starts]


def reasons(decision: Decision) -> dict[str, str]:
    """Return why each waits."""
    return {wait.waiter.id: str(wait.reason) for wait in decision.waits}
