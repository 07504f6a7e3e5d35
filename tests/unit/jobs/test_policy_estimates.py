"""When something is expected to start, and how sure that is."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from queue_world import NOW, hold, room, situation, slots, waiter

from himalia.queueing import Queue, Quota
from himalia.reasons import Reason, Sure
from himalia_jobs.history import lengths_of
from himalia_jobs.policy import Length, Rules, afterwards, decide, estimate
from himalia_jobs.policy.estimates import _Course


def expected(asked, rooms, holds=(), lengths=None, **more):
    world = situation(asked, rooms, holds, **more)
    return estimate(world, decide(world).waits, lengths or {})


def minutes(found, name):
    return (found[name].at - NOW).total_seconds() / 60


def test_without_history_the_time_limits_say_when_at_the_latest():
    holds = [hold("bob", slots(1), ends_in=1800)]

    found = expected([waiter("j01", gpus="1")], [room()], holds)

    assert (minutes(found, "j01"), found["j01"].sure) == (30, Sure.AT_LATEST)


def test_how_long_such_jobs_ran_before_is_likelier_than_their_limits():
    holds = [hold("bob", slots(1), ends_in=86400, project_id="p")]
    lengths = {("job", "p", "small"): Length(seconds=1500, runs=9)}

    found = expected([waiter("j01", gpus="1")], [room()], holds, lengths)

    assert (minutes(found, "j01"), found["j01"].sure) == (15, Sure.LIKELY)  # it has run for 10 of 25 minutes


def test_one_run_before_makes_a_guess_and_a_notebook_too():
    holds = [hold("bob", slots(1), ends_in=86400)]
    once = {("job", "", "small"): Length(seconds=1500, runs=1)}
    notebook = [hold("bob", slots(1), kind="server")]

    assert expected([waiter("j01", gpus="1")], [room()], holds, once)["j01"].sure is Sure.GUESS
    assert expected([waiter("j01", gpus="1")], [room()], notebook)["j01"].sure is Sure.GUESS


def test_a_job_that_ran_longer_than_most_is_expected_to_run_as_long_again_within_its_limit():
    lengths = {("job", "", "small"): Length(seconds=60, runs=9)}

    for ends_in, expected_minutes in ((86400, 10), (300, 5)):
        holds = [hold("bob", slots(1), ends_in=ends_in)]
        assert minutes(expected([waiter("j01", gpus="1")], [room()], holds, lengths), "j01") == expected_minutes


def test_those_behind_wait_for_those_before():
    asked = [waiter(f"j{n:02}", gpus="1", limit_seconds=600.0) for n in range(3)]
    holds = [hold("bob", slots(1), ends_in=600)]

    found = expected(asked, [room()], holds)

    assert [minutes(found, f"j{n:02}") for n in range(3)] == [10, 20, 30]


def test_cpus_are_waited_for_as_well():
    holds = [hold("bob", cpus=6, ends_in=600)]

    assert minutes(expected([waiter("j01", cpus=8)], [room(cpus=2)], holds), "j01") == 10


def test_nothing_is_expected_of_what_can_never_be_or_while_nothing_may_start():
    assert expected([waiter("j01", gpus="9")], [room(gpus=1)]) == {}
    closed = (Reason.WAITS_FOR_ENGINE, "It does not answer.")
    assert expected([waiter("j01")], [room()], closed=closed) == {}


def test_nothing_is_expected_of_one_that_waits_for_a_limit():
    world = situation([waiter("j01", gpus="1"), waiter("j02", gpus="1")], [room(gpus=2)])
    waits = decide(world, Rules(quotas=(Quota(user="*", gpus=1),))).waits

    assert [wait.waiter.id for wait in waits] == ["j02"]
    assert estimate(world, waits, {}) == {}


def test_what_is_set_aside_for_the_first_is_expected_for_nobody_else():
    asked = [waiter("j01", gpus="2", limit_seconds=600.0), waiter("j02", user="bob", gpus="1")]

    found = expected(asked, [room(gpus=1)], [hold("cai", slots(2)[1:], ends_in=600)])

    assert [minutes(found, name) for name in ("j01", "j02")] == [10, 20]


def test_history_is_read_newest_first_by_project_and_by_profile():
    ran = [("p", "small", 10.0), ("p", "small", 30.0), ("q", "small", 50.0)]

    lengths = lengths_of(ran)

    assert lengths["job", "p", "small"] == Length(seconds=20, runs=2)
    assert lengths["job", "", "small"] == Length(seconds=30, runs=3)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(60, 7200)), min_size=1, max_size=12),
    st.lists(st.integers(60, 7200), min_size=3, max_size=3),
)
def test_no_start_is_expected_before_its_gpus_can_be_free(wishes, ends):
    asked = [waiter(f"j{n:02}", gpus=str(count), limit_seconds=float(limit)) for n, (count, limit) in enumerate(wishes)]
    holds = [hold(f"u{n}", [slot], ends_in=end) for n, (slot, end) in enumerate(zip(slots(3), ends, strict=True))]

    found = expected(asked, [room(cpus=99)], holds)

    assert set(found) == {entry.id for entry in asked}
    running = [(NOW, NOW + timedelta(seconds=end), 1) for end in ends]
    for entry in asked:
        at = found[entry.id].at
        running.append((at, at + timedelta(seconds=entry.limit_seconds), entry.gpus.count))
    for moment in {begin for begin, _, _ in running}:
        assert sum(count for begin, end, count in running if begin <= moment < end) <= 3


def test_what_is_free_and_kept_for_the_first_is_not_promised_for_now_to_those_behind():
    holds = [hold("bob", slots(4)[2:], ends_in=1800), hold("eve", slots(4, "other")[3:], ends_in=7200)]
    whole = waiter("w01", user="ida", gpus="4")
    singles = [waiter(f"s{n:02}", user=f"u{n}", gpus="1", limit_seconds=600.0) for n in range(2, 5)]
    world = situation([whole, *singles], [room(gpus=2), room(gpus=3, node="other")], holds)

    decision = decide(world, Rules(queue=Queue(backfill=False)))
    found = estimate(afterwards(world, decision, Rules()), decision.waits, {})

    assert [wait.waiter.id for wait in decision.waits] == ["w01", "s04"]  # the other machine's three GPUs are kept
    assert minutes(found, "w01") == 30
    assert minutes(found, "s04") >= 10


def test_who_starts_in_a_round_holds_what_it_got_afterwards():
    world = situation([waiter("a01", gpus="1"), waiter("b02", user="bob", gpus="2")], [room(gpus=2)])
    decision = decide(world)

    left = afterwards(world, decision, Rules())

    assert [(one.lease_id, one.slots) for one in left.holds] == [("a01", decision.starts[0].slots)]
    assert [one.id for one in left.waiters] == ["b02"]
    assert [len(one.slots) for one in left.rooms] == [1]
    assert left.rooms[0].cpus == world.rooms[0].cpus - 1
    assert minutes(estimate(left, decision.waits, {}), "b02") == 61.5
    assert afterwards(left, decide(left), Rules()) == left


def enough_forward(course, asked):
    """Return the same as `_Course._enough_other`, looked for from now on: as it is defined."""
    cpus, memory = course.cpus_in_the_end, course.memory_in_the_end
    for _, _, more_cpus, more_memory in course.changes:
        cpus, memory = cpus - more_cpus, memory - more_memory
    enough, fits = course.now, asked.cpus <= cpus and asked.memory_bytes <= memory
    for at, sure, more_cpus, more_memory in course.changes:
        cpus, memory = cpus + more_cpus, memory + more_memory
        now_fits = asked.cpus <= cpus and asked.memory_bytes <= memory
        enough, fits = ((at, sure) if now_fits and not fits else enough), now_fits
    return enough if fits else None


SHARES = st.tuples(st.integers(1, 32).map(lambda quarter: quarter / 4), st.integers(1, 64))


@given(
    held=st.lists(st.tuples(SHARES, st.integers(1, 9000)), max_size=8),
    taken=st.lists(st.tuples(SHARES, st.integers(0, 9000), st.integers(1, 9000)), max_size=12),
    asked=SHARES,
)
def test_room_is_found_from_the_end_where_it_is_found_from_now(held, taken, asked):
    holds = [hold(f"u{n}", ends_in=end, cpus=cpus, memory_bytes=memory) for n, ((cpus, memory), end) in enumerate(held)]
    course = _Course(room(cpus=4, memory=32), situation([], [room()], holds), {})
    for (cpus, memory), begin, lasts in taken:
        at = NOW + timedelta(seconds=begin)
        course.take(waiter("t00", cpus=cpus, memory=memory), at, (at + timedelta(seconds=lasts), 1))

    one = waiter("j01", cpus=asked[0], memory=asked[1])
    assert course._enough_other(one) == enough_forward(course, one)
