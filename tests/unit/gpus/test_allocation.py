"""Which slots fit a request, which are near to each other, and what is told where none ever fits."""

from __future__ import annotations

import pytest

from himalia.gpus import GPUMode, Slot, SlotHealth
from himalia.units import MiB
from himalia_gpus.allocation import is_model, nearest, why_never
from himalia_gpus.modes import Wish, slots_in
from himalia_gpus.readings import slice_of
from himalia_gpus.request import parse_request

H100 = ("NVIDIA H100 80GB HBM3", 81559 * MiB)
H200 = ("NVIDIA H200", 143771 * MiB)
T4 = ("Tesla T4", 15360 * MiB)
FOUR = "This platform has 4 x Simulated (24 GB)."
L4 = ("NVIDIA L4", 23034 * MiB)
SIMULATED = ("Simulated", 24 * 1024 * MiB)


def slots(*kinds: tuple[str, int], node_id: str = "local", simulated: bool = False) -> list[Slot]:
    """Make one slot of each kind, counted from 0."""
    return [
        Slot(
            uuid=f"GPU-{node_id}-{index}",
            index=index,
            model=model,
            memory_bytes=memory_bytes,
            node_id=node_id,
            simulated=simulated,
        )
        for index, (model, memory_bytes) in enumerate(kinds)
    ]


@pytest.mark.parametrize(
    ("name", "model", "answer"),
    [
        ("NVIDIA H200 141GB HBM3", "H200", True),
        ("NVIDIA H200 141GB HBM3", "h200", True),
        ("NVIDIA H200 141GB HBM3", "H20", False),
        ("NVIDIA H200 141GB HBM3", "200", False),
        ("NVIDIA A100-SXM4-40GB", "A100", True),
        ("NVIDIA A100-SXM4-40GB", "A100-SXM4", True),
        ("NVIDIA A100-SXM4-40GB", "A10", False),
        ("NVIDIA GeForce RTX 4090", "RTX4090", True),
        ("NVIDIA GeForce RTX 4090", "RTX-4090", True),
        ("NVIDIA GeForce RTX 4090", "RTX", True),
        ("NVIDIA GeForce RTX 4090 Ti", "4090TI", True),
        ("NVIDIA GeForce RTX 4090", "TX4090", False),
        ("Simulated", "SIMULATED", True),
    ],
)
def test_a_model_is_a_whole_token_of_the_name(name: str, model: str, answer: bool) -> None:
    assert is_model(name, model) is answer


def test_too_many_for_one_machine_is_told_as_that() -> None:
    there = slots(H100, H100, node_id="a") + slots(H100, H100, H100, node_id="b")

    assert why_never(there, parse_request("3")) is None
    assert why_never(there, parse_request("4")) == (
        "4 GPUs are asked for, and only 3 are on one machine. This platform has 5 x NVIDIA H100 80GB HBM3 (80 GB)."
    )


def test_what_is_not_healthy_may_come_back() -> None:
    good, bad = slots(H100, H100)

    assert why_never([good, bad.model_copy(update={"health": SlotHealth.QUARANTINED})], parse_request("2")) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0", None),
        ("4", None),
        ("A100", "No GPU here is an A100."),
        ("T4,V100:2", "No GPU here is a T4 or a V100."),
        ("TITAN", "No GPU here is a TITAN."),
        ("80GB..", "No GPU here has 80GB or more."),
        ("..8GB", "No GPU here has 8GB or less."),
        ("40GB..80GB", "No GPU here has 40GB to 80GB."),
        ("16GB", "No GPU here has 16GB (for at least that much write 16GB..)."),
        ("A100:80GB..", "No GPU here is an A100 with 80GB or more."),
        ("5", "5 GPUs are asked for, and only 4 are here."),
        ("shared", "Shared GPUs are not offered here. Ask for a whole GPU, such as 1."),
        ("mig-1g.18gb", "Slices of GPUs (MIG) are not offered here. Ask for a whole GPU, such as 1."),
    ],
)
def test_what_can_never_be_met_is_told_with_what_exists(text: str, sentence: str | None) -> None:
    said = why_never(slots(*[SIMULATED] * 4, simulated=True), parse_request(text))

    assert said == (f"{sentence} {FOUR}" if sentence else None)


