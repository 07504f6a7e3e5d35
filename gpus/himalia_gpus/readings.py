"""What is known about the GPUs of a machine at one moment. It crosses from the sampler's process to the service's."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from himalia.gpus import Slot, SlotHealth, SlotKind

GONE = "The machine does not list this GPU any more. Restart the machine if it should be there."
UNCUT = (
    "The GPU is in MIG mode and has no MIG devices. `nvidia-smi mig -cgi … -C` makes some, "
    "and `nvidia-smi -mig 0` ends that mode."
)


class Record(BaseModel):
    """A frozen record; fields that are not known are left out, so that an older process reads a newer one."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class MIGDevice(Record):
    """A part of a GPU that the driver gives out by itself (MIG)."""

    uuid: str
    profile: str  #: as the driver names it: 1g.18gb
    memory_bytes: int


class GPU(Record):
    """A GPU of this machine: what it is and whether it answers."""

    uuid: str
    index: int  #: for people only: it changes when a GPU is added or lost
    model: str
    memory_bytes: int
    pci_bus_id: str = ""
    minor: int | None = None  #: of its device node, /dev/nvidia<minor>
    mig_enabled: bool = False  #: it is cut into MIG devices and cannot be used whole
    mig_devices: tuple[MIGDevice, ...] = ()
    numa_node: int | None = None
    peers: tuple[str, ...] = ()  #: UUIDs of the GPUs that NVLink joins it with
    simulated: bool = False
    health: SlotHealth = SlotHealth.OK
    health_detail: str = ""
    fault: str = (
        ""  #: the last critical error (Xid) that it reported while the sampler listened; that it happened stays true
    )
    fault_clock: float | None = None  #: when, in seconds since the machine was started


class GPUProcess(Record):
    """A process that has a context on a GPU, by its id on the host."""

    pid: int
    memory_bytes: int | None = None
    graphics: bool = False  #: draws, such as the machine's own screen; it computes nothing
    container: str = ""  #: the id of the container that it runs in; empty: none, or not known
    user: str = ""
    command: str = ""
    gone: bool = False  #: it had ended before it could be looked at


class Sample(Record):
    """What a GPU is doing; None where the driver does not tell."""

    uuid: str  #: of a GPU or a MIG device
    busy_percent: int | None = None  #: of the time in which any kernel ran, however small
    memory_used_bytes: int | None = None  #: what the driver keeps for itself not counted, where it tells that apart
    power_watts: float | None = None
    temperature_celsius: int | None = None
    processes: tuple[GPUProcess, ...] | None = None


class Reading(Record):
    """All GPUs at one moment; `note` says in a sentence what is wrong, or why there are none."""

    at: datetime
    gpus: tuple[GPU, ...] = ()
    samples: tuple[Sample, ...] = ()
    processes_at: datetime | None = None  #: processes are asked for less often
    processes_clock: float = 0.0  #: the same in seconds since the machine was started: the wall clock may be set
    driver_version: str = ""
    note: str = ""
    unlisted_health: SlotHealth = SlotHealth.GONE  #: of GPUs that were there before and are not listed
    unlisted_detail: str = GONE

    def suspected(self, why: str) -> Reading:
        """Return this reading for the time after: nothing is known any more about what was there."""
        gpus = tuple(
            gpu.model_copy(update={"health": SlotHealth.SUSPECT, "health_detail": why})
            if gpu.health is not SlotHealth.GONE and not gpu.simulated
            else gpu
            for gpu in self.gpus
        )
        unlisted = {"unlisted_health": SlotHealth.SUSPECT, "unlisted_detail": why}
        return self.model_copy(update={"gpus": gpus, "samples": (), "note": why, **unlisted})

    def knowing(self, known: Iterable[GPU]) -> Reading:
        """Return this reading with those GPUs that were known before and that it does not list."""
        here = {gpu.uuid for gpu in self.gpus}
        said = {"health": self.unlisted_health, "health_detail": self.unlisted_detail}
        missing = [gpu.model_copy(update=said) for gpu in known if gpu.uuid not in here]
        if not missing:
            return self
        return self.model_copy(update={"gpus": tuple(sorted([*self.gpus, *missing], key=_order))})


def slots_of(gpus: Iterable[GPU], node_id: str = "local") -> tuple[Slot, ...]:
    """Return the slots that GPUs make as they are: a whole one each, or the MIG devices that it is cut into.

    How the whole ones are given out is the modes' matter (`himalia_gpus.modes`).
    """
    return tuple(slot for gpu in gpus for slot in _slots_of(gpu, node_id))


def _slots_of(gpu: GPU, node_id: str) -> tuple[Slot, ...]:
    whole = Slot(
        node_id=node_id,
        uuid=gpu.uuid,
        index=gpu.index,
        model=gpu.model,
        memory_bytes=gpu.memory_bytes,
        simulated=gpu.simulated,
        numa_node=gpu.numa_node,
        peers=gpu.peers,
        health=gpu.health,
        health_detail=gpu.health_detail,
    )
    if not gpu.mig_enabled:
        return (whole,)
    if not gpu.mig_devices:
        ill = gpu.health is not SlotHealth.OK
        return (whole if ill else whole.model_copy(update={"health": SlotHealth.OFF, "health_detail": UNCUT}),)
    return tuple(slice_of(whole, device.uuid, device.profile, device.memory_bytes) for device in gpu.mig_devices)


def slice_of(whole: Slot, uuid: str, profile: str, memory_bytes: int) -> Slot:
    """Return the slot of a MIG device of a GPU; NVLink does not reach it."""
    part = {"uuid": uuid, "kind": SlotKind.MIG, "parent": whole.uuid, "mig_profile": profile}
    return whole.model_copy(update=part | {"memory_bytes": memory_bytes, "peers": ()})


def _order(gpu: GPU) -> tuple[int, str]:
    return gpu.index, gpu.uuid
