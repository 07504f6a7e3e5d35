"""Whether the ledger keeps a slot back, and the words: a pure function of what is known, no clock, no database, no Docker."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from himalia.gpus import SEAT_MARK, SlotHealth, SlotHold, overlap
from himalia.units import MiB, format_size

from .engines.gpus import GPUHolder, GPUState, GPUUse, GPUUser
from .store.records import SlotRecord

SETTLE_SECONDS = 60.0  #: a driver gives the memory of a killed process back within a few
IDLE_BYTES = 1024 * MiB  #: what a driver may keep on a GPU that nobody uses
LONGEST_LIST = 3  #: processes named in a sentence

#: What people are told of slots that are kept back; administrators see by whom and by what.
TOLD = {
    SlotHealth.SETTLING: "Its last holder has ended; it is given out as soon as it is really free.",
    SlotHealth.FOREIGN: "Something that Himalia did not start uses it; it is given out when that has ended.",
    SlotHealth.QUARANTINED: "It is kept back. Administrators see why.",
    SlotHealth.DRAINED: "It is being emptied: who has it keeps it, and nobody gets it next.",
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Why a slot is kept back, in words; none: it is not."""

    hold: SlotHold | None = None
    detail: str = ""


FREE = Verdict()
NOBODY: Mapping[str, str] = MappingProxyType({})


def judge(slot: SlotRecord, lease_id: str | None, use: GPUUse, held: Mapping[str, str] = NOBODY) -> Verdict:
    """Return what holds for a slot. What others do to a slot that is held is said as well; its holder goes on.

    `held` are the leases of all slots: who sits beside a seat by right is in nobody's way.
    """
    state = next((gpu for gpu in use.gpus if gpu.uuid == _seen_as(slot)), None)
    lasting = _lasting(slot, state, use.boot_id)
    if lasting is not None:
        return lasting
    here = _Holders(slot, use, held)
    found = _past_himalia(here)
    if found is not None:
        return found
    if here.by_right:  # an automatic GPU that is given out the other way now
        return FREE
    if slot.simulated:
        return _still_runs(here.crossing) if here.crossing else FREE
    if state is None:  # the driver does not answer for it: nothing new is known
        return Verdict(hold=slot.hold, detail=slot.hold_detail)
    known = [*here.ours, *here.beside]
    strangers = [user for user in state.users or () if _is_stranger(user, known)]
    if strangers:
        return Verdict(hold=SlotHold.FOREIGN, detail=_foreign(strangers))
    return FREE if lease_id is not None else _settled(slot, state, here, use)


class _Holders:
    """The running containers that have something of a slot's GPU."""

    def __init__(self, slot: SlotRecord, use: GPUUse, held: Mapping[str, str]) -> None:
        parents = {slot.uuid: slot.parent} if slot.parent else {}
        crossing = [one for one in use.holders if any(overlap(uuid, slot.uuid, parents) for uuid in one.uuids)]
        self.strangers = [one for one in crossing if not one.ours]
        self.ours = [one for one in crossing if one.ours and slot.uuid in one.uuids]
        others = [one for one in crossing if one.ours and one not in self.ours]
        #: They have what cannot be had beside this slot: by their lease, or without one.
        self.by_right = [one for one in others if slot.auto and one.lease_id and one.lease_id in _leases(one, held)]
        self.crossing = [one for one in others if one not in self.by_right]
        #: They have other seats of the same GPU.
        self.beside = [
            one
            for one in use.holders
            if one.ours and one not in crossing and any(uuid.partition(SEAT_MARK)[0] == slot.gpu for uuid in one.uuids)
        ]


def _leases(holder: GPUHolder, held: Mapping[str, str]) -> set[str]:
    return {held[uuid] for uuid in holder.uuids if uuid in held}


def _seen_as(slot: SlotRecord) -> str:
    """Return what the driver tells about a slot by: a MIG device by itself, a seat by its GPU."""
    return slot.device


def _past_himalia(here: _Holders) -> Verdict | None:
    """Return what holds where somebody reached past Himalia; none where nobody did."""
    if len(here.ours) > 1 or (here.ours and here.crossing):
        names = _and(sorted(holder.name for holder in [*here.ours, *here.crossing]))
        return Verdict(
            hold=SlotHold.CONFLICT,
            detail=f"{names} run on it at once: one of them was started past Himalia. End one; it is given to nobody until then.",
        )
    if here.strangers:
        names = _and(sorted(holder.name for holder in here.strangers))
        return Verdict(
            hold=SlotHold.ROGUE,
            detail=f"The container {names}, which is not Himalia's, has this GPU. It is given out when that has ended.",
        )
    return None


