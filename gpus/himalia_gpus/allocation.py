"""Which slots a GPU request fits, and which of them are near to each other; the sentence when it can never get any."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from himalia.gpus import Slot, SlotHealth, SlotKind
from himalia.units import GiB

from .request import GPURequest, size_text

#: What the box says and what NVML reports differ: ECC and the driver keep up to a sixteenth (an "80 GB" H100 has
#: 79.6 GiB, a "16 GB" T4 has 15.0, a "24 GB" L4 has 22.5). A request names what the box says.
KEPT_BACK = 0.07


def nearest(slots: Sequence[Slot], count: int) -> list[Slot]:
    """Return so many of these slots of one node that are near to each other: joined by NVLink, else of one NUMA node.

    Where several are as near, those are taken that leave others joined; else the first.
    """
    known = any(slot.peers or slot.numa_node is not None for slot in slots)
    if not known or not 0 < count < len(slots):
        return list(slots[:count])
    links = {slot.uuid: set(slot.peers) for slot in slots}
    groups = [_grown(slots, seed, count, links) for seed in range(len(slots))]
    return max(groups, key=lambda group: _nearness(group, slots, links))


def _grown(slots: Sequence[Slot], seed: int, count: int, links: dict[str, set[str]]) -> list[Slot]:
    """Return a group that starts with one slot and takes the nearest, one after the other."""
    group, left = [slots[seed]], [slot for number, slot in enumerate(slots) if number != seed]
    while len(group) < count:
        best = max(left, key=lambda slot: (_joined(slot, group, links), slot.numa_node == slots[seed].numa_node))
        group.append(best)
        left.remove(best)
    return group


def _nearness(group: Sequence[Slot], slots: Sequence[Slot], links: dict[str, set[str]]) -> tuple[int, int, int]:
    chosen = {slot.uuid for slot in group}
    inside = sum(_joined(slot, group, links) for slot in group)
    broken = sum(1 for slot in slots if slot.uuid not in chosen for peer in links[slot.uuid] if peer in chosen)
    return inside, -len({slot.numa_node for slot in group}), -broken


def _joined(slot: Slot, others: Sequence[Slot], links: dict[str, set[str]]) -> int:
    return sum(1 for other in others if other.uuid in links[slot.uuid])


def why_never(slots: Iterable[Slot], request: GPURequest) -> str | None:
    """Return why the request could not be met even if all slots were healthy and free; None when it could."""
    if request.count == 0:
        return None
    known = [slot for slot in slots if slot.health is not SlotHealth.OFF]
    if not known:
        return "This platform has no GPUs. Ask for 0 GPUs."
    if not any(slot.kind is request.kind for slot in known):
        return f"{_NOT_OFFERED[request.kind]} {_what_to_ask(known)} {what_exists(known)}"
    fitting = [slot for slot in known if fits(slot, request)]
    if not fitting:
        return f"{_none_like(request)} {what_exists(known)}"
    if request.kind is not SlotKind.GPU:
        return None
    most = max(Counter(slot.node_id for slot in fitting).values())
    if most >= request.count:
        return None
    here = "on one machine" if len({slot.node_id for slot in known}) > 1 else "here"
    fit = "is" if most == 1 else "are"
    if len(fitting) < len(known):
        fit = f"{'fits' if most == 1 else 'fit'} {str(request)!r}"
    return f"{request.count} GPUs are asked for, and only {most} {fit} {here}. {what_exists(known)}"


_NOT_OFFERED = {
    SlotKind.GPU: "Whole GPUs are not offered here.",
    SlotKind.SEAT: "Shared GPUs are not offered here.",
    SlotKind.MIG: "Slices of GPUs (MIG) are not offered here.",
}


def fits(slot: Slot, request: GPURequest) -> bool:
    """Tell whether a slot is what the request asks for, whatever its health and whoever sits beside it."""
    if slot.kind is not request.kind or slot.health is SlotHealth.OFF:
        return False
    if request.models and not any(is_model(slot.model, model) for model in request.models):
        return False
    if request.kind is SlotKind.MIG:
        return slot.mig_profile in request.mig_profiles
    if request.kind is SlotKind.SEAT:
        return budget_of(slot, request) <= slot.memory_bytes
    low, high = request.memory_min_bytes, request.memory_max_bytes
    large_enough = low is None or slot.memory_bytes >= low * (1 - KEPT_BACK)
    return large_enough and (high is None or slot.memory_bytes <= high)


def budget_of(slot: Slot, request: GPURequest) -> int:
    """Return the memory of a shared GPU that a seat has for this request: what it names, or an equal part."""
    if request.seat_memory_bytes is not None:
        return request.seat_memory_bytes
    if request.seat_fraction is not None:
        return int(request.seat_fraction * slot.memory_bytes)
    return slot.memory_bytes // max(slot.seats, 1)


def part_of(slots: Iterable[Slot], request: GPURequest) -> float:
    """Return how much of GPUs a request takes at most, for limits: a seat counts as the part of a GPU that it is."""
    if request.kind is SlotKind.GPU:
        return float(request.count)
    parts = [_asked(slot, request).part for slot in slots if fits(slot, request)]
    return max(parts, default=0.0)


def _asked(slot: Slot, request: GPURequest) -> Slot:
    return slot.model_copy(update={"budget_bytes": budget_of(slot, request)}) if slot.kind is SlotKind.SEAT else slot


def is_model(name: str, model: str) -> bool:
    """Tell whether a model is a whole token of NVML's name, or several that stand together: RTX4090 for "RTX 4090"."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    wanted = "".join(re.findall(r"[a-z0-9]+", model.lower()))
    ends = range(1, len(words) + 1)
    return any("".join(words[start:end]) == wanted for end in ends for start in range(end))