SHARED = slots_in(slots(L4)[0], Wish(mode=GPUMode.SHARED, seats=2))
CUT = [slice_of(slots(H200)[0], f"MIG-{n}", profile, 18 * 2**30) for n, profile in enumerate(["1g.18gb", "1g.18gb"])]


@pytest.mark.parametrize(
    ("there", "text", "sentence"),
    [
        (SHARED, "shared:16GB", None),
        (SHARED, "0.9", None),
        (SHARED, "1", "Whole GPUs are not offered here. Ask for a seat: shared."),
        (SHARED, "shared:40GB", "No shared GPU here has 40GB for one seat."),
        (SHARED, "A100:shared", "No shared GPU here is an A100."),
        (SHARED, "A100:shared:8GB", "No shared GPU here is an A100 with 8GB for one seat."),
        (CUT, "mig-1g.18gb", None),
        (CUT, "mig-2g.35gb,mig-1g.18gb", None),
        (CUT, "mig-2g.35gb", "No slice here is mig-2g.35gb."),
        (CUT, "1", "Whole GPUs are not offered here. Ask for a slice, such as mig-1g.18gb."),
        (CUT, "shared", "Shared GPUs are not offered here. Ask for a slice, such as mig-1g.18gb."),
    ],
)
def test_seats_and_slices_that_are_not_there_are_refused_with_what_exists(
    there: list[Slot], text: str, sentence: str | None
) -> None:
    exists = "2 seats on 1 x NVIDIA L4 (22 GB)" if there is SHARED else "2 x mig-1g.18gb of NVIDIA H200 (18 GB)"

    assert why_never(there, parse_request(text)) == (sentence and f"{sentence} This platform has {exists}.")


def test_a_platform_without_gpus_says_so() -> None:
    assert why_never([], parse_request("1")) == "This platform has no GPUs. Ask for 0 GPUs."


def test_more_of_a_model_than_there_are_names_what_exists() -> None:
    there = slots(("NVIDIA H200", H200[1]), SIMULATED, simulated=True)

    assert why_never(there, parse_request("H200:2")) == (
        "2 GPUs are asked for, and only 1 fits 'H200:2' here. "
        "This platform has 1 x Simulated (24 GB), 1 x NVIDIA H200 (140 GB, simulated)."
    )


def linked(*groups: str, numa: str = "") -> list[Slot]:
    """Return GPUs named by letters; those of one group are joined by NVLink; `numa` gives each letter's node."""
    every = [letter for group in groups for letter in group]
    return [
        Slot(
            uuid=letter,
            index=number,
            model="A100",
            memory_bytes=80 * 2**30,
            peers=tuple(peer for peer in next(group for group in groups if letter in group) if peer != letter),
            numa_node=int(numa[number]) if numa else None,
        )
        for number, letter in enumerate(every)
    ]


@pytest.mark.parametrize(
    ("slots", "count", "chosen"),
    [
        (linked("a", "bc", "d"), 2, "bc"),  # joined by NVLink
        (linked("ab", "c", "de"), 1, "c"),  # leaves the joined ones joined
        (linked("ab", "cdef"), 4, "cdef"),
        (linked("a", "b", "c", "d", numa="0101"), 2, "ac"),  # of one NUMA node
        (linked("ab", "cd", numa="0011"), 3, "abc"),
        (linked("a", "b", "c"), 2, "ab"),  # nothing is known: the first
        (linked("a", "b"), 3, "ab"),
    ],
)
def test_several_gpus_are_near_to_each_other(slots, count, chosen):
    assert "".join(sorted(slot.uuid for slot in nearest(slots, count))) == chosen
