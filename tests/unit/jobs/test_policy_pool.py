"""Which of the free GPUs a request gets."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queue_world import waiter

from himalia.gpus import Slot, SlotHealth
from himalia.units import GiB, MiB
from himalia_gpus.allocation import fits, why_never
from himalia_gpus.request import parse_request
from himalia_jobs.policy import Room
from himalia_jobs.policy.pool import Floor, Pool

H100 = ("NVIDIA H100 80GB HBM3", 81559 * MiB)
H200 = ("NVIDIA H200", 143771 * MiB)
T4 = ("Tesla T4", 15360 * MiB)
L4 = ("NVIDIA L4", 23034 * MiB)


def gpus(*kinds: tuple[str, int], node: str = "local") -> list[Slot]:
    """Return one GPU of each kind, counted from 0."""
    return [
        Slot(uuid=f"GPU-{node}-{index}", index=index, model=model, memory_bytes=memory, node_id=node)
        for index, (model, memory) in enumerate(kinds)
    ]


def room(there: list[Slot], node: str = "local") -> Room:
    """Return a node on which these are free."""
    return Room(node_id=node, cpus=8, memory_bytes=64 * GiB, slots=tuple(there))


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("0", []),
        ("1", [2]),  # the smallest that fits
        ("2", [0, 1]),  # alike, rather than the two smallest
        ("3", [2, 3, 0]),  # no three are alike
        ("6", None),
        ("H100", [0]),
        ("H100:2", [0, 1]),
        ("H100:3", None),
        ("H200,T4", [2]),
        ("80GB..", [0]),
        ("100GB..", [4]),
        ("16GB", [2]),
        ("20GB..24GB", [3]),
        ("..24GB:2", [2, 3]),
        ("shared", None),
        ("mig-1g.18gb", None),
    ],
)
def test_a_request_gets_the_smallest_that_fit(text: str, indices: list[int] | None) -> None:
    got = Pool(room(gpus(H100, H100, T4, L4, H200))).pick(parse_request(text))

    assert (None if got is None else [slot.index for slot in got]) == indices


def test_several_gpus_are_of_one_node() -> None:
    floor = Floor([room(gpus(H100, H100, node="a"), "a"), room(gpus(H100, H100, H100, node="b"), "b")])

    found = floor.place(waiter("j01", gpus="3"))

    assert found is not None
    pool, got = found
    assert (pool.node_id, {slot.node_id for slot in got}) == ("b", {"b"})
    assert floor.place(waiter("j02", gpus="4")) is None


def test_what_is_not_healthy_is_not_given_out() -> None:
    good, bad = gpus(H100, H100)
    pool = Pool(room([good, bad.model_copy(update={"health": SlotHealth.QUARANTINED})]))

    assert pool.pick(parse_request("1")) == (good,)
    assert pool.pick(parse_request("2")) is None


@given(
    st.lists(st.sampled_from([H100, H200, T4, L4]), max_size=8),
    st.sampled_from(["", "H100", "H200,T4", "16GB..", "20GB..100GB"]),
    st.integers(1, 9),
    st.randoms(),
)
def test_what_is_chosen_fits_is_enough_and_does_not_depend_on_the_order_given(
    kinds: list[tuple[str, int]], what: str, count: int, random: Random
) -> None:
    request_ = parse_request(f"{what}:{count}" if what else str(count))
    there = gpus(*kinds)
    shuffled = list(there)
    random.shuffle(shuffled)

    got = Pool(room(there)).pick(request_)

    assert got == Pool(room(shuffled)).pick(request_)
    assert (got is None) == (why_never(there, request_) is not None)
    if got is not None:
        assert len({slot.uuid for slot in got}) == count
        assert all(fits(slot, request_) for slot in got)
