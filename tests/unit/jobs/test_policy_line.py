"""Who is first: turns, own order, priorities with ageing, GPU hours with a half-life; and what bounds every wait."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from queue_world import NOW, hold, room, situation, slots, waiter

from himalia.queueing import Queue
from himalia_jobs.history import decayed_seconds
from himalia_jobs.policy import Rules, decide
from himalia_jobs.policy.line import in_line

HOUR = 3600


def order(waiters, rules=None, holds=(), **more):
    return [one.id for one in in_line(situation(waiters, holds=holds, **more), rules or Rules())]


def ago(hours: float):
    return NOW - timedelta(hours=hours)


def test_a_person_orders_their_own_and_nobody_else_moves():
    asked = [waiter("a01"), waiter("b02", user="bob"), waiter("a03"), waiter("a04", own_rank=-1)]

    assert order(asked) == ["a04", "b02", "a01", "a03"]
    assert order([one for one in asked if one.user == "bob"] + asked[:1]) == ["a01", "b02"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-3, 3)), max_size=12))
def test_the_places_of_others_do_not_depend_on_anybodys_own_order(rows):
    asked = [waiter(f"{user}{n:02}", user=user, own_rank=rank) for n, (user, rank) in enumerate(rows)]
    plain = [waiter(f"{user}{n:02}", user=user) for n, (user, _) in enumerate(rows)]

    assert [name[0] for name in order(asked)] == [name[0] for name in order(plain)]


def test_a_profiles_priority_is_worth_turns():
    rules = Rules(priorities={"urgent": 1})
    asked = [waiter("a01"), waiter("a02"), waiter("b03", user="bob", profile="urgent"), waiter("a04", profile="urgent")]

    assert order(asked, rules) == ["b03", "a04", "a01", "a02"]


def test_waiting_makes_up_for_priority_where_it_is_worth_something():
    asked = [waiter("a01", since=ago(5)), waiter("b02", user="bob", profile="urgent", since=ago(1))]
    priorities = {"urgent": 1}

    assert order(asked, Rules(priorities=priorities)) == ["b02", "a01"]
    assert order(asked, Rules(priorities=priorities, queue=Queue(ageing="3h"))) == ["a01", "b02"]
    assert order(asked, Rules(priorities=priorities, queue=Queue(ageing="5h"))) == ["b02", "a01"]


def test_who_used_less_is_first_and_a_larger_share_may_use_more():
    asked = [waiter("a01", gpus="1"), waiter("b02", user="bob", gpus="1", teams=["nlp"])]
    usage = {"ada": 10.0, "bob": 15.0}
    by_usage = Queue(fair_share="usage")
    with_share = Queue(fair_share="usage", shares={"team:nlp": 2.0})

    assert order(asked, Rules(queue=by_usage), usage=usage) == ["a01", "b02"]
    assert order(asked, Rules(queue=with_share), usage=usage) == ["b02", "a01"]


def test_what_is_held_and_what_is_before_in_line_count_as_use():
    asked = [
        waiter("a01", gpus="1", limit_seconds=4 * HOUR),
        waiter("a02", gpus="1"),
        waiter("b03", user="bob", gpus="1"),
    ]
    by_usage = Rules(queue=Queue(fair_share="usage"))

    assert order(asked, by_usage) == ["a01", "b03", "a02"]
    assert order(asked, by_usage, holds=[hold("ada", slots(1))]) == ["b03", "a01", "a02"]


def test_a_gpu_hour_counts_half_after_a_half_life():
    now, week = NOW, 7 * 86400
    fresh = decayed_seconds(now - timedelta(hours=1), now, now, week)
    old = decayed_seconds(now - timedelta(days=7, hours=1), now - timedelta(days=7), now, week)

    assert fresh == pytest.approx(HOUR, rel=0.01)
    assert old == pytest.approx(fresh / 2)
    assert decayed_seconds(now + timedelta(hours=1), now, now, week) == 0


def test_who_had_nothing_started_for_too_long_is_first():
    asked = [waiter("a01", since=ago(30), gpus="1"), waiter("b02", user="bob", gpus="1", profile="urgent")]
    rules = Rules(priorities={"urgent": 9})
    holds = [hold("ada", kind="server")]

    assert order(asked, rules, holds) == ["a01", "b02"]
    assert order(asked, rules, holds, last_starts={("ada", True): ago(2)}) == ["b02", "a01"]
    assert order(asked, rules, holds, last_starts={("ada", False): ago(2)}) == ["a01", "b02"]


def test_patience_is_for_the_first_of_a_person_not_for_all_of_them():
    many = [waiter(f"a{n:02}", since=ago(40)) for n in range(5)]

    assert order([*many, waiter("b99", user="bob")])[:3] == ["a00", "b99", "a01"]


def starts_until(patience_hours, stream, hours=200):
    """Play one GPU that is given for an hour at a time to a stream of other people's jobs; return when ada's starts."""
    rules = Rules(priorities={"urgent": 5}, queue=Queue(patience=f"{patience_hours}h"))
    mine, last = waiter("a00", since=NOW, gpus="1"), {}
    for hour in range(hours):
        now = NOW + timedelta(hours=hour)
        others = [waiter(f"b{hour:03}", user=user, gpus="1", profile="urgent", since=now) for user in stream]
        decision = decide(situation([mine, *others], [room(gpus=1)], now=now, last_starts=last), rules)
        (start,) = decision.starts
        if start.waiter.id == mine.id:
            return hour
        last[start.waiter.user_id, True] = now
    return None


@pytest.mark.fault(63)
@given(st.integers(1, 48), st.lists(st.sampled_from("bcd"), min_size=1, max_size=3, unique=True))
def test_no_stream_of_others_keeps_anybody_waiting_beyond_the_bound(patience, stream):
    started = starts_until(patience, stream)

    assert started is not None and started <= patience + 1 + len(stream)


def test_who_came_first_and_was_served_since_stands_behind_one_that_was_not():
    asked = [waiter("a01", since=ago(5), gpus="1"), waiter("b02", user="bob", since=ago(3), gpus="8")]

    assert order(asked) == ["a01", "b02"]
    assert order(asked, last_starts={("ada", True): ago(4)}) == ["a01", "b02"]
    assert order(asked, last_starts={("ada", True): ago(1)}) == ["b02", "a01"]
    assert order(asked, last_starts={("ada", False): ago(1)}) == ["a01", "b02"]


@pytest.mark.parametrize("gpus", [2, 4, 8])
def test_one_who_asks_for_the_whole_machine_waits_for_what_runs_and_not_for_a_line_of_single_jobs(gpus):
    """Each single job that ends left its owner without a turn had, and so first again: the machine ran one job at a time."""
    whole = waiter("w99", user="bob", gpus=str(gpus))
    singles = [waiter(f"s{n:02}", gpus="1", since=ago(9)) for n in range(3 * gpus)]
    running, last = {}, {}
    for hour in range(2 * gpus + 2):
        now = NOW + timedelta(hours=hour)
        held = [hold("ada", held=slots(gpus)[n : n + 1]) for n in running]
        left = [one for one in singles if one.id not in running.values()]
        free = room(cpus=99, gpus=0)
        free = replace(free, slots=tuple(one for n, one in enumerate(slots(gpus)) if n not in running))
        waiting = [*left, whole] if hour else left
        for start in decide(situation(waiting, [free], held, now=now, last_starts=last)).starts:
            if start.waiter.id == whole.id:
                assert hour <= gpus + 1
                return
            running |= {one.index: start.waiter.id for one in start.slots}
            last["ada", True] = now
        if running:
            ended = running.pop(min(running))
            singles = [one for one in singles if one.id != ended]
    pytest.fail("it never started")


@pytest.mark.parametrize("table", [{"shares": {"ada": 1.0}}, {"shares": {"user:ada": 0.0}}])
def test_shares_name_owners_and_are_above_nothing(table):
    with pytest.raises(ValidationError):
        Queue.model_validate(table)
