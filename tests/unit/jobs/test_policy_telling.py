"""What people read while they wait: what for, who has it, until when; and names only for those who may see them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from queue_world import NOW, hold, room, situation, slots, waiter

from himalia.gpus import SlotHealth
from himalia.moments import localised, stamp, stamp_to_second
from himalia_jobs.policy import Reader, Room, decide, sentence

ROOT = Reader(sees_all=True)


def told(asked, rooms, holds=(), reader=ROOT, number=0):
    wait = decide(situation(asked, rooms, holds)).waits[number]
    return sentence(wait, reader, NOW)


def test_who_waits_for_a_gpu_reads_who_has_them_and_until_when():
    four = slots(2)
    idle_since = NOW - timedelta(hours=2, minutes=40)
    holds = [
        hold("bob", [four[1]], kind="server", idle_since=idle_since),
        hold("alice", [four[0]], ends_in=2 * 3600 + 20 * 60),
    ]

    assert told([waiter("j01", gpus="1")], [room()], holds) == (
        "1st in line. Waiting for 1 of: GPU 0 (alice's job 8f2a…, ends before 2030-01-01T14:20Z), "
        "GPU 1 (bob's notebook, idle 2 h 40 min)."
    )


@pytest.mark.parametrize(
    ("reader", "who"),
    [
        (Reader(user_id="bob"), "bob's job 8f2a…"),
        (Reader(user_id="cai", team_ids=frozenset({"nlp"})), "bob's job 8f2a…"),
        (Reader(user_id="eve", team_ids=frozenset({"cv"})), "in use"),
        (Reader(), "in use"),
    ],
)
def test_names_are_for_those_who_may_see_them(reader, who):
    holds = [hold("bob", slots(1), team_ids=frozenset({"nlp"}))]

    assert told([waiter("j01", gpus="1")], [room()], holds, reader) == f"1st in line. Waiting for 1 of: GPU 0 ({who})."


def test_an_adopted_container_is_nobodys_and_its_name_is_for_administrators():
    nobodys = [replace(hold("ghost", slots(1)), user_id="")]

    assert "ghost" not in told([waiter("j01", gpus="1")], [room()], nobodys, Reader())


def test_several_gpus_and_special_ones_are_told_with_what_is_free():
    eight = slots(8)
    asked = [waiter("j01", gpus="H200:4")]

    said = told(asked, [Room(node_id="local", cpus=8, memory_bytes=2**40, slots=eight[:2])], [hold(held=eight[2:])])

    assert said.startswith("1st in line. Waiting for 4 GPUs (H200:4), 2 free now, 2 of: GPU 2 (bob's job 8f2a…), ")
    assert said.endswith("GPU 5 (bob's job 8f2a…), 2 more.")


def test_gpus_that_are_out_of_order_are_told():
    ill = slots(2, health=SlotHealth.QUARANTINED)

    said = told([waiter("j01", gpus="1")], [Room(node_id="local", cpus=8, memory_bytes=2**40, slots=ill)])

    assert said == "1st in line. Waiting for 1 GPU: 0 free now, 2 out of order."


def test_the_machine_is_named_where_there_are_several():
    holds = [hold("bob", slots(1, "a")), hold("cai", slots(1, "b"))]

    assert "GPU 0 of a (bob's" in told([waiter("j01", gpus="1")], [room(node="a"), room(node="b")], holds)


def test_who_waits_for_cpus_or_memory_reads_how_much():
    assert told([waiter("j01", cpus=9)], [room(cpus=2.5)]) == "1st in line. Waiting for 9 CPUs: 2.5 free now."
    assert told([waiter("j01", memory=2**36)], [room(memory=2**31)]) == (
        "1st in line. Waiting for 64.0 GB of memory: 2.0 GB free now."
    )
    assert "9 CPUs beside its GPUs" in told([waiter("j01", cpus=9, gpus="1")], [room(cpus=2, gpus=1)])


def test_what_is_free_and_kept_for_those_before_is_told_so():
    asked = [waiter("j01", gpus="2"), waiter("j02", user="bob", gpus="1")]

    assert told(asked, [room(gpus=1)], number=1) == (
        "2nd in line. What it needs is free, and kept for those before it in line."
    )


def test_moments_travel_as_utc_and_are_read_in_the_readers_zone():
    text = f"Ends before {stamp(datetime(2030, 1, 1, 14, 19, 1, tzinfo=UTC))}, or 2030-01-03T23:30Z."
    india = timezone(timedelta(hours=5, minutes=30))

    assert text == "Ends before 2030-01-01T14:20Z, or 2030-01-03T23:30Z."
    assert localised(text, NOW, india) == "Ends before 19:50, or Fri 4 Jan 05:00."
    assert localised(text, NOW, UTC) == "Ends before 14:20 UTC, or Thu 3 Jan 23:30 UTC."


def test_a_moment_that_comes_soon_is_told_to_the_second_and_never_earlier_than_it_is():
    text = f"At {stamp_to_second(datetime(2030, 1, 1, 14, 19, 0, 1, tzinfo=UTC))}."

    assert text == "At 2030-01-01T14:19:01Z."
    assert localised(text, NOW, UTC) == "At 14:19:01 UTC."
