"""Checks of the GPUs: whether the driver answers, and how they get into containers."""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from collections.abc import Sequence

from himalia.doctor import Outcome
from himalia.gpus import SlotHealth
from himalia.units import format_size
from himalia_gpus.devices import Way
from himalia_gpus.health import LIBRARY_NOT_FOUND, sentence
from himalia_gpus.readings import GPU, Reading
from himalia_gpus.ways import find_way

from .here import Here
from .nvidia import stale_specification, together

LOOK = "Look at `nvidia-smi` and `dmesg`."
NOTHING = sentence(LIBRARY_NOT_FOUND)  #: a machine without GPUs is as good as any
#: Seen with Docker Engine 26.1: without one to watch its specifications with, it breaks off each such start.
NOTHING_TO_WATCH_WITH = Outcome(
    ok=False,
    message="Root's programs use all instances of inotify, so the Docker Engine cannot start containers with GPUs.",
    advice="Raise their number: `sysctl -w fs.inotify.max_user_instances=1024`, and the same in /etc/sysctl.d.",
)
NO_DRIVER = "Where there are GPUs, install NVIDIA's driver. [gpus] simulate pretends some, for a trial."


def gpus(here: Here) -> Outcome:
    """Tell which GPUs there are, and whether containers can get them."""
    return judge(here, here.reading)


def judge(here: Here, reading: Reading) -> Outcome:
    """Return what a reading of the GPUs means here."""
    if not reading.gpus and reading.unlisted_health is SlotHealth.SUSPECT and reading.note != NOTHING:
        return Outcome(ok=False, message=reading.note, advice=LOOK)
    if not reading.gpus:
        wanted = here.profiles_with_gpus
        asked = f" The profile {wanted[0]} asks for one: its users are refused." if wanted else ""
        return Outcome(ok=None, message=f"none. {reading.note}{asked}".strip(), advice=NO_DRIVER)
    named = _named(reading.gpus)
    ill = [gpu for gpu in reading.gpus if gpu.health is not SlotHealth.OK]
    if ill:
        what = "; ".join(f"GPU {gpu.index}: {gpu.health_detail or gpu.health}" for gpu in ill)
        return Outcome(ok=False, message=f"{named}. Not well: {what}.", advice=LOOK)
    real = [gpu.uuid for gpu in reading.gpus if not gpu.simulated]
    if not real:
        return Outcome(ok=True, message=f"{named}, simulated: leased and queued, but none in a container")
    found = find_way(here.probe.info, real)
    wrong = _cdi_troubles(here, reading.driver_version) if found.way is Way.CDI else []
    if wrong:
        return together([Outcome(ok=True, message=named), *wrong])
    if found.way == "none":
        return Outcome(ok=False, message=f"{named}. {' '.join(found.sentences)}")
    if found.sentences:
        return Outcome(ok=None, message=f"{named}. {' '.join(found.sentences)}")
    return Outcome(ok=True, message=f"{named}, driver {reading.driver_version}, given by {str(found.way).upper()}")


def _cdi_troubles(here: Here, driver_version: str) -> list[Outcome]:
    """Return what keeps the Engine from giving GPUs that its specifications name."""
    stale = stale_specification(here.probe.info, driver_version)
    return [*([stale] if stale else []), *([] if may_watch_files() else [NOTHING_TO_WATCH_WITH])]


def may_watch_files() -> bool:
    """Tell whether this account may have one more instance of inotify; the Engine's is root."""
    if os.geteuid() != 0:
        return True
    descriptor = int(ctypes.CDLL(None).inotify_init())
    if descriptor >= 0:
        os.close(descriptor)
    return descriptor >= 0


def _named(gpus: Sequence[GPU]) -> str:
    counted = Counter((gpu.model, gpu.memory_bytes) for gpu in gpus)
    return ", ".join(f"{count} × {model} ({format_size(memory)})" for (model, memory), count in counted.items())
