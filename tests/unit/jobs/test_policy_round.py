"""First come, first served, in turns among people; what the first lacks is set aside for it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queue_world import NOW, hold, names, reasons, room, situation, slots, waiter

from himalia.gpus import SlotHealth
from himalia.queueing import Queue
from himalia.reasons import Reason
from himalia.units import GiB
from himalia_jobs.policy import Room, Rules, decide
from himalia_jobs.policy.line import in_line, ordinal


def test_who_came_first_starts_first():
    decision = decide(situation([waiter("j02"), waiter("j01")], [room(cpus=1)]))

    assert names(decision.starts) == ["j01"]
    assert [(wait.waiter.id, wait.position) for wait in decision.waits] == [("j02", 1)]


def test_the_first_job_of_another_person_stands_before_the_second_of_the_first():
    many = [waiter(f"a{n:02}") for n in range(1, 50)]

    order = in_line(situation([*many, waiter("b99", user="bob")]), Rules())

    assert [entry.id for entry in order[:3]] == ["a01", "b99", "a02"]


def test_what_a_person_holds_counts_as_turns_they_have_had():
    order = in_line(situation([waiter("a01"), waiter("b02", user="bob")], holds=[hold("ada")]), Rules())

    assert [entry.id for entry in order] == ["b02", "a01"]


def test_a_waiter_for_gpus_does_not_hold_up_one_that_needs_none():
    decision = decide(situation([waiter("j01", gpus="1"), waiter("j02")], [room(gpus=0)]))

    assert names(decision.starts) == ["j02"]
    assert reasons(decision) == {"j01": "waits_for_gpus"}


def test_free_gpus_are_kept_for_the_first_who_needs_more_of_them():
    asked = [waiter("j01", gpus="4"), waiter("j02", user="bob", gpus="1")]

    decision = decide(situation(asked, [room(gpus=3)]))

    assert decision.starts == ()
    assert [wait.reason for wait in decision.waits] == [Reason.WAITS_FOR_GPUS, Reason.IN_LINE]


def test_cpus_are_kept_for_the_first_who_waits_for_gpus():
    decision = decide(situation([waiter("j01", gpus="1", cpus=6), waiter("j02", cpus=4)], [room(cpus=8)]))

    assert decision.starts == ()


def test_a_long_line_for_gpus_does_not_hold_up_those_who_need_none():
    for_gpus = [waiter(f"a{n:02}", gpus="1") for n in range(1, 50)]

    decision = decide(situation([*for_gpus, waiter("b99", cpus=7)], [room(cpus=8)]))

    assert names(decision.starts) == ["b99"]
    assert len(decision.waits) == 49


def test_nothing_starts_while_the_engine_does_not_answer():
    silent = (Reason.WAITS_FOR_ENGINE, "It does not answer.")

    decision = decide(situation([waiter("j01")], [room()], closed=silent))

    assert decision.starts == ()
    assert decision.waits[0].lack.text == "It does not answer."


def test_a_closed_node_starts_nothing_and_says_so():
    closed = Room(node_id="local", cpus=8, memory_bytes=64 * GiB, slots=(), open=False)

    decision = decide(situation([waiter("j01")], [closed]))

    assert decision.starts == ()
    assert decision.waits[0].reason is Reason.WAITS_FOR_NODE


def test_several_gpus_are_of_one_node():
    split = [room(gpus=2, node="a"), room(gpus=2, node="b")]

    decision = decide(situation([waiter("j01", gpus="4"), waiter("j02", user="bob", gpus="2")], split))

    assert names(decision.starts) == ["j02"]
    assert reasons(decision) == {"j01": "waits_for_gpus"}


def test_the_smallest_gpu_that_fits_is_given_first_and_an_ill_one_never():
    small, large = slots(1, model="T4", memory_bytes=15 * GiB), slots(3)[1:]
    ill = (slots(4)[3].model_copy(update={"health": SlotHealth.QUARANTINED, "memory_bytes": GiB}),)
    all_three = Room(node_id="local", cpus=8, memory_bytes=64 * GiB, slots=(*large, *ill, *small))

    decision = decide(situation([waiter(f"j{n:02}", gpus="1") for n in range(4)], [all_three]))

    assert [start.slots[0].index for start in decision.starts] == [0, 1, 2]


def test_one_of_several_models_will_do():
    decision = decide(situation([waiter("j01", gpus="A100,H200:1")], [room(gpus=1)]))

    assert names(decision.starts) == ["j01"]


def test_ordinals_read_well():
    numbers = (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)

    assert [ordinal(n) for n in numbers] == [
        "1st",
        "2nd",
        "3rd",
        "4th",
        "11th",
        "12th",
        "13th",
        "21st",
        "102nd",
        "111th",
    ]


rows = st.lists(
    st.tuples(st.integers(0, 99), st.sampled_from("abc"), st.integers(0, 4), st.integers(1, 6)),
    max_size=30,
    unique_by=lambda row: row[0],
)


def asked_by(found):
    return [waiter(f"j{n:02}", user=user, gpus=str(count), cpus=need) for n, user, count, need in found]


@given(rows, st.integers(0, 6), st.integers(0, 12))
def test_never_more_is_given_than_there_is_and_nobody_is_forgotten(found, gpus, cpus):
    asked = asked_by(found)

    decision = decide(situation(asked, [room(cpus=cpus, gpus=gpus)]))

    given_out = [slot.uuid for start in decision.starts for slot in start.slots]
    assert len(given_out) == len(set(given_out)) <= gpus
    assert sum(start.waiter.cpus for start in decision.starts) <= cpus
    assert all(len(start.slots) == start.waiter.gpus.count for start in decision.starts)
    everybody = names(decision.starts) + [wait.waiter.id for wait in decision.waits]
    assert sorted(everybody) == sorted(entry.id for entry in asked)
    assert [wait.position for wait in decision.waits] == list(range(1, len(decision.waits) + 1))


@given(rows, st.integers(0, 6))
def test_the_first_in_line_is_never_overtaken_on_what_it_needs(found, gpus):
    asked = asked_by(found)

    decision = decide(situation(asked, [room(cpus=6, gpus=gpus)]), Rules(queue=Queue(backfill=False)))

    if decision.waits and decision.waits[0].waiter.gpus.count:
        order = [entry.id for entry in in_line(situation(asked), Rules())]
        behind = order[order.index(decision.waits[0].waiter.id) :]
        taken = sum(len(start.slots) for start in decision.starts if start.waiter.id in behind)
        before = sum(len(start.slots) for start in decision.starts if start.waiter.id not in behind)
        assert taken <= max(0, gpus - before - decision.waits[0].waiter.gpus.count)


@given(rows, st.integers(0, 6), st.integers(0, 4), st.integers(0, 12), st.randoms())
def test_the_same_is_decided_whatever_the_order_it_is_told_in(found, gpus, held, cpus, chance):
    asked = asked_by(found)
    shuffled = list(asked)
    chance.shuffle(shuffled)
    rooms = [room(cpus=cpus, gpus=gpus)]
    holds = [hold(held=[slot]) for slot in slots(held, "other")]

    assert decide(situation(asked, rooms, holds)) == decide(situation(shuffled, rooms, holds))


@given(rows, st.integers(0, 4), st.integers(0, 4), st.integers(0, 8), st.integers(0, 8))
def test_every_reason_is_true_of_what_is_free_after_the_round(found, gpus_a, gpus_b, cpus_a, cpus_b):
    rooms = [room(cpus=cpus_a, gpus=gpus_a, node="a"), room(cpus=cpus_b, gpus=gpus_b, node="b")]

    decision = decide(situation(asked_by(found), rooms))

    left = {one.node_id: [len(one.slots), one.cpus] for one in rooms}
    for start in decision.starts:
        left[start.node_id][0] -= len(start.slots)
        left[start.node_id][1] -= start.waiter.cpus
    for wait in decision.waits:
        need, cpus = wait.waiter.gpus.count, wait.waiter.cpus
        enough = [free_cpus for free, free_cpus in left.values() if free >= need]
        if wait.reason is Reason.WAITS_FOR_GPUS:
            assert not enough
        elif wait.reason is Reason.WAITS_FOR_CPUS:
            assert enough and max(enough) < cpus
        else:
            assert wait.reason is Reason.IN_LINE and max(enough) >= cpus
            assert wait.position > 1


@pytest.mark.fault(63)
def test_a_request_for_all_gpus_behind_a_stream_of_singles_starts_when_the_last_that_ran_has_reached_its_limit():
    large, started, holds = waiter("a00", gpus="8", limit_seconds=600.0), None, []
    for minute in range(200):
        now = NOW + timedelta(minutes=minute)
        holds = [one for one in holds if one.ends_at > now]
        free = [slot for slot in slots(8) if all(slot not in one.slots for one in holds)]
        line = [waiter(f"b{minute:02}", user=f"u{minute}", gpus="1", limit_seconds=3600.0, since=now)]
        line += [large] if minute >= 10 and started is None else []
        machine = Room(node_id="local", cpus=99 - len(holds), memory_bytes=2**40, slots=tuple(free))
        for start in decide(situation(line, [machine], holds, now=now)).starts:
            started = minute if start.waiter.id == "a00" else started
            ends = (now - NOW).total_seconds() + start.waiter.limit_seconds
            holds.append(hold(start.waiter.user, start.slots, ends_in=ends))

    assert started is not None and started <= 10 + 60
