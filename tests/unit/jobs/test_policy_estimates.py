"""When something is expected to start, and how sure that is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queue_world import NOW, hold, room, situation, slots, waiter
from rows import server_lease

from himalia.queueing import Maintenance, Queue, Quota
from himalia.reasons import Reason, Sure
from himalia_jobs.history import lengths_of, read_lengths
from himalia_jobs.policy import Rules, afterwards, decide, estimate
from himalia_jobs.policy.benches import returned
from himalia_jobs.policy.course import Course, in_course
from himalia_jobs.store import leases
from himalia_jobs.store.clock import to_text


def expected(asked, rooms, holds=(), lengths=None, rules=Rules(), **more):
    world = situation(asked, rooms, holds, **more)
    decision = decide(world, rules)
    return estimate(afterwards(world, decision, rules), decision.waits, lengths or {}, rules)


def minutes(found, name):
    return (found[name].at - NOW).total_seconds() / 60


def test_without_history_the_time_limits_say_when_at_the_latest():
    holds = [hold("bob", slots(1), ends_in=1800)]

    found = expected([waiter("j01", gpus="1")], [room()], holds)

    assert (minutes(found, "j01"), found["j01"].sure) == (30, Sure.AT_LATEST)


def test_how_long_such_jobs_ran_before_is_likelier_than_their_limits():
    holds = [hold("bob", slots(1), ends_in=86400, project_id="p")]
    lengths = {("job", "p", "small"): [1500.0] * 9, ("job", "", "small"): [1500.0] * 9}

    found = expected([waiter("j01", gpus="1")], [room()], holds, lengths)

    assert (minutes(found, "j01"), found["j01"].sure) == (15, Sure.LIKELY)  # it has run for 10 of 25 minutes


def test_one_run_before_makes_a_guess_and_a_notebook_too():
    holds = [hold("bob", slots(1), ends_in=86400)]
    once = {("job", "", "small"): [1500.0]}
    notebook = [hold("bob", slots(1), kind="server")]

    assert expected([waiter("j01", gpus="1")], [room()], holds, once)["j01"].sure is Sure.GUESS
    assert expected([waiter("j01", gpus="1")], [room()], notebook)["j01"].sure is Sure.GUESS


def test_a_job_that_ran_longer_than_most_is_expected_to_run_as_long_again_within_its_limit():
    lengths = {("job", "", "small"): [60.0] * 9}

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


def test_one_that_waits_for_a_limit_is_expected_when_that_is_kept():
    rules = Rules(quotas=(Quota(user="*", gpus=1),))

    found = expected([waiter("j01", gpus="1"), waiter("j02", gpus="1")], [room(gpus=2)], rules=rules)

    assert (minutes(found, "j02"), found["j02"].sure) == (61.5, Sure.GUESS)


def test_one_that_would_run_into_a_maintenance_is_expected_after_it():
    window = Maintenance(start=NOW + timedelta(minutes=30), end=NOW + timedelta(minutes=90))

    found = expected([waiter("j01", gpus="1")], [room(gpus=1)], rules=Rules(maintenance=(window,)))

    assert (minutes(found, "j01"), found["j01"].sure) == (90, Sure.GUESS)


def test_a_short_job_is_expected_to_fill_a_gap_that_it_fits_into():
    asked = [
        waiter("j01", gpus="2", limit_seconds=600.0),
        waiter("j02", user="bob", gpus="1"),
        waiter("j03", user="cai", gpus="1", limit_seconds=600.0),
    ]
    holds = [hold("eve", slots(2)[:1], ends_in=1200), hold("fay", slots(2)[1:], ends_in=3600)]

    with_gaps = expected(asked, [room()], holds)
    without = expected(asked, [room()], holds, rules=Rules(queue=Queue(backfill=False)))

    assert [minutes(with_gaps, one.id) for one in asked] == [60, 70, 20]
    assert [minutes(without, one.id) for one in asked] == [60, 70, 70]


def test_whose_turn_it_is_by_then_is_expected_first():
    asked = [waiter("j01", gpus="1"), waiter("j02", gpus="1"), waiter("j03", user="bob", gpus="1")]
    holds = [hold("bob", slots(2)[:1], ends_in=600), hold("cai", slots(2)[1:], ends_in=1200)]

    found = expected(asked, [room()], holds)

    assert [wait.waiter.id for wait in decide(situation(asked, [room()], holds)).waits] == ["j01", "j02", "j03"]
    assert [minutes(found, one.id) for one in asked] == [10, 70, 20]


def test_only_the_first_in_line_is_told_a_latest_start():
    asked = [waiter("j01", user="ada", gpus="1"), waiter("j02", user="bob", gpus="1")]
    holds = [hold("cai", slots(2)[:1], ends_in=600), hold("eve", slots(2)[1:], ends_in=1200)]

    found = expected(asked, [room()], holds)

    assert [found[one.id].sure for one in asked] == [Sure.AT_LATEST, Sure.GUESS]


@given(
    wishes=st.lists(st.tuples(st.integers(1, 4), st.integers(60, 7200)), min_size=1, max_size=8),
    ends=st.lists(st.tuples(st.integers(60, 7200), st.floats(0.01, 1.0)), min_size=4, max_size=4),
    parts=st.lists(st.floats(0.01, 1.0), min_size=8, max_size=8),
    backfill=st.booleans(),
)
def test_the_first_in_line_starts_no_later_than_at_the_latest_whenever_others_end(wishes, ends, parts, backfill):
    """Each is another person, nobody comes later: nobody is put before it."""
    rules = Rules(queue=Queue(backfill=backfill))
    asked = [
        waiter(f"j{n:02}", user=f"w{n}", gpus=str(count), limit_seconds=float(limit))
        for n, (count, limit) in enumerate(wishes)
    ]
    holds = [hold(f"u{n}", [slot], ends_in=end) for n, (slot, (end, _)) in enumerate(zip(slots(4), ends, strict=True))]
    told = expected(asked, [room(cpus=99)], holds, rules=rules)["j00"]
    assert told.sure is Sure.AT_LATEST

    leaving = [(NOW + timedelta(seconds=end * part), one) for one, (end, part) in zip(holds, ends, strict=True)]
    runs = {one.id: one.limit_seconds * part for one, part in zip(asked, parts, strict=False)}
    assert started(situation(asked, [room(cpus=99)], holds), leaving, runs, rules, "j00") <= told.at


def started(world, leaving, runs, rules, name):
    """Return when somebody starts, where each gives back what it holds as it does."""
    leaving = list(leaving)
    while True:
        decision = decide(world, rules)
        if name in {start.waiter.id for start in decision.starts}:
            return world.now
        world = afterwards(world, decision, rules)
        running = {one.lease_id: one for one in world.holds}
        leaving += [
            (world.now + timedelta(seconds=runs[start.waiter.id]), running[start.waiter.id])
            for start in decision.starts
        ]
        at, gone = min(leaving, key=lambda one: one[0])
        leaving.remove((at, gone))
        world = replace(
            world,
            now=at,
            holds=tuple(one for one in world.holds if one.lease_id != gone.lease_id),
            rooms=(returned(world.rooms[0], [gone]),),
        )


def test_a_preemptible_job_is_expected_to_give_way():
    holds = [hold("bob", slots(1), ends_in=86400, preemptible=True)]

    found = expected([waiter("j01", gpus="1")], [room()], holds)

    assert (minutes(found, "j01"), found["j01"].sure) == (2, Sure.LIKELY)


def test_who_ran_longer_than_usual_is_compared_with_those_that_did_too():
    lengths = {("job", "", "small"): [60.0] * 20 + [1200.0, 1500.0, 1800.0]}

    found = expected([waiter("j01", gpus="1")], [room()], [hold("bob", slots(1), ends_in=86400)], lengths)

    assert (minutes(found, "j01"), found["j01"].sure) == (15, Sure.LIKELY)  # it has run for ten minutes


def test_what_the_project_ran_last_counts_most():
    lengths = {("job", "p", "small"): [1500.0] * 3 + [7200.0] * 7, ("job", "", "small"): [900.0] * 30}
    holds = [hold("bob", slots(1), ends_in=86400, project_id="p")]

    assert minutes(expected([waiter("j01", gpus="1")], [room()], holds, lengths), "j01") == 15


def test_a_notebook_is_expected_to_stay_as_its_persons_last_ones_did():
    lengths = {("server", "bob", "small"): [1200.0] * 4, ("server", "", "small"): [1200.0] * 4}

    found = expected([waiter("j01", gpus="1")], [room()], [hold("bob", slots(1), kind="server")], lengths)

    assert (minutes(found, "j01"), found["j01"].sure) == (10, Sure.LIKELY)


def test_lengths_that_differ_make_a_guess():
    lengths = {("job", "", "small"): [660.0, 660.0, 3600.0, 36000.0, 36000.0]}

    found = expected([waiter("j01", gpus="1")], [room()], [hold("bob", slots(1), ends_in=86400)], lengths)

    assert found["j01"].sure is Sure.GUESS


def test_a_line_too_long_to_be_played_is_told_roughly():
    asked = [waiter(f"{n // 60}j{n % 60:02}", user=f"u{n}", gpus="1", limit_seconds=600.0) for n in range(300)]

    found = expected(asked, [room()], [hold("bob", slots(1), ends_in=600)])

    assert len(found) == 300
    assert max(one.at for one in found.values()) == NOW + timedelta(minutes=3001.5)


def test_what_is_told_roughly_comes_after_the_first_in_line():
    asked = [waiter("j01", gpus="2", limit_seconds=600.0), waiter("j02", user="bob", gpus="1")]
    world = situation(asked, [room(gpus=1)], [hold("cai", slots(2)[1:], ends_in=600)])

    assert in_course(world, asked, {}) == {
        "j01": NOW + timedelta(minutes=10),
        "j02": NOW + timedelta(minutes=20),
    }


def test_what_is_set_aside_for_the_first_is_expected_for_nobody_else():
    asked = [waiter("j01", gpus="2", limit_seconds=600.0), waiter("j02", user="bob", gpus="1")]

    found = expected(asked, [room(gpus=1)], [hold("cai", slots(2)[1:], ends_in=600)])

    assert [minutes(found, name) for name in ("j01", "j02")] == [10, 20]


def test_history_is_read_newest_first_by_project_and_by_profile():
    ran = [("job", "p", "small", 10.0), ("job", "p", "small", 30.0), ("job", "q", "small", 50.0)]

    lengths = lengths_of([*ran, ("server", "ada", "small", 70.0)])

    assert lengths["job", "p", "small"] == [10, 30]
    assert lengths["job", "", "small"] == [10, 30, 50]
    assert lengths["server", "ada", "small"] == lengths["server", "", "small"] == [70]


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

    rules = Rules(queue=Queue(backfill=False))
    decision = decide(world, rules)
    found = estimate(afterwards(world, decision, rules), decision.waits, {}, rules)

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
    """Return the same as `Course._enough_other`, looked for from now on: as it is defined."""
    cpus, memory = course.cpus_in_the_end, course.memory_in_the_end
    for _, more_cpus, more_memory in course.changes:
        cpus, memory = cpus - more_cpus, memory - more_memory
    enough, fits = course.now, asked.cpus <= cpus and asked.memory_bytes <= memory
    for at, more_cpus, more_memory in course.changes:
        cpus, memory = cpus + more_cpus, memory + more_memory
        now_fits = asked.cpus <= cpus and asked.memory_bytes <= memory
        enough, fits = (at if now_fits and not fits else enough), now_fits
    return enough if fits else None


SHARES = st.tuples(st.integers(1, 32).map(lambda quarter: quarter / 4), st.integers(1, 64))


@given(
    held=st.lists(st.tuples(SHARES, st.integers(1, 9000)), max_size=8),
    taken=st.lists(st.tuples(SHARES, st.integers(0, 9000), st.integers(1, 9000)), max_size=12),
    asked=SHARES,
)
def test_room_is_found_from_the_end_where_it_is_found_from_now(held, taken, asked):
    holds = [hold(f"u{n}", ends_in=end, cpus=cpus, memory_bytes=memory) for n, ((cpus, memory), end) in enumerate(held)]
    course = Course(room(cpus=4, memory=32), situation([], [room()], holds), {})
    for (cpus, memory), begin, lasts in taken:
        at = NOW + timedelta(seconds=begin)
        course.take(waiter("t00", cpus=cpus, memory=memory), at, at + timedelta(seconds=lasts))

    one = waiter("j01", cpus=asked[0], memory=asked[1])
    assert course._enough_other(one) == enough_forward(course, one)


def test_a_notebook_ran_from_when_it_was_given_its_share_until_it_gave_it_back(db):
    began = to_text(datetime.now(UTC) - timedelta(minutes=20))
    for name, granted in (("a" * 12, began), ("b" * 12, None), ("c" * 12, began)):
        values = server_lease(id=name, user_id="ada-id", user="ada", profile="gpu", granted_at=granted)
        db.write_now(lambda c, values=values: leases.add(c, values))
    for name in ("a" * 12, "b" * 12):  # one had it, one waited in vain, one is still there
        db.write_now(lambda c, name=name: leases.release(c, name))

    found = db.read_now(read_lengths)

    assert found.keys() == {("server", "ada-id", "gpu"), ("server", "", "gpu")}
    assert found["server", "ada-id", "gpu"] == pytest.approx([1200], abs=60)
