"""A slot as people see it: what it is, what it does, who has it; who and what is behind a hold is for administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from himalia.gpus import GPUMode, Slot, SlotHealth, SlotKind
from himalia.models import GPUProcessView, SlotView

from .engines.gpus import GPUState
from .person import Person
from .policy import Hold
from .verdicts import TOLD

IN_USE = "in use"  #: what strangers read in the holder's place


def slot_view(slot: Slot, hold: Hold | None, person: Person, state: GPUState | None, now: datetime) -> SlotView:
    """Return a slot as this person sees it."""
    seen = _seen(slot, state, person)
    if hold is None:
        return SlotView(**seen)
    readable, known = person.reader.may_read(hold), hold.user or "somebody"
    may_open = person.may_see_hold(hold)
    return SlotView(
        **seen,
        holder=_holder(hold, known, readable=readable, with_job=may_open),
        holder_kind=hold.kind,
        holder_user=hold.user if readable else None,
        lease=hold.lease_id if person.sees_all else None,
        job=hold.job_id or None if may_open else None,
        profile=hold.profile or None if readable else None,
        since=hold.since,
        until=hold.ends_at,
        idle_seconds=max(0.0, (now - hold.idle_since).total_seconds()) if hold.idle_since else None,
        ending=hold.stopping,
    )


def mode_of(slot: Slot) -> GPUMode:
    """Return how the GPU of a slot is given out."""
    if slot.health is SlotHealth.OFF:
        return GPUMode.OFF
    if slot.auto:
        return GPUMode.AUTO
    return {SlotKind.SEAT: GPUMode.SHARED, SlotKind.MIG: GPUMode.MIG}.get(slot.kind, GPUMode.EXCLUSIVE)


def _holder(hold: Hold, known: str, *, readable: bool, with_job: bool) -> str:
    if not readable:
        return IN_USE
    if hold.kind == "server":
        return f"{known}'s notebook"
    return f"job {hold.job_id} of {known}" if with_job else f"a job of {known}"


def _seen(slot: Slot, state: GPUState | None, person: Person) -> dict[str, Any]:
    shown = slot.model_dump() | {"mode": mode_of(slot)}
    if slot.health in TOLD and not person.sees_all:
        shown["health_detail"] = TOLD[slot.health]
    if state is None:
        return shown
    shown |= {
        "busy_percent": state.busy_percent,
        "memory_used_bytes": state.memory_used_bytes,
        "temperature_celsius": state.temperature_celsius,
        "power_watts": state.power_watts,
    }
    if person.sees_all:
        shown["processes"] = tuple(GPUProcessView(**vars(user)) for user in state.users or ())
    return shown
