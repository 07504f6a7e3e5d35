"""How long nothing has used the GPUs of each lease: the GPUs' own samples, and what the kernels of servers do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from himalia.gpus import Slot

from ..engines.gpus import GPUState
from ..store import watched
from ..store.records import LeaseRecord
from ..store.watched import WatchedRecord
from .activity import Kernels
from .deciding import looked
from .words import Use

STALE_SECONDS = 45.0  #: what was seen of GPUs longer ago than this says nothing of now


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was seen at one moment."""

    clock: float
    boot_id: str
    states: Mapping[str, GPUState]  #: of GPUs, by UUID
    states_clock: float  #: when they were seen
    kernels: Mapping[str, Kernels | None]  #: of servers, by lease; none: a server does not say
    busy_percent: int  #: less than this is no use


def measured(lease: LeaseRecord, slots: Iterable[Slot], before: Use, look: Look) -> Use:
    """Return what is known of a lease's use after a look."""
    gpus = [_gpu_active(slot, look) for slot in slots]
    if lease.kind == "job":
        active = True if True in gpus else False if gpus and all(one is False for one in gpus) else None
        return looked(before, clock=look.clock, boot_id=look.boot_id, active=active)
    kernels = look.kernels.get(lease.id)
    stamp = kernels.stamp if kernels is not None else None
    moved = kernels is not None and bool(before.boot_id) and stamp != before.stamp
    # What a GPU does not tell (a simulated one, a slice) is left to the kernels; a driver that is silent is not.
    silent = kernels is None or any(
        one is None and not _is_mute(slot, look) for slot, one in zip(slots, gpus, strict=True)
    )
    active = True if True in gpus or moved or (kernels and kernels.busy) else None if silent else False
    return looked(before, clock=look.clock, boot_id=look.boot_id, active=active, stamp=stamp)


def _gpu_active(slot: Slot, look: Look) -> bool | None:
    """Tell whether a GPU is used; none: nobody knows."""
    state = look.states.get(slot.device)
    if state is None or state.busy_percent is None or look.clock - look.states_clock > STALE_SECONDS:
        return None
    return state.busy_percent >= look.busy_percent


def _is_mute(slot: Slot, look: Look) -> bool:
    """Tell whether this is a GPU that never says how busy it is."""
    state = look.states.get(slot.device)
    return slot.simulated if state is None else state.busy_percent is None


def use_of(record: WatchedRecord) -> Use:
    """Return what the database knows of a lease's use."""
    return Use(idle_seconds=record.idle_seconds, clock=record.clock, boot_id=record.boot_id, stamp=record.stamp)


def write_uses(
    db: Connection, uses: Mapping[str, Use], held: Mapping[str, LeaseRecord], first: Mapping[str, float]
) -> None:
    """Keep what was measured; what was kept in a row ends with the idleness."""
    known = watched.everything(db)
    for lease_id, use in uses.items():
        values = {
            "idle_seconds": use.idle_seconds,
            "clock": use.clock,
            "boot_id": use.boot_id,
            "stamp": use.stamp,
        }
        if lease_id not in known:
            user_id = held[lease_id].user_id
            watched.add(db, lease_id=lease_id, user_id=user_id, first_clock=first[lease_id], **values)
            continue
        if use.idle_seconds == 0.0:
            values |= {"kept": 0, "kept_until": 0.0}
        watched.change(db, lease_id, **values)
