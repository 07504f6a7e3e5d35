"""GPUs as the parts tell each other about them: one slot is one thing that can be leased."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, computed_field

SEAT_MARK = "#"  #: between a GPU's UUID and the number of a seat: `GPU-…#2`
SLICES = 7  #: of compute in a GPU that can be cut (MIG)


class SlotKind(StrEnum):
    """What a slot is."""

    GPU = "gpu"  #: a whole GPU
    SEAT = "seat"  #: one seat of a shared GPU
    MIG = "mig"  #: a MIG device


class GPUMode(StrEnum):
    """How a GPU is given out."""

    EXCLUSIVE = "exclusive"  #: whole, to one holder
    SHARED = "shared"  #: by seats; their memory is not fenced
    AUTO = "auto"  #: whole or by seats, as its first lease has it, until it is free again
    MIG = "mig"  #: by its MIG devices, as they are; Himalia cuts no GPU
    OFF = "off"  #: to nobody


class SlotHealth(StrEnum):
    """Whether a slot may be given out: `ok` alone is."""

    OK = "ok"  #: well, and free or held
    SETTLING = "settling"  #: its last holder has ended; it is looked at until the GPU is really free
    FOREIGN = "foreign"  #: something that Himalia did not start uses it
    SUSPECT = "suspect"  #: the driver does not answer for it, or says that something is wrong
    QUARANTINED = "quarantined"  #: kept back by the ledger or by an administrator
    DRAINED = "drained"  #: an administrator empties it: who has it keeps it, nobody gets it next
    CHANGING = "changing"  #: its GPU gets another mode as soon as it is free
    OFF = "off"  #: its GPU is given to nobody, by its mode
    GONE = "gone"  #: the machine does not have it any more


class SlotHold(StrEnum):
    """Why the ledger keeps a slot back, whatever the driver says."""

    SETTLING = "settling"  #: its last holder has ended a moment ago
    FOREIGN = "foreign"  #: a process uses it that no holder of it started
    ROGUE = "rogue"  #: a container has it that is not Himalia's
    CONFLICT = "conflict"  #: two containers run on it
    LEFTOVER = "leftover"  #: its memory did not come back after its last holder
    FAULT = "fault"  #: it reported a critical error (Xid)
    ADMIN = "admin"  #: an administrator said so
    DRAIN = "drain"  #: an administrator empties it


#: What a slot that is kept back is shown as.
HELD_BACK_AS: dict[SlotHold, SlotHealth] = {
    SlotHold.SETTLING: SlotHealth.SETTLING,
    SlotHold.FOREIGN: SlotHealth.FOREIGN,
    SlotHold.ROGUE: SlotHealth.FOREIGN,
    SlotHold.CONFLICT: SlotHealth.QUARANTINED,
    SlotHold.LEFTOVER: SlotHealth.QUARANTINED,
    SlotHold.FAULT: SlotHealth.QUARANTINED,
    SlotHold.ADMIN: SlotHealth.QUARANTINED,
    SlotHold.DRAIN: SlotHealth.DRAINED,
}
#: These end when somebody says so, or with a restart of the machine; all others by themselves, with their cause.
LASTING_HOLDS = frozenset({SlotHold.FAULT, SlotHold.ADMIN, SlotHold.DRAIN})


class Slot(BaseModel):
    """One thing that can be leased, named by node and UUID."""

    model_config = ConfigDict(frozen=True)

    node_id: str = "local"
    uuid: str
    kind: SlotKind = SlotKind.GPU
    index: int  #: for people only; never an identity
    model: str
    memory_bytes: int
    simulated: bool = False
    numa_node: int | None = None  #: where it is known
    peers: tuple[str, ...] = ()  #: UUIDs of the GPUs that NVLink joins it with, where that is known
    parent: str = ""  #: of a MIG device: UUID of the GPU that it is cut from
    mig_profile: str = ""  #: of a MIG device: 1g.18gb
    seats: int = 0  #: how many seats its GPU has; 0: it has none
    auto: bool = False  #: its GPU is given out whole or by seats, as the first lease has it
    budget_bytes: int = 0  #: of a seat that somebody has: the memory of it that is theirs
    health: SlotHealth = SlotHealth.OK
    health_detail: str = ""

    @computed_field  # type: ignore[prop-decorator]  # as Pydantic wants it
    @property
    def gpu(self) -> str:
        """UUID of the GPU that it is, or is a part of."""
        return self.parent or self.uuid.partition(SEAT_MARK)[0]

    @property
    def device(self) -> str:
        """UUID of what a container gets for it: the GPU's for a seat."""
        return self.uuid.partition(SEAT_MARK)[0]

    @property
    def name(self) -> str:
        """What people call it: `GPU 0`, `GPU 0 seat 2`, `GPU 0 1g.18gb`."""
        if self.kind is SlotKind.SEAT:
            return f"GPU {self.index} seat {self.uuid.partition(SEAT_MARK)[2]}"
        return f"GPU {self.index} {self.mig_profile}".rstrip()

    @computed_field  # type: ignore[prop-decorator]  # as above
    @property
    def share_bytes(self) -> int:
        """The memory that is its holder's: of a seat nobody asked more or less for, an equal part."""
        if self.kind is not SlotKind.SEAT:
            return self.memory_bytes
        return self.budget_bytes or self.memory_bytes // max(self.seats, 1)

    @property
    def part(self) -> float:
        """The part of a GPU that it is, for limits and accounts: 1 for a whole one."""
        if self.kind is SlotKind.SEAT:
            return max(1 / max(self.seats, 1), self.share_bytes / self.memory_bytes if self.memory_bytes else 0.0)
        if self.kind is SlotKind.MIG:
            return slice_part(self.mig_profile)
        return 1.0


def slice_part(profile: str) -> float:
    """Return the part of a GPU that a MIG profile is: 1g is one of seven; 1c.2g is one of two of these."""
    pieces = {piece[-1]: piece[:-1] for piece in profile.split(".")[:2] if piece[:-1].isdigit()}
    slices = int(pieces.get("c") or pieces.get("g") or 1)
    return min(1.0, slices / SLICES)


def overlap(one: str, other: str, parents: Mapping[str, str]) -> bool:
    """Tell whether two slots cannot both be had: the same one, or one is the whole GPU that the other is a part of.

    `parents` names the GPU of each MIG device.
    """
    if one == other:
        return True
    gpus = [parents.get(uuid) or uuid.partition(SEAT_MARK)[0] for uuid in (one, other)]
    return gpus[0] == gpus[1] and gpus[0] in (one, other)
