"""GPUs as NVML tells them, read in a process that may hang in the driver and be killed."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pynvml

from himalia.gpus import SlotHealth

from . import health
from .asking import ask
from .attribution import attributed
from .faults import Faults, complaint_of, too_hot
from .joined import Peers, peers_of
from .readings import GONE, GPU, UNCUT, GPUProcess, Reading, Sample
from .slices import mig_devices

MAPS = Path("/proc/self/maps")
BUS = Path("/sys/bus/pci/devices")
LIBRARY = "libnvidia-ml.so"


class NVMLInventory:
    """Read the real GPUs; whatever is wrong is told in the reading, never raised."""

    def __init__(self) -> None:
        self.needs_new_process = False  #: the library, once loaded, stays for the life of a process
        self._open = False
        self._library: tuple[str, int] | None = None
        self._faults = Faults()
        self._known: dict[str, GPU] = {}
        self._processes: dict[str, tuple[GPUProcess, ...] | None] = {}
        self._complaints: dict[str, str] = {}
        self._joined: tuple[frozenset[str], Peers] = (frozenset(), {})
        self._processes_at: tuple[datetime | None, float] = (None, 0.0)

    def read(self, *, with_processes: bool = True) -> Reading:
        """Return what is there now; without processes, those read before are told again."""
        at = datetime.now(UTC)
        try:
            if not self._open:
                pynvml.nvmlInit()
                self._open = True
                self._library = _loaded_library()
            count = pynvml.nvmlDeviceGetCount()
            driver = ask(pynvml.nvmlSystemGetDriverVersion) or ""
        except pynvml.NVMLError as error:
            return self._broken(at, error.value)
        # An upgrade replaces the library under a process that goes on with the old one; new containers get the new one.
        self.needs_new_process = _replaced(self._library)
        if with_processes:
            self._processes_at = (at, time.clock_gettime(time.CLOCK_BOOTTIME))
        self._faults.gather()
        handles: dict[str, Any] = {}
        read = [self._read_gpu(index, with_processes, handles) for index in range(count)]
        found = [(gpu, samples) for gpu, samples, _ in read if gpu is not None]
        trouble = next((code for _, _, code in read if code), 0)
        peers = self._peers(handles)
        here = {gpu.uuid: gpu.model_copy(update={"peers": peers.get(gpu.uuid, ())}) for gpu, _ in found}
        # A lost GPU cannot say its UUID: while one is in trouble, a missing one is that one.
        unlisted = health.health_of(trouble) if trouble else (SlotHealth.GONE, GONE)
        reading = Reading(
            at=at,
            gpus=tuple(here.values()),
            samples=tuple(sample for _, samples in found for sample in samples),
            processes_at=self._processes_at[0],
            processes_clock=self._processes_at[1],
            driver_version=driver,
            note=_note(count, trouble, list(here.values())),
            unlisted_health=unlisted[0],
            unlisted_detail=unlisted[1],
        ).knowing(self._known.values())
        self._known |= here
        return reading

    def _read_gpu(
        self, index: int, with_processes: bool, handles: dict[str, Any]
    ) -> tuple[GPU | None, tuple[Sample, ...], int]:
        """Return a GPU, what it and its MIG devices do, and the error code where it does not answer (0: it does)."""
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            gpu = _identity(handle, index)
        except pynvml.NVMLError as error:
            return None, (), error.value
        try:
            self._faults.listen(handle, gpu.uuid)
            if with_processes:
                self._complaints[gpu.uuid] = complaint_of(handle)
            sample = self._sampled(handle, gpu.uuid, with_processes)
            parts = mig_devices(handle) if gpu.mig_enabled else []
            gpu = gpu.model_copy(update={"mig_devices": tuple(device for device, _ in parts)})
            samples = [sample, *(self._sampled(part, device.uuid, with_processes) for device, part in parts)]
            handles[gpu.uuid] = handle
            return self._judged(gpu, handle, sample), tuple(samples), 0
        except pynvml.NVMLError as error:
            state, words = health.health_of(error.value)
            return gpu.model_copy(update={"health": state, "health_detail": words}), (), error.value

    def _sampled(self, handle: Any, uuid: str, with_processes: bool) -> Sample:
        if with_processes:
            self._processes[uuid] = _processes(handle)
        return _sample(handle, uuid, self._processes.get(uuid))

    def _peers(self, handles: dict[str, Any]) -> Peers:
        """Return which GPUs NVLink joins; asked anew when there are others than before."""
        if self._joined[0] != handles.keys():
            self._joined = (frozenset(handles), peers_of(handles))
        return self._joined[1]

    def _judged(self, gpu: GPU, handle: Any, sample: Sample) -> GPU:
        """Return a GPU that answers, with what it and the driver say is wrong with it."""
        words = self._complaints.get(gpu.uuid, "")
        if not words and too_hot(handle):
            words = health.heat_sentence(sample.temperature_celsius)
        fault, clock = self._faults.last.get(gpu.uuid, ("", None))
        said: dict[str, Any] = {"fault": fault, "fault_clock": clock}
        if words:
            said |= {"health": SlotHealth.SUSPECT, "health_detail": words}
        return gpu.model_copy(update=said)

    def _broken(self, at: datetime, code: int) -> Reading:
        """Return a reading for when the driver as a whole does not answer."""
        self.needs_new_process = self._open or code == health.VERSION_MISMATCH
        words = health.sentence(code)
        return Reading(at=at, gpus=tuple(self._known.values()), note=words).suspected(words)


def _identity(handle: Any, index: int) -> GPU:
    memory = ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
    pci = ask(pynvml.nvmlDeviceGetPciInfo, handle)
    mig = ask(pynvml.nvmlDeviceGetMigMode, handle)
    return GPU(
        uuid=pynvml.nvmlDeviceGetUUID(handle),
        index=index,
        model=pynvml.nvmlDeviceGetName(handle),
        memory_bytes=memory.total if memory else 0,
        pci_bus_id=pci.busId if pci else "",
        minor=ask(pynvml.nvmlDeviceGetMinorNumber, handle),
        mig_enabled=bool(mig and mig[0]),
        numa_node=_numa_node(pci.busId) if pci else None,
    )


def _numa_node(bus_id: str) -> int | None:
    """Return the NUMA node of a device, as the kernel knows it; none where there is only one, or nobody knows."""
    domain, _, place = bus_id.lower().partition(":")
    try:
        found = int((BUS / f"{domain[-4:]}:{place}" / "numa_node").read_text())
    except (OSError, ValueError):
        return None
    return found if found >= 0 else None


def _sample(handle: Any, uuid: str, processes: tuple[GPUProcess, ...] | None) -> Sample:
    memory = ask(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2)
    if memory is None:
        memory = ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
    busy = ask(pynvml.nvmlDeviceGetUtilizationRates, handle)
    milliwatts = ask(pynvml.nvmlDeviceGetPowerUsage, handle)
    return Sample(
        uuid=uuid,
        busy_percent=busy.gpu if busy else None,
        memory_used_bytes=memory.used if memory else None,
        power_watts=None if milliwatts is None else milliwatts / 1000,
        temperature_celsius=ask(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU),
        processes=processes,
    )


def _processes(handle: Any) -> tuple[GPUProcess, ...] | None:
    computing = ask(pynvml.nvmlDeviceGetComputeRunningProcesses, handle)
    if computing is None:
        return None
    pids = {process.pid for process in computing}
    drawing = [
        process
        for process in ask(pynvml.nvmlDeviceGetGraphicsRunningProcesses, handle) or ()
        if process.pid not in pids
    ]
    told = [(process, False) for process in computing] + [(process, True) for process in drawing]
    return tuple(
        attributed(GPUProcess(pid=process.pid, memory_bytes=process.usedGpuMemory, graphics=graphics))
        for process, graphics in told
    )


def _note(count: int, trouble: int, gpus: Sequence[GPU]) -> str:
    if trouble:
        return health.sentence(trouble)
    uncut = [str(gpu.index) for gpu in gpus if gpu.mig_enabled and not gpu.mig_devices]
    if uncut:
        return f"GPU {', '.join(uncut)}: {UNCUT}"
    return "" if count else "The NVIDIA driver runs but sees no GPU. Look at `nvidia-smi` and `lspci`."


def _loaded_library() -> tuple[str, int] | None:
    """Return the file of the driver's library that this process has loaded, and its inode."""
    for line in MAPS.read_text(errors="replace").splitlines():
        row = line.split(maxsplit=5)
        if len(row) == 6 and LIBRARY in row[5]:
            return row[5], int(row[4])
    return None


def _replaced(library: tuple[str, int] | None) -> bool:
    """Tell whether another file has taken the place of the library."""
    if library is None:
        return False
    try:
        return os.stat(library[0]).st_ino != library[1]
    except OSError:
        return True
