"""Who is on a node's GPUs, and what these do: words of the engine contract."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class GPUUser:
    """A process on a GPU, and whose it is."""

    pid: int
    memory_bytes: int | None = None
    graphics: bool = False  #: draws, such as the machine's own screen
    container: str = ""  #: its name, or the beginning of an id that the Engine does not know; empty: none
    ours: bool = False  #: whether the container is of this installation
    user: str = ""
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class GPUState:
    """What a GPU does, by its UUID; None where the driver does not tell."""

    uuid: str
    busy_percent: int | None = None
    memory_used_bytes: int | None = None
    temperature_celsius: int | None = None
    power_watts: float | None = None
    fault: str = ""  #: a critical error that it reported; that it happened stays true
    fault_clock: float | None = None
    users: tuple[GPUUser, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class GPUHolder:
    """A running container that was given GPUs, ours or somebody else's."""

    name: str
    uuids: tuple[str, ...]
    ours: bool = True
    lease_id: str = ""


@dataclass(frozen=True, kw_only=True)
class GPUUse:
    """Who is on the GPUs of a node: the containers that have them, and the processes on them."""

    node_id: str
    boot_id: str
    now: float  #: seconds since the machine was started
    clock: float  #: the same when the processes were read
    gpus: tuple[GPUState, ...]  #: those that answer
    holders: tuple[GPUHolder, ...]