def what_exists(slots: Sequence[Slot]) -> str:
    """Return what this platform has, as a sentence: `This platform has 4 x Simulated (24 GB).`

    Seats and slices are counted by themselves: `4 seats on 1 x L4 (22 GB), 2 x mig-1g.18gb of NVIDIA H200 (18 GB)`.
    """
    whole = sorted((slot for slot in slots if slot.kind is not SlotKind.SEAT), key=_rank)
    parts = [f"{count} x {kind}" for kind, count in Counter(_kind_text(slot) for slot in whole).items()]
    seats: dict[str, list[Slot]] = {}
    for slot in sorted((slot for slot in slots if slot.kind is SlotKind.SEAT), key=_rank):
        seats.setdefault(_kind_text(slot) + (", also given whole" if slot.auto else ""), []).append(slot)
    for kind, here in seats.items():
        gpus = len({(slot.node_id, slot.gpu) for slot in here})
        parts.append(f"{len(here)} {'seat' if len(here) == 1 else 'seats'} on {gpus} x {kind}")
    return f"This platform has {', '.join(parts)}." if parts else "This platform has no GPUs."


def memory_text(size_bytes: int) -> str:
    """Return a GPU's memory for people, in whole GB."""
    return f"{round(size_bytes / GiB)} GB" if size_bytes >= GiB else f"{size_bytes // 2**20} MB"


def _kind_text(slot: Slot) -> str:
    told = not slot.simulated or "simulated" in slot.model.lower()
    of = f"mig-{slot.mig_profile} of " if slot.kind is SlotKind.MIG else ""
    return f"{of}{slot.model} ({memory_text(slot.memory_bytes)}{'' if told else ', simulated'})"


def _rank(slot: Slot) -> tuple[int, str, int, str]:
    return slot.memory_bytes, slot.node_id, slot.index, slot.uuid


def _what_to_ask(known: Sequence[Slot]) -> str:
    """Return what there is to ask for instead, by the kinds of slots that are there."""
    kinds = {slot.kind for slot in known}
    if SlotKind.GPU in kinds:
        return "Ask for a whole GPU, such as 1."
    if SlotKind.SEAT in kinds:
        return "Ask for a seat: shared."
    profile = min(slot.mig_profile for slot in known if slot.kind is SlotKind.MIG)
    return f"Ask for a slice, such as mig-{profile}."


def _none_like(request: GPURequest) -> str:
    """Return that nothing here is like what is asked for."""
    models = " or ".join(_with_article(model) for model in request.models)
    if request.kind is SlotKind.GPU:
        return f"No GPU here {_wanted(request)}."
    if request.kind is SlotKind.MIG:
        profiles = " or ".join(f"mig-{profile}" for profile in request.mig_profiles)
        return f"No slice here is {profiles}{f' of {models}' if models else ''}."
    memory = f"{size_text(request.seat_memory_bytes)} for one seat" if request.seat_memory_bytes is not None else ""
    if not models:
        return f"No shared GPU here has {memory}."
    return f"No shared GPU here is {models}{f' with {memory}' if memory else ''}."


def _wanted(request: GPURequest) -> str:
    """Return what is wanted, to stand after `No GPU here`."""
    models = " or ".join(_with_article(model) for model in request.models)
    low, high = request.memory_min_bytes, request.memory_max_bytes
    if low is None and high is None:
        return f"is {models}"
    if low is not None and low == high:
        memory = f"{size_text(low)} (for at least that much write {size_text(low)}..)"
    elif low is not None and high is not None:
        memory = f"{size_text(low)} to {size_text(high)}"
    else:
        memory = f"{size_text(low or high or 0)} or {'less' if low is None else 'more'}"
    return f"is {models} with {memory}" if models else f"has {memory}"


def _with_article(model: str) -> str:
    """Return `an A100`, `a T4`: short runs of letters are spelled out, longer ones read as a word."""
    letters = re.match(r"[A-Z]*", model)
    spelled = letters is not None and len(letters[0]) <= 3
    return f"{'an' if model[:1] in ('AEFHILMNORSX' if spelled else 'AEIO') else 'a'} {model}"
