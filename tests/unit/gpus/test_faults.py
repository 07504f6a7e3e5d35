"""What a GPU says is wrong with it, and how it is told: one test for each fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from himalia.gpus import SlotHealth
from himalia_gpus import health
from himalia_gpus.readings import Reading

FIRST = "GPU-00000000-0000-0000-0000-000000000000"
HOT = 64
Start = Callable[..., Any]


def first(reading: Reading) -> tuple[SlotHealth, str]:
    return reading.gpus[0].health, reading.gpus[0].health_detail


def test_a_critical_error_is_told_with_its_words_for_as_long_as_the_sampler_lives(
    nvml: Any, start_sampler: Start
) -> None:
    nvml.set(nvml.gpu(0), nvml.gpu(1))
    sampler = start_sampler()
    assert sampler.line().gpus[1].fault == ""

    nvml.set(nvml.gpu(0), nvml.gpu(1), xids=[{"gpu": 1, "code": 95}])
    reading, later = sampler.ask(), sampler.ask()

    assert [gpu.fault for gpu in reading.gpus][0] == ""
    assert "Xid 95" in reading.gpus[1].fault
    assert "nvidia-smi --gpu-reset" in reading.gpus[1].fault
    assert reading.gpus[1].fault_clock is not None
    assert later.gpus[1] == reading.gpus[1]


def test_an_error_of_a_program_says_nothing_about_the_gpu(nvml: Any, start_sampler: Start) -> None:
    nvml.set(nvml.gpu(0))
    sampler = start_sampler()
    sampler.line()

    nvml.set(nvml.gpu(0), xids=[{"gpu": 0, "code": code} for code in sorted(health.XIDS_OF_PROGRAMS)])

    assert sampler.ask().gpus[0].fault == ""


def test_of_several_errors_between_two_readings_the_last_one_is_told(nvml: Any, start_sampler: Start) -> None:
    nvml.set(nvml.gpu(0))
    sampler = start_sampler()
    sampler.line()

    nvml.set(nvml.gpu(0), xids=[{"gpu": 0, "code": 48}, {"gpu": 0, "code": 13}, {"gpu": 0, "code": 79}])

    assert "Xid 79" in sampler.ask().gpus[0].fault


def test_what_was_before_the_sampler_is_not_told_anew(nvml: Any, start_sampler: Start) -> None:
    nvml.set(nvml.gpu(0), xids=[{"gpu": 0, "code": 95}])

    assert start_sampler().line().gpus[0].fault == ""


def test_gpus_without_events_are_read_all_the_same(nvml: Any, start_sampler: Start) -> None:
    nvml.set(nvml.gpu(0), no_events=True)
    sampler = start_sampler()
    assert first(sampler.line()) == (SlotHealth.OK, "")

    sampler.ask()

    assert nvml.calls().count("nvmlDeviceRegisterEvents") == 1


def test_events_that_break_off_are_listened_to_anew(nvml: Any, start_sampler: Start) -> None:
    nvml.set(nvml.gpu(0))
    sampler = start_sampler()
    sampler.line()
    nvml.set(nvml.gpu(0), errors={"nvmlEventSetWait_v2": 999})
    assert first(sampler.ask()) == (SlotHealth.OK, "")

    nvml.set(nvml.gpu(0))
    sampler.ask()
    nvml.set(nvml.gpu(0), xids=[{"gpu": 0, "code": 74}])

    assert "Xid 74" in sampler.ask().gpus[0].fault


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"ecc_uncorrected": 3}, "had 3 errors that could not be corrected (ECC)"),
        ({"remap_pending": True}, "is replaced when the GPU is reset"),
        ({"remap_failed": True}, "could not be replaced"),
        ({"recovery_action": 1}, "must be reset"),
        ({"recovery_action": 2}, "must be restarted"),
        ({"recovery_action": 77}, "recovery action 77"),
        ({"clock_reasons": HOT, "temperature": 93}, "so hot (93 °C)"),
        ({"errors": {"nvmlDeviceGetTemperature": 16}}, "must be reset"),
        ({"lost": True}, "fallen off the bus"),
    ],
)
def test_a_gpu_in_trouble_is_suspect_with_words_until_the_trouble_is_over(
    nvml: Any, start_sampler: Start, state: dict[str, Any], words: str
) -> None:
    well = {"ecc_uncorrected": 0, "remap_pending": False, "clock_reasons": 0, "recovery_action": 0}
    nvml.set(nvml.gpu(0, **well))
    sampler = start_sampler()
    assert first(sampler.line()) == (SlotHealth.OK, "")

    nvml.set(nvml.gpu(0, **(well | state)))
    told = first(sampler.ask())
    nvml.set(nvml.gpu(0, **well))
    after = first(sampler.ask())

    assert told[0] is SlotHealth.SUSPECT
    assert words in told[1]
    assert after == (SlotHealth.OK, "")


@pytest.mark.parametrize("xid", [48, 62, 63, 64, 74, 79, 94, 95, 119, 120, 1234])
def test_every_critical_error_says_what_to_do(xid: int) -> None:
    said = health.xid_sentence(xid)

    assert f"Xid {xid}" in said
    assert any(word in said for word in ("reset", "Restart", "looked at"))
