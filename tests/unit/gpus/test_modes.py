"""How GPUs are given out, and what a change of that does to their slots."""

from __future__ import annotations

import pytest

from himalia.gpu_modes import GPUModeSetting
from himalia.gpus import GPUMode, Slot, SlotHealth, SlotKind, overlap
from himalia.units import GiB
from himalia_gpus.modes import TURNED_OFF, UNCUT, Wish, arranged, slots_in, wish_of
from himalia_gpus.readings import slice_of

SEATED = Wish(mode=GPUMode.SHARED, seats=3)


def gpu(index: int = 0, **changes: object) -> Slot:
    """Return a whole GPU as a machine has it."""
    base = {"uuid": f"GPU-{index}", "index": index, "model": "NVIDIA L4", "memory_bytes": 24 * GiB}
    return Slot.model_validate(base | changes)


def names(slots: tuple[Slot, ...]) -> list[str]:
    return [slot.uuid for slot in slots]


@pytest.mark.parametrize(
    ("wish", "uuids"),
    [
        (Wish(), ["GPU-0"]),
        (SEATED, ["GPU-0#1", "GPU-0#2", "GPU-0#3"]),
        (Wish(mode=GPUMode.AUTO, seats=2), ["GPU-0", "GPU-0#1", "GPU-0#2"]),
    ],
)
def test_a_mode_makes_slots_of_a_gpu(wish: Wish, uuids: list[str]) -> None:
    slots = slots_in(gpu(), wish)

    assert names(slots) == uuids
    assert {slot.gpu for slot in slots} == {slot.device for slot in slots} == {"GPU-0"}


def test_a_seat_is_named_and_counts_as_the_part_that_it_is() -> None:
    seat = slots_in(gpu(), SEATED)[1]

    assert (seat.kind, seat.name, seat.part, seat.share_bytes) == (SlotKind.SEAT, "GPU 0 seat 2", 1 / 3, 8 * GiB)
    assert seat.model_copy(update={"budget_bytes": 12 * GiB}).part == 0.5
    assert gpu().part == 1.0


@pytest.mark.parametrize(
    ("profile", "part"), [("1g.18gb", 1 / 7), ("3g.71gb", 3 / 7), ("7g.141gb", 1), ("1c.3g.71gb", 1 / 7)]
)
def test_a_slice_counts_by_its_compute(profile: str, part: float) -> None:
    assert slice_of(gpu(), "MIG-1", profile, GiB).part == part


def test_a_gpu_that_is_off_is_given_to_nobody_and_says_so() -> None:
    (slot,) = slots_in(gpu(), Wish(mode=GPUMode.OFF))

    assert (slot.health, slot.health_detail) == (SlotHealth.OFF, TURNED_OFF)


def test_what_is_unwell_stays_so_in_every_mode() -> None:
    ill = gpu(health=SlotHealth.SUSPECT, health_detail="Fallen off the bus.")

    for mode in GPUMode:
        assert {slot.health for slot in slots_in(ill, Wish(mode=mode))} == {SlotHealth.SUSPECT}


def test_himalia_cuts_no_gpu_and_says_who_does() -> None:
    (slot,) = slots_in(gpu(), Wish(mode=GPUMode.MIG))

    assert (slot.health, slot.health_detail) == (SlotHealth.OFF, UNCUT)


def test_what_the_driver_has_cut_is_given_out_by_slices_whatever_the_file_says() -> None:
    cut = slice_of(gpu(), "MIG-1", "1g.18gb", 18 * GiB)

    assert slots_in(cut, SEATED) == (cut,)
    assert slots_in(cut, Wish(mode=GPUMode.OFF))[0].health is SlotHealth.OFF


def test_a_simulated_gpu_can_be_cut_too() -> None:
    slots = slots_in(gpu(simulated=True), Wish(mode=GPUMode.MIG, slices=("3g.12gb", "1g.6gb")))

    assert [(slot.mig_profile, slot.memory_bytes) for slot in slots] == [("3g.12gb", 12 * GiB), ("1g.6gb", 6 * GiB)]
    assert {slot.gpu for slot in slots} == {"GPU-0"}
    assert len(set(names(slots))) == 2
    assert len(slots_in(gpu(simulated=True), Wish(mode=GPUMode.MIG))) == 7


@pytest.mark.parametrize(("slot", "seats"), [(gpu(0), 5), (gpu(1), 2), (gpu(2), 3), (gpu(3, model="NVIDIA A100"), 6)])
def test_a_uuid_comes_before_an_index_before_a_model_before_all(slot: Slot, seats: int) -> None:
    shared = [("*", 6), ("L4", 3), ("1", 2), ("GPU-0", 5), ("0", 4)]
    settings = [GPUModeSetting(gpu=name, mode=GPUMode.SHARED, seats=many) for name, many in shared]

    assert wish_of(slot, settings).seats == seats


def test_a_change_is_in_force_at_once_where_nobody_holds_anything() -> None:
    there = arranged([gpu()], {"GPU-0": SEATED}, [gpu()], held=[])

    assert (names(there.slots), there.leaving) == (["GPU-0#1", "GPU-0#2", "GPU-0#3"], ())
    assert {slot.health for slot in there.slots} == {SlotHealth.OK}


def test_a_change_waits_for_the_holder_and_says_so() -> None:
    there = arranged([gpu()], {"GPU-0": SEATED}, [gpu()], held=["GPU-0"])

    assert names(there.leaving) == ["GPU-0"]
    assert {slot.health for slot in there.all} == {SlotHealth.CHANGING}
    assert {slot.health_detail for slot in there.all} == {
        "GPU 0 becomes shared by 3 seats as soon as nobody holds anything of it."
    }


def test_holders_that_fit_the_new_mode_do_not_hold_it_up() -> None:
    seats = slots_in(gpu(), SEATED)

    there = arranged([gpu()], {"GPU-0": Wish(mode=GPUMode.AUTO, seats=4)}, seats, held=["GPU-0#2"])

    assert (len(there.slots), there.leaving) == (5, ())


def test_a_slice_that_somebody_cut_away_is_gone_and_holds_up_nobody() -> None:
    old, new = (slice_of(gpu(), uuid, "1g.18gb", 18 * GiB) for uuid in ("MIG-old", "MIG-new"))

    there = arranged([new], {"GPU-0": Wish()}, [old, new], held=["MIG-old"])

    assert [(slot.uuid, slot.health) for slot in there.leaving] == [("MIG-old", SlotHealth.GONE)]


@pytest.mark.parametrize(
    ("one", "other", "answer"),
    [
        ("GPU-0", "GPU-0", True),
        ("GPU-0", "GPU-0#1", True),
        ("GPU-0#1", "GPU-0#2", False),
        ("GPU-0#1", "GPU-1#1", False),
        ("MIG-0", "GPU-0", True),
        ("MIG-0", "MIG-1", False),
        ("MIG-9", "GPU-0", False),
    ],
)
def test_a_whole_gpu_and_a_part_of_it_overlap(one: str, other: str, answer: bool) -> None:
    parents = {"MIG-0": "GPU-0", "MIG-1": "GPU-0"}

    assert overlap(one, other, parents) is overlap(other, one, parents) is answer
