"""Why something waits, as one sentence for one reader: names only for those who may see them, times as UTC stamps."""

from __future__ import annotations

from datetime import datetime

from himalia.gpus import Slot
from himalia.moments import stamp
from himalia.units import format_duration

from .line import ordinal
from .words import Hold, Lack, Reader, Wait

NAMED = 4  #: more holders than these are only counted
SHORT_ID = 4
SHORTEST_IDLE_SECONDS = 60.0


def sentence(wait: Wait, reader: Reader, now: datetime) -> str:
    """Return where in line something is and what it waits for."""
    return placed(wait.position, why(wait.lack, reader, now, own=reader.may_read(wait.waiter)))


def placed(position: int, text: str) -> str:
    """Return a sentence with the place in line before it."""
    return f"{ordinal(position)} in line. {text}"


def why(lack: Lack, reader: Reader, now: datetime, *, own: bool) -> str:
    """Return what is waited for; `own`: the reader may read whose it is."""
    if lack.nameless and not own:
        return lack.nameless
    return lack.text or _gpus(lack, reader, now)


def holder(hold: Hold, reader: Reader, now: datetime) -> str:
    """Return who holds something, until when, and how long it has been idle: as far as the reader may know."""
    if not reader.may_read(hold):
        who = "in use"
    elif hold.kind == "server":
        who = f"{hold.user}'s notebook"
    else:
        who = f"{hold.user}'s job {hold.job_id[:SHORT_ID]}…"
    parts = [who]
    idle = (now - hold.idle_since).total_seconds() if hold.idle_since else 0.0
    if idle >= SHORTEST_IDLE_SECONDS:
        parts.append(f"idle {format_duration(idle)}")
    if hold.ends_at is not None:
        parts.append(f"ends before {stamp(hold.ends_at)}")
    return ", ".join(parts)


def _gpus(lack: Lack, reader: Reader, now: datetime) -> str:
    special = f" ({lack.special})" if lack.special else ""
    if not lack.holds:
        gpus = f"1 {lack.thing}" if lack.need == 1 else f"{lack.need} GPUs"
        out = f", {lack.ill} out of order" if lack.ill else ""
        return f"Waiting for {gpus}{special}: {lack.free} free now{out}."
    if lack.need == 1:
        lead = f"Waiting for 1{special} of" if lack.thing == "GPU" else f"Waiting for 1 {lack.thing}{special}, of"
    else:
        free = f"{lack.free} free now, " if lack.free else ""
        lead = f"Waiting for {lack.need} GPUs{special}, {free}{lack.need - lack.free} of"
    named = [_named(slot, hold, lack, reader, now) for slot, hold in lack.holds[:NAMED]]
    more = len(lack.holds) - len(named)
    if more > 0:
        named.append(f"{more} more")
    return f"{lead}: {', '.join(named)}."


def _named(slot: Slot, hold: Hold, lack: Lack, reader: Reader, now: datetime) -> str:
    several = len({held.node_id for held, _ in lack.holds}) > 1
    node = f" of {slot.node_id}" if several else ""
    return f"{slot.name}{node} ({holder(hold, reader, now)})"
