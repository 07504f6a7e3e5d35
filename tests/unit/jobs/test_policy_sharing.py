"""Seats, slices and automatic GPUs in the queue."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queue_world import NOW, hold, names, reasons, situation, waiter

from himalia.gpus import GPUMode, Slot, SlotKind
from himalia.queueing import Queue, Quota, Reservation
from himalia.units import GiB
from himalia_gpus.modes import Wish, slots_in
from himalia_gpus.readings import slice_of
from himalia_jobs.policy import Hold, Reader, Room, Rules, decide, excluded, sentence, sitting_of

ALL = Reader(sees_all=True)


def gpu(index: int, memory: int = 80 * GiB, model: str = "A100") -> Slot:
    return Slot(uuid=f"GPU-{index}", index=index, model=model, memory_bytes=memory)


def shared(index: int, seats: int = 4, **more: int) -> tuple[Slot, ...]:
    return slots_in(gpu(index, **more), Wish(mode=GPUMode.SHARED, seats=seats))


def automatic(index: int, seats: int = 2) -> tuple[Slot, ...]:
    return slots_in(gpu(index), Wish(mode=GPUMode.AUTO, seats=seats))


def room(*slots: tuple[Slot, ...], holds: tuple[Hold, ...] = ()) -> Room:
    """Return what is free of these, beside what is held."""
    held = [slot for one in holds for slot in one.slots]
    free = excluded([slot for group in slots for slot in group], held)
    sitting = sitting_of((one.user_id, slot) for one in holds for slot in one.slots)
    return Room(node_id="local", cpus=64, memory_bytes=256 * GiB, slots=tuple(free), sitting=sitting)


def seat_of(slot: Slot, share: int = 0) -> Slot:
    return slot.model_copy(update={"budget_bytes": share or slot.share_bytes})


def placed(*asked: str, users: str = "abcdefgh", slots: tuple[tuple[Slot, ...], ...]) -> list[str]:
    """Return the slots that requests get, one after the other; empty: none."""
    waiters = [waiter(f"w{n:02}", users[n], gpus) for n, gpus in enumerate(asked)]
    starts = {start.waiter.id: start for start in decide(situation(waiters, [room(*slots)])).starts}
    return [",".join(slot.uuid for slot in starts[one.id].slots) if one.id in starts else "" for one in waiters]


def test_a_shared_gpu_is_filled_before_another_is_opened() -> None:
    got = placed("shared", "shared", "shared", slots=(shared(0, 2), shared(1, 2)))

    assert got == ["GPU-0#1", "GPU-0#2", "GPU-1#1"]


def test_a_persons_two_seats_are_on_two_gpus_unless_they_must() -> None:
    assert placed("shared", "shared", users="aa", slots=(shared(0), shared(1))) == ["GPU-0#1", "GPU-1#1"]
    assert placed("shared", "shared", users="aa", slots=(shared(0),)) == ["GPU-0#1", "GPU-0#2"]


def test_the_memory_that_seats_ask_for_together_is_bounded() -> None:
    got = placed("shared:50GB", "shared:40GB", "shared:30GB", "shared", slots=(shared(0),))

    assert got == ["GPU-0#1", "", "GPU-0#2", ""]  # the fourth would have an equal part, and that is not left either


def test_halves_are_of_the_memory_there_is() -> None:
    assert placed("0.5", "0.5", "0.5", slots=(shared(0), shared(1, memory=24 * GiB))) == [
        "GPU-1#1",
        "GPU-1#2",
        "GPU-0#1",
    ]


def test_a_gpu_is_whole_or_by_seats_as_its_first_lease_has_it() -> None:
    assert placed("shared", "1", slots=(automatic(0),)) == ["GPU-0#1", ""]
    assert placed("1", "shared", slots=(automatic(0),)) == ["GPU-0", ""]
    assert placed("shared", "1", "shared", slots=(automatic(0), automatic(1))) == ["GPU-0#1", "GPU-1", "GPU-0#2"]


def test_seats_go_to_shared_gpus_first_and_whole_ones_to_exclusive_ones() -> None:
    assert placed("shared", "1", slots=(automatic(0), shared(1), (gpu(2),))) == ["GPU-1#1", "GPU-2"]


def test_whoever_is_first_and_waits_for_a_whole_gpu_is_not_starved_by_seats() -> None:
    sits = hold("bob", [seat_of(automatic(0)[1])], ends_in=600)
    waiters = [waiter("w01", "ada", "1"), waiter("w02", "eve", "shared")]

    decision = decide(situation(waiters, [room(automatic(0), holds=(sits,))], [sits]))

    assert decision.starts == ()
    assert reasons(decision) == {"w01": "waits_for_gpus", "w02": "in_line"}


@pytest.mark.parametrize("backfill", [False, True])
def test_the_first_in_line_gets_the_whole_gpu_once_all_seats_are_given_back(backfill: bool) -> None:
    sits = [hold(user, [seat_of(automatic(0)[n])], ends_in=600 * n) for n, user in ((1, "bob"), (2, "eve"))]
    rules = Rules(queue=Queue(backfill=backfill))

    waits = decide(situation([waiter("w01", "ada", "1")], [room(automatic(0), holds=tuple(sits))], sits), rules)
    starts = decide(situation([waiter("w01", "ada", "1")], [room(automatic(0))]), rules)

    assert sentence(waits.waits[0], ALL, NOW) == (
        "1st in line. Waiting for 1 of: GPU 0 seat 1 (bob's job 8f2a…, ends before 2030-01-01T12:10Z), "
        "GPU 0 seat 2 (eve's job 8f2a…, ends before 2030-01-01T12:20Z)."
    )
    assert [slot.uuid for slot in starts.starts[0].slots] == ["GPU-0"]


def test_who_waits_for_a_seat_reads_who_has_them() -> None:
    sits = hold("bob", [seat_of(shared(0, 1)[0])], ends_in=600)

    decision = decide(situation([waiter("w01", "ada", "shared:16GB")], [room(shared(0, 1), holds=(sits,))], [sits]))

    assert sentence(decision.waits[0], ALL, NOW) == (
        "1st in line. Waiting for 1 seat of a shared GPU (shared:16GB), of: GPU 0 seat 1 (bob's job 8f2a…, ends before "
        "2030-01-01T12:10Z)."
    )


def test_a_slice_is_given_by_its_profile_the_smallest_first() -> None:
    cut = tuple(
        slice_of(gpu(0), f"MIG-{n}", profile, size * GiB)
        for n, (profile, size) in enumerate([("3g.40gb", 40), ("1g.10gb", 10), ("1g.10gb", 10)])
    )

    assert placed("mig-1g.10gb", "mig-1g.10gb", "mig-1g.10gb", "mig-1g.10gb,mig-3g.40gb", slots=(cut,)) == [
        "MIG-1",
        "MIG-2",
        "",
        "MIG-0",
    ]


def test_seats_count_against_a_limit_as_the_parts_that_they_are() -> None:
    rules = Rules(quotas=(Quota(user="*", gpus=1),))
    sits = [hold("ada", [seat_of(shared(0, 4)[n])]) for n in range(3)]
    waiters = [waiter("w01", "ada", "shared"), waiter("w02", "ada", "shared"), waiter("w03", "ada", "1")]

    decision = decide(situation(waiters, [room(shared(0), shared(1), (gpu(2),), holds=tuple(sits))], sits), rules)

    assert names(decision.starts) == ["w01"]
    assert reasons(decision) == {"w02": "at_limit", "w03": "at_limit"}
    assert "may hold 1 GPU at once, and 1 is held" in sentence(decision.waits[0], ALL, NOW)


def test_a_reservation_of_whole_gpus_keeps_the_seats_of_an_automatic_one_too() -> None:
    soon = Reservation(gpus="1", teams=("nlp",), start=NOW + timedelta(minutes=5), end=NOW + timedelta(days=1))
    asked = [waiter("w01", "ada", "shared"), waiter("w02", "eve", "shared", teams=("nlp",))]

    decision = decide(situation(asked, [room(automatic(0))]), Rules(reservations=(soon,)))

    assert names(decision.starts) == ["w02"]
    assert reasons(decision) == {"w01": "waits_for_reservation"}


def test_preemptible_seats_give_way_to_a_whole_gpu() -> None:
    sits = [hold(user, [seat_of(automatic(0)[n])], preemptible=True) for n, user in ((1, "bob"), (2, "eve"))]

    decision = decide(situation([waiter("w01", "ada", "1")], [room(automatic(0), holds=tuple(sits))], sits))

    assert {one.hold.user for one in decision.gives_way} == {"bob", "eve"}


def test_a_preemptible_whole_gpu_gives_way_to_a_seat() -> None:
    has = hold("bob", [automatic(0)[0]], preemptible=True)

    decision = decide(situation([waiter("w01", "ada", "shared")], [room(automatic(0), holds=(has,))], [has]))

    assert [one.hold.user for one in decision.gives_way] == ["bob"]


WISHES = st.lists(
    st.builds(Wish, mode=st.sampled_from([GPUMode.EXCLUSIVE, GPUMode.SHARED, GPUMode.AUTO]), seats=st.integers(1, 4)),
    min_size=1,
    max_size=3,
)
ASKED = st.lists(
    st.tuples(st.sampled_from(["1", "2", "shared", "shared:30GB", "0.5", "0.25"]), st.sampled_from("abc")), max_size=12
)


@given(WISHES, ASKED, st.booleans())
def test_whatever_is_asked_no_slot_is_double_and_memory_is_promised_once(
    wishes: list[Wish], asked: list[tuple[str, str]], backfill: bool
) -> None:
    groups = [slots_in(gpu(index), wish) for index, wish in enumerate(wishes)]
    waiters = [waiter(f"w{n:02}", user, gpus, preemptible=n % 3 == 2) for n, (gpus, user) in enumerate(asked)]

    decision = decide(situation(waiters, [room(*groups)]), Rules(queue=Queue(backfill=backfill)))

    given_out = [slot for start in decision.starts for slot in start.slots]
    uuids = [slot.uuid for slot in given_out]
    assert len(uuids) == len(set(uuids))
    for index, wish in enumerate(wishes):
        here = [slot for slot in given_out if slot.gpu == f"GPU-{index}"]
        seats = [slot for slot in here if slot.kind is SlotKind.SEAT]
        assert not seats or len(seats) == len(here), "whole and shared at once"
        assert len(seats) <= wish.seats
        assert sum(slot.share_bytes for slot in seats) <= 80 * GiB
    assert len(decision.starts) + len(decision.waits) == len(waiters)
