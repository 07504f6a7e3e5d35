"""What happens to GPUs under people's work, on a real service with its sampler: pretended hardware, real containers.

A holder is never touched, nobody gets what is not well, and every sentence names what is in the way.
"""

from __future__ import annotations

import subprocess

import pytest
from engine_gate import EngineGate
from gpu_witness import GPUWitness
from live_platform import eventually, run, state
from nvml_hardware import Hardware
from nvml_hardware import nvml_library as nvml_library
from own_service import SETTINGS, OwnService
from pretended_gpus import pretending, uuid_of

from himalia.gpus import SlotHealth
from himalia.models import SlotView
from himalia.reasons import Reason
from himalia.states import JobState

LASTS = "sleep 600"


class Scene:
    """A service with two pretended GPUs, and what is asked of it."""

    def __init__(self, own: OwnService, hardware: Hardware) -> None:
        self.own = own
        self.hardware = hardware
        self.root = own.administrator()
        self.ada = own.client("ada")

    def slot(self, number: int) -> SlotView:
        """Return what is said of a GPU to an administrator."""
        return next(slot for slot in self.root.gpus().slots if slot.uuid == uuid_of(number))

    def is_said(self, number: int, health: SlotHealth) -> SlotView | None:
        """Return a GPU once this is said of it."""
        found = self.slot(number)
        return found if found.health is health else None

    def holder(self):
        """Return a job that runs on one GPU."""
        job = run(self.ada, LASTS, gpus="1", wait=False)
        eventually(lambda: state(job).state is JobState.RUNNING)
        return job

    def kill(self, job) -> None:
        """End a job's command, as one that lost its GPU ends."""
        name = f"himalia-{self.own.installation}-{job.id}.1"
        subprocess.run(["docker", "kill", name], check=True, capture_output=True)

    def held_by(self, job) -> str:
        """Return the GPU that a job holds."""
        return next(slot.uuid for slot in self.root.gpus().slots if job.id in (slot.holder or ""))


@pytest.fixture
def scene(nvml_library, tmp_path):
    """A real service, its sampler on pretended hardware, its containers real."""
    hardware, gate = Hardware(nvml_library, tmp_path), EngineGate()
    hardware.set(Hardware.gpu(0), Hardware.gpu(1))
    own = OwnService(tmp_path, settings=SETTINGS.replace("[gpus]\nsimulate = 2\n", ""))
    own.environment = pretending(hardware, gate, tmp_path)
    try:
        own.start(ready=False)
        scene = Scene(own, hardware)
        eventually(lambda: scene.root.gpus().free == 2)
        with GPUWitness(own.installation) as witness:
            yield scene
            assert witness.wrong == []
    finally:
        own.end()
        gate.close()


@pytest.mark.fault(60)
def test_a_gpu_that_fails_under_a_job_goes_to_nobody_else_and_the_other_jobs_run_on(scene):
    first, second = scene.holder(), scene.holder()
    assert (scene.held_by(first), scene.held_by(second)) == (uuid_of(0), uuid_of(1))
    waiting = run(scene.ada, "true", gpus="1", wait=False)

    scene.hardware.set(Hardware.gpu(0), Hardware.gpu(1), xids=[{"gpu": 0, "code": 79}])
    told = eventually(lambda: scene.is_said(0, SlotHealth.QUARANTINED))
    scene.hardware.set(Hardware.gpu(0), Hardware.gpu(1, gone=True), xids=[{"gpu": 0, "code": 79}])
    eventually(lambda: scene.is_said(1, SlotHealth.GONE))

    assert "Xid 79" in told.health_detail
    assert [state(job).state for job in (first, second)] == [JobState.RUNNING] * 2
    scene.kill(first)
    assert "GPU 0 failed while it ran: " in first.wait(60).view.sentence
    second.cancel().wait(60)
    eventually(lambda: scene.root.gpus().free == 0 and state(waiting).reason is Reason.WAITS_FOR_GPUS)
    assert "Waiting for 1 GPU: 0 free now, 2 out of order." in state(waiting).sentence

    scene.hardware.set(Hardware.gpu(0), Hardware.gpu(1), xids=[{"gpu": 0, "code": 79}])

    assert waiting.wait(60).state is JobState.SUCCEEDED
    assert scene.slot(0).health is SlotHealth.QUARANTINED
    assert scene.slot(1).health in (SlotHealth.OK, SlotHealth.SETTLING)


def test_a_gpu_is_its_uuid_whatever_its_number_and_a_stranger_on_it_is_waited_for(scene):
    job, other = scene.holder(), scene.holder()
    assert scene.held_by(job) == uuid_of(0)
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        used = [{"pid": stranger.pid, "used": 2**30, "type": "C"}]
        scene.hardware.set(Hardware.gpu(1, processes=used), Hardware.gpu(0))
        other.cancel().wait(60)  # whose GPU is looked at before it is given on
        told = eventually(lambda: scene.is_said(1, SlotHealth.FOREIGN))
        waiting = run(scene.ada, "true", gpus="2", wait=False)

        assert f"process {stranger.pid}" in told.health_detail
        eventually(lambda: (scene.slot(0).index, scene.slot(1).index) == (1, 0))
        assert scene.held_by(job) == uuid_of(0)
        eventually(lambda: state(waiting).reason is Reason.WAITS_FOR_GPUS)
    finally:
        stranger.kill()
        stranger.wait()
    scene.hardware.set(Hardware.gpu(1), Hardware.gpu(0))
    job.cancel().wait(60)

    assert waiting.wait(60).state is JobState.SUCCEEDED
