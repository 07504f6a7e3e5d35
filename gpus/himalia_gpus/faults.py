"""What GPUs say is wrong with them: critical errors as they happen, and what the driver counts of memory, heat and repair."""

from __future__ import annotations

import ctypes
import time
from typing import Any

import pynvml

from . import health
from .asking import ask

MOST_EVENTS = 1000  #: of one look; a GPU in trouble can report without end
RECOVERY_ACTION = 230  #: NVML_FI_DEV_GET_GPU_RECOVERY_ACTION


class Faults:
    """Listens for Xid errors of all GPUs that it was told of, and keeps the last one of each."""

    def __init__(self) -> None:
        self.last: dict[
            str, tuple[str, float]
        ] = {}  #: by UUID: the words, and when (seconds since the machine started)
        self._set: Any = None
        self._heard: dict[int, str] = {}  #: by handle
        self._supported = True

    def listen(self, handle: Any, uuid: str) -> None:
        """Listen to a GPU; one that tells no events is left alone."""
        if not self._supported or uuid in self._heard.values():
            return
        try:
            if self._set is None:
                self._set = pynvml.nvmlEventSetCreate()
            pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, self._set)
        except pynvml.NVMLError as error:
            self._supported = error.value not in health.NO_ANSWER
            return
        self._heard[_number(handle)] = uuid

    def gather(self) -> None:
        """Take what was reported since the last time; never waits."""
        for _ in range(MOST_EVENTS):
            if self._set is None:
                return
            try:
                event = pynvml.nvmlEventSetWait_v2(self._set, 0)
            except pynvml.NVMLError as error:
                if error.value not in (health.TIMEOUT, health.GPU_IS_LOST):
                    self._set, self._heard = None, {}  # listened to anew with the next reading
                return
            uuid = self._heard.get(_number(event.device))
            xid = int(event.eventData)
            if uuid is not None and xid not in health.XIDS_OF_PROGRAMS:
                self.last[uuid] = (health.xid_sentence(xid), time.clock_gettime(time.CLOCK_BOOTTIME))


def complaint_of(handle: Any) -> str:
    """Return what the driver says is wrong with a GPU that answers; empty where nothing is."""
    remapped = ask(pynvml.nvmlDeviceGetRemappedRows, handle) or (0, 0, 0, 0)
    retired = ask(pynvml.nvmlDeviceGetRetiredPagesPendingStatus, handle)
    uncorrected = ask(
        pynvml.nvmlDeviceGetTotalEccErrors, handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
    )
    return health.recovery_sentence(_recovery_action(handle)) or health.memory_sentence(
        uncorrected=uncorrected or 0, remap_pending=bool(remapped[2] or retired), remap_failed=bool(remapped[3])
    )


def too_hot(handle: Any) -> bool:
    """Tell whether the hardware slows a GPU down because of its temperature."""
    reasons = ask(pynvml.nvmlDeviceGetCurrentClocksEventReasons, handle)
    return bool((reasons or 0) & pynvml.nvmlClocksEventReasonHwThermalSlowdown)


def _recovery_action(handle: Any) -> int:
    values = ask(pynvml.nvmlDeviceGetFieldValues, handle, [RECOVERY_ACTION])
    return int(values[0].value.uiVal) if values is not None and values[0].nvmlReturn == 0 else 0


def _number(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0
