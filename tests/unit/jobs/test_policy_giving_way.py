"""Preemptible jobs use what is free and give way: as few as possible, only where it helps, and nobody goes round in circles."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from queue_world import NOW, hold, names, room, situation, slots, waiter

from himalia.units import GiB
from himalia_jobs.policy import Room, decide


def leaving(decision) -> list[str]:
    """Return who gives way."""
    return sorted(one.hold.user for one in decision.gives_way)


def full(count: int, *users: str, **more):
    """Return preemptible jobs that hold a GPU each."""
    return [
        replace(hold(user, [slot], preemptible=True, **more), lease_id=user)
        for user, slot in zip(users, slots(count), strict=False)
    ]


def test_a_preemptible_job_gives_way_to_one_that_is_not():
    decision = decide(situation([waiter("j01", gpus="1")], [room()], full(2, "p", "q")))

    assert len(decision.gives_way) == 1
    assert decision.starts == ()
    assert decide(situation([waiter("j01", gpus="1", preemptible=True)], [room()], full(2, "p", "q"))).gives_way == ()


def test_nobody_gives_way_where_it_would_not_help():
    bound = [hold("bob", [slot]) for slot in slots(4)[2:]]

    assert decide(situation([waiter("j01", gpus="3")], [room()], [*full(4, "p", "q"), *bound])).gives_way == ()


def test_as_few_as_possible_give_way_and_those_that_ran_least():
    old, young = full(3, "old", "young")
    old = replace(old, since=NOW - timedelta(hours=9))
    both = [old, young, replace(hold("two", slots(5)[3:], preemptible=True), since=NOW)]

    assert leaving(decide(situation([waiter("j01", gpus="1")], [room()], [old, young]))) == ["young"]
    assert leaving(decide(situation([waiter("j01", gpus="2")], [room()], both))) == ["two"]
    assert leaving(decide(situation([waiter("j01", gpus="2")], [room(gpus=0)], [old, young]))) == ["old", "young"]


def test_who_was_told_already_goes_and_who_is_being_stopped_is_waited_for():
    told, other = full(2, "told", "other")
    told = replace(told, warned=True, since=NOW - timedelta(days=1))
    stopping = replace(told, stopping=True)

    assert leaving(decide(situation([waiter("j01", gpus="1")], [room()], [told, other]))) == ["told"]
    assert leaving(decide(situation([waiter("j01", gpus="1")], [room()], [stopping, other]))) == []
    two = [waiter("j01", gpus="1"), waiter("j02", user="bob", gpus="1")]
    assert leaving(decide(situation(two, [room()], [stopping, other]))) == ["other"]


def test_what_is_set_aside_is_used_meanwhile_by_those_who_give_way():
    asked = [waiter("j01", gpus="4"), waiter("p02", user="pia", gpus="1", preemptible=True)]
    held = [hold("bob", slots(4)[2:], ends_in=3600)]

    assert names(decide(situation(asked, [room(gpus=2)], held)).starts) == ["p02"]
    assert decide(situation([asked[0], replace(asked[1], preemptible=False)], [room(gpus=2)], held)).starts == ()


def test_what_becomes_free_for_another_is_not_taken_by_the_next_preemptible_job():
    stopping = [replace(one, stopping=True) for one in full(2, "p", "q")]
    asked = [waiter("j01", gpus="2"), waiter("p02", user="pia", gpus="1", preemptible=True)]
    one_is_gone = situation(asked, [Room(node_id="local", cpus=8, memory_bytes=64 * GiB, slots=slots(1))], stopping[1:])

    assert decide(one_is_gone).starts == ()


def test_preemptible_jobs_stand_behind_all_others():
    asked = [waiter("p01", user="pia", gpus="1", preemptible=True), waiter("j02", gpus="1")]

    assert names(decide(situation(asked, [room(gpus=1)])).starts) == ["j02"]


@given(
    st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=8),
    st.lists(st.booleans(), max_size=6),
    st.integers(0, 3),
)
def test_those_who_give_way_make_room_for_those_they_give_way_to(wishes, held, free):
    asked = [
        waiter(f"j{n:02}", user=f"u{n}", gpus=str(count), preemptible=preemptible)
        for n, (count, preemptible) in enumerate(wishes)
    ]
    every = slots(len(held) + free)
    holds = [
        replace(hold(f"h{n}", [every[free + n]], preemptible=preemptible), lease_id=f"h{n}", ends_at=None)
        for n, preemptible in enumerate(held)
    ]
    world = situation(asked, [Room(node_id="local", cpus=99, memory_bytes=2**40, slots=every[:free])], holds)

    decision = decide(world)

    assert all(one.hold.preemptible and not one.to.preemptible for one in decision.gives_way)
    started = [slot.uuid for start in decision.starts for slot in start.slots]
    assert len(started) == len(set(started)) and set(started) <= {slot.uuid for slot in every[:free]}
    # Once they are gone, those they gave way to start.
    gone = {one.hold.lease_id for one in decision.gives_way}
    left = [slot for slot in every[:free] if slot.uuid not in started]
    left += [slot for one in holds if one.lease_id in gone for slot in one.slots]
    rest = [wait.waiter for wait in decision.waits]
    later = replace(
        world,
        waiters=tuple(rest),
        holds=tuple(one for one in holds if one.lease_id not in gone),
        rooms=(Room(node_id="local", cpus=99, memory_bytes=2**40, slots=tuple(left)),),
    )
    assert {one.to.id for one in decision.gives_way} <= set(names(decide(later).starts))