def _still_runs(holders: Sequence[GPUHolder]) -> Verdict:
    return Verdict(hold=SlotHold.SETTLING, detail=f"{holders[0].name} still runs on it.")


def _lasting(slot: SlotRecord, state: GPUState | None, boot_id: str) -> Verdict | None:
    """Return the hold that ends on somebody's word alone, or with a restart of the machine."""
    if slot.hold in (SlotHold.ADMIN, SlotHold.DRAIN):
        return Verdict(hold=slot.hold, detail=slot.hold_detail)
    if state is not None and state.fault and state.fault_clock is not None:
        returned = slot.returned_clock if slot.returned_boot == boot_id else None
        if returned is None or state.fault_clock > returned:
            return Verdict(hold=SlotHold.FAULT, detail=state.fault)
    if slot.hold is SlotHold.FAULT and slot.hold_boot in (None, boot_id):
        return Verdict(hold=SlotHold.FAULT, detail=slot.hold_detail)
    return None


def _settled(slot: SlotRecord, state: GPUState, here: _Holders, use: GPUUse) -> Verdict:
    """Return whether a slot that nobody holds is really free: no process on it but its neighbours', and its memory is back."""
    same_life = slot.hold_boot == use.boot_id
    since = slot.hold_clock if slot.hold_clock is not None and same_life else None
    was_kept_back = slot.hold is not None
    kept = slot.hold_detail if slot.hold is SlotHold.SETTLING else "It is looked at before it is given out."
    if here.ours or here.crossing:
        return _still_runs(here.ours or here.crossing)
    if was_kept_back and (since is None or use.clock < since):
        return Verdict(hold=SlotHold.SETTLING, detail=kept)  # what is known is older than its last holder's end
    beside = {holder.name for holder in here.beside}
    lingering = [user for user in state.users or () if not user.graphics and user.container not in beside]
    left = _left(state, beside)
    if not lingering and left <= IDLE_BYTES * (1 + len(beside)):
        return FREE
    what = (
        f"{_named(lingering)} of its last holder does not end"
        if lingering
        else f"{format_size(left)} of its memory are in use, and no process is known that holds them"
    )
    if slot.hold is SlotHold.LEFTOVER or (since is not None and use.now - since > SETTLE_SECONDS):
        return Verdict(
            hold=SlotHold.LEFTOVER,
            detail=f"{what}. Look at `nvidia-smi`; a reset of the GPU or a restart frees it. It is given out when it is free.",
        )
    return Verdict(hold=SlotHold.SETTLING, detail=f"{what}; it is waited for.")


def _is_stranger(user: GPUUser, ours: Sequence[GPUHolder]) -> bool:
    """Tell whether a process computes there that no holder of the slot started; one of a container that has ended lingers."""
    if user.graphics or user.container in {holder.name for holder in ours}:
        return False
    return not (user.ours and not ours)


def _left(state: GPUState, beside: Collection[str]) -> int:
    """Return the memory that nobody is known to use by right; nothing where a neighbour's share cannot be told apart."""
    known = [user for user in state.users or () if user.graphics or user.container in beside]
    if beside and any(user.memory_bytes is None for user in known):
        return 0
    return max(0, (state.memory_used_bytes or 0) - sum(user.memory_bytes or 0 for user in known))


def _foreign(strangers: Sequence[GPUUser]) -> str:
    ours = [user.container for user in strangers if user.ours]
    if len(ours) == len(strangers):
        return f"{_and(sorted(set(ours)))} uses it without holding it. It is given out when that has ended."
    return f"{_named(strangers)}, which Himalia did not start, uses it. It is given out when that has ended."


def _named(users: Sequence[GPUUser]) -> str:
    """Return processes for a sentence, with where they run and what they take."""
    named = []
    for user in users[:LONGEST_LIST]:
        where = f" in the container {user.container}" if user.container else ""
        whose = f" of {user.user}" if user.user and not user.container else ""
        memory = f", {format_size(user.memory_bytes)}" if user.memory_bytes else ""
        named.append(f"{user.command or 'A process'} (process {user.pid}{whose}{where}{memory})")
    more = len(users) - LONGEST_LIST
    return _and([*named, *([f"{more} more"] if more > 0 else [])])


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
