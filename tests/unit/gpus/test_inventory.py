"""Which GPUs a machine has."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

import pytest

from himalia.gpus import SlotHealth
from himalia.site import Gpus
from himalia.units import GiB
from himalia_gpus.inventory import SAMPLER, ProbedInventory, SimulatedInventory, inventory_for
from himalia_gpus.readings import GPU, MIGDevice, Reading, slots_of

SECOND = "GPU-00000001-0000-0000-0000-000000000000"


def simulated(installation: str = "abc", count: int = 4) -> Reading:
    return SimulatedInventory(count=count, model="Simulated", memory_bytes=24 * GiB, installation=installation).read()


def test_simulated_gpus_are_the_same_after_every_start_and_others_elsewhere() -> None:
    first, again, elsewhere = simulated(), simulated(count=5), simulated("xyz")

    assert first.gpus == again.gpus[:4]
    assert not {gpu.uuid for gpu in first.gpus} & {gpu.uuid for gpu in elsewhere.gpus}
    assert all(str(uuid.UUID(gpu.uuid.removeprefix("GPU-"))) in gpu.uuid for gpu in first.gpus)


def test_simulated_gpus_are_marked_wherever_they_go() -> None:
    reading = simulated()

    assert [(slot.index, slot.model, slot.memory_bytes) for slot in slots_of(reading.gpus)] == [
        (index, "Simulated", 24 * GiB) for index in range(4)
    ]
    assert all(gpu.simulated for gpu in reading.gpus)
    assert all(slot.simulated for slot in slots_of(reading.gpus))
    assert "simulated" in reading.note


def test_where_gpus_are_simulated_real_ones_are_not_looked_for() -> None:
    assert isinstance(inventory_for(Gpus(simulate=2), "abc"), SimulatedInventory)
    assert isinstance(inventory_for(Gpus(), "abc"), ProbedInventory)
    assert len(inventory_for(Gpus(simulate=2, model="H200"), "abc").read().gpus) == 2


def test_a_gpu_that_is_cut_is_given_out_by_its_mig_devices() -> None:
    whole = GPU(uuid="GPU-1", index=0, model="NVIDIA H200", memory_bytes=8 * GiB)
    device = MIGDevice(uuid="MIG-1", profile="1g.1gb", memory_bytes=GiB)
    cut = whole.model_copy(update={"uuid": "GPU-2", "index": 1, "mig_enabled": True, "mig_devices": (device,)})

    slots = slots_of([whole, cut], node_id="n1")

    assert [(slot.uuid, slot.gpu, slot.memory_bytes) for slot in slots] == [
        ("GPU-1", "GPU-1", 8 * GiB),
        ("MIG-1", "GPU-2", GiB),
    ]
    assert {slot.node_id for slot in slots} == {"n1"}


def test_after_a_silence_what_was_healthy_is_suspect() -> None:
    gone = GPU(uuid="GPU-2", index=1, model="T4", memory_bytes=GiB, health=SlotHealth.GONE, health_detail="Gone.")
    reading = simulated(count=1)
    reading = reading.model_copy(
        update={
            "gpus": (
                *reading.gpus,
                gone,
                gone.model_copy(update={"uuid": "GPU-3", "health": SlotHealth.OK, "health_detail": ""}),
            )
        }
    )

    suspected = reading.suspected("The driver is silent.")

    assert [(gpu.health, gpu.health_detail) for gpu in suspected.gpus] == [
        (SlotHealth.OK, ""),
        (SlotHealth.GONE, "Gone."),
        (SlotHealth.SUSPECT, "The driver is silent."),
    ]
    assert suspected.note == "The driver is silent."


def test_a_machine_without_a_driver_has_no_gpus_and_says_why(tmp_path: Path) -> None:
    # An empty library in the way of a real one, so that the test means the same on a machine with a GPU.
    (tmp_path / "libnvidia-ml.so.1").touch()
    command = ["env", f"LD_LIBRARY_PATH={tmp_path}", *SAMPLER, "--once"]

    reading = ProbedInventory(command=command).read()

    assert reading.gpus == ()
    assert "No NVIDIA driver was found on this machine." in reading.note


@pytest.mark.parametrize(
    ("code", "note"),
    [
        ("import time; time.sleep(60)", "The NVIDIA driver did not answer within 0.2 s."),
        ("raise SystemExit(7)", "the sampler ended with code 7"),
        ("print('{}')", "The GPUs could not be read"),
    ],
)
def test_a_probe_that_fails_is_told_and_not_raised(code: str, note: str) -> None:
    timeout_seconds = 0.2 if "sleep" in code else 60

    reading = ProbedInventory(timeout_seconds=timeout_seconds, command=[sys.executable, "-c", code]).read()

    assert reading.gpus == ()
    assert note in reading.note
