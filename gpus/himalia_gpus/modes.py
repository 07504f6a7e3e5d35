"""How each GPU is given out: whole, by seats, by its MIG devices, or not at all; and what a change of that does.

A change never touches holders: it is in force once nobody holds anything of the GPU.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from himalia.gpu_modes import GPUModeSetting
from himalia.gpus import SEAT_MARK, GPUMode, Slot, SlotHealth, SlotKind
from himalia.units import GiB

from .allocation import is_model
from .readings import slice_of

SEATS = 4  #: of a shared GPU for which nobody says how many
_NAMESPACE = uuids.UUID("0b1f7c52-2d6c-5f0e-9a53-7a1c4d0c9f64")
UNCUT = (
    "It is to be given out by MIG devices, and has none: Himalia cuts no GPU. "
    "`nvidia-smi -mig 1` and `nvidia-smi mig -cgi … -C` do."
)
TURNED_OFF = "It is switched off: it is given to nobody. `himalia gpus mode` switches it on."
LOST_SLICE = "This MIG device is not there any more: somebody cut the GPU anew."


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How somebody wants a GPU to be given out."""

    mode: GPUMode = GPUMode.EXCLUSIVE
    seats: int = SEATS
    slices: tuple[str, ...] = ()  #: MIG profiles, of a simulated GPU

    def __str__(self) -> str:
        """Return it to stand after `becomes`."""
        seats = "1 seat" if self.seats == 1 else f"{self.seats} seats"
        return {
            GPUMode.EXCLUSIVE: "exclusive: whole, to one holder at a time",
            GPUMode.SHARED: f"shared by {seats}",
            GPUMode.AUTO: f"whole or shared by {seats}, as its first lease has it",
            GPUMode.MIG: "given out by its MIG devices",
            GPUMode.OFF: "switched off",
        }[self.mode]


@dataclass(frozen=True, kw_only=True)
class Arranged:
    """The slots of a machine in the modes that are wished for, and those that are held in an earlier one."""

    slots: tuple[Slot, ...]  #: what can be asked for
    leaving: tuple[Slot, ...] = ()  #: held, and gone with their holders

    @property
    def all(self) -> tuple[Slot, ...]:
        """Everything that the ledger keeps."""
        return self.slots + self.leaving


def wish_of(gpu: Slot, settings: Iterable[GPUModeSetting]) -> Wish:
    """Return what `[[gpu_modes]]` says of a GPU: a UUID before an index before a model before `*`; else exclusive."""
    ranked = [(rank, one) for one in settings if (rank := _rank(one, gpu)) is not None]
    if not ranked:
        return Wish()
    one = min(ranked, key=lambda entry: entry[0])[1]
    return Wish(mode=one.mode, seats=one.seats, slices=one.slices)


def slots_in(gpu: Slot, wish: Wish) -> tuple[Slot, ...]:
    """Return the slots of a GPU in a mode. What is unwell stays so in each."""
    if wish.mode is GPUMode.OFF:
        return (_off(gpu, TURNED_OFF),)
    if gpu.kind is SlotKind.MIG or gpu.health is SlotHealth.OFF:  # the driver has cut it already
        return (gpu,)
    if wish.mode is GPUMode.MIG:
        return _slices(gpu, wish.slices) if gpu.simulated else (_off(gpu, UNCUT),)
    seats = tuple(_seat(gpu, number, wish) for number in range(1, wish.seats + 1))
    if wish.mode is GPUMode.SHARED:
        return seats
    if wish.mode is GPUMode.AUTO:
        return (gpu.model_copy(update={"seats": wish.seats, "auto": True}), *seats)
    return (gpu,)


def arranged(found: Iterable[Slot], wishes: dict[str, Wish], known: Sequence[Slot], held: Collection[str]) -> Arranged:
    """Return the slots of a machine: what it was found to have, in the modes wished for.

    `known` are the slots that the ledger has, `held` the UUIDs of those that somebody holds.
    """
    by_gpu: dict[str, list[Slot]] = {}
    for slot in found:
        by_gpu.setdefault(slot.gpu, []).append(slot)
    slots: list[Slot] = []
    leaving: list[Slot] = []
    for gpu, parts in by_gpu.items():
        wish = wishes.get(gpu, Wish())
        target = [slot for part in parts for slot in slots_in(part, wish)]
        named = {slot.uuid for slot in target}
        old = [slot for slot in known if slot.gpu == gpu and slot.uuid in held and slot.uuid not in named]
        slots += [_waits(slot, wish) for slot in target] if old else target
        leaving += [_left(slot, parts[0], wish) for slot in old]
    return Arranged(slots=tuple(slots), leaving=tuple(leaving))


def becomes(index: int, wish: Wish) -> str:
    """Return the sentence about a change that is not in force yet."""
    return f"GPU {index} becomes {wish} as soon as nobody holds anything of it."


def _rank(setting: GPUModeSetting, gpu: Slot) -> int | None:
    if setting.gpu == gpu.gpu:
        return 0
    if setting.gpu == str(gpu.index):
        return 1
    if setting.gpu == "*":
        return 3
    return 2 if is_model(gpu.model, setting.gpu) else None


def _seat(gpu: Slot, number: int, wish: Wish) -> Slot:
    seat = {"uuid": f"{gpu.uuid}{SEAT_MARK}{number}", "kind": SlotKind.SEAT, "peers": (), "seats": wish.seats}
    return gpu.model_copy(update=seat | {"auto": wish.mode is GPUMode.AUTO})


def _slices(gpu: Slot, profiles: Sequence[str]) -> tuple[Slot, ...]:
    """Return the MIG devices of a simulated GPU; seven alike where nobody says which."""
    chosen = profiles or (f"1g.{max(1, gpu.memory_bytes // 8 // GiB)}gb",) * 7
    slots = []
    for number, profile in enumerate(chosen):
        uuid = f"MIG-{uuids.uuid5(_NAMESPACE, f'{gpu.uuid}/{number}/{profile}')}"
        slots.append(slice_of(gpu, uuid, profile, int(profile.split(".")[-1].partition("gb")[0]) * GiB))
    return tuple(slots)


def _off(gpu: Slot, why: str) -> Slot:
    ill = gpu.health not in (SlotHealth.OK, SlotHealth.OFF)
    return gpu if ill else gpu.model_copy(update={"health": SlotHealth.OFF, "health_detail": why})


def _waits(slot: Slot, wish: Wish) -> Slot:
    """Return a slot of a mode that is not in force yet."""
    if slot.health is not SlotHealth.OK:
        return slot
    return slot.model_copy(update={"health": SlotHealth.CHANGING, "health_detail": becomes(slot.index, wish)})


def _left(slot: Slot, gpu: Slot, wish: Wish) -> Slot:
    """Return a slot that is held and is no more when its holder ends."""
    lost = slot.kind is SlotKind.MIG and not slot.simulated
    health, words = (SlotHealth.GONE, LOST_SLICE) if lost else (SlotHealth.CHANGING, becomes(gpu.index, wish))
    if gpu.health not in (SlotHealth.OK, SlotHealth.OFF):
        health, words = gpu.health, gpu.health_detail
    return slot.model_copy(update={"index": gpu.index, "health": health, "health_detail": words})
