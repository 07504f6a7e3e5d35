"""What errors of the driver mean."""

from __future__ import annotations

import pynvml
import pytest

from himalia.gpus import SlotHealth
from himalia_gpus import health

CODES = sorted(value for name, value in vars(pynvml).items() if name.startswith("NVML_ERROR_"))


@pytest.mark.parametrize("code", CODES)
def test_every_error_has_words_and_says_what_it_means_for_a_gpu(code: int) -> None:
    state, words = health.health_of(code)

    assert health.sentence(code).endswith(".")
    assert (state is SlotHealth.OK) == (code in health.NO_ANSWER)
    assert bool(words) == (state is not SlotHealth.OK)


@pytest.mark.parametrize(
    "name",
    [
        "NOT_SUPPORTED",
        "NO_PERMISSION",
        "NOT_FOUND",
        "INSUFFICIENT_SIZE",
        "DRIVER_NOT_LOADED",
        "LIBRARY_NOT_FOUND",
        "FUNCTION_NOT_FOUND",
        "GPU_IS_LOST",
        "RESET_REQUIRED",
        "NO_DATA",
        "UNKNOWN",
    ],
)
def test_the_codes_are_those_of_nvml(name: str) -> None:
    assert getattr(health, name) == getattr(pynvml, f"NVML_ERROR_{name}")
    assert health.VERSION_MISMATCH == pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
