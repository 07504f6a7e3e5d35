"""Who is gone before the first in line can start may use what is set aside for it; the first never starts later for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from queue_world import NOW, hold, names, room, situation, slots, waiter

from himalia.queueing import Queue
from himalia.units import GiB
from himalia_jobs.policy import Hold, Room, Rules, decide
from himalia_jobs.policy.line import in_line

RULES = Rules(queue=Queue(backfill=True))
ENDING = RULES.ending_seconds


def test_without_the_setting_nobody_goes_before():
    world = situation(
        [waiter("j01", gpus="2"), waiter("k02", user="bob", gpus="1", limit_seconds=60.0)],
        [room(gpus=1)],
        [hold(held=slots(2)[1:], ends_in=7200)],
    )

    assert decide(world, Rules(queue=Queue(backfill=False))).starts == ()
    assert decide(world) == decide(world, RULES)
    assert names(decide(world, RULES).starts) == ["k02"]
    assert decide(world, RULES).starts[0].backfilled


def test_one_that_would_still_run_then_waits():
    world = situation(
        [waiter("j01", gpus="2"), waiter("k02", user="bob", gpus="1", limit_seconds=7200.0)],
        [room(gpus=1)],
        [hold(held=slots(2)[1:], ends_in=7200)],
    )

    assert decide(world, RULES).starts == ()


def test_what_the_first_leaves_over_when_it_starts_is_for_others_however_long():
    eight = slots(8)
    world = situation(
        [waiter("j01", gpus="4"), *(waiter(f"k{n:02}", user=f"u{n}", gpus="1", limit_seconds=1e6) for n in (2, 3, 4))],
        [Room(node_id="local", cpus=8, memory_bytes=64 * GiB, slots=eight[:3])],
        [hold(held=eight[3:6], ends_in=600)],
    )

    # In ten minutes six are free and four are needed: two are over.
    assert names(decide(world, RULES).starts) == ["k02", "k03"]


def test_cpus_that_the_first_needs_are_not_given_for_longer():
    world = situation(
        [waiter("j01", gpus="1", cpus=6), waiter("k02", user="bob", cpus=3, limit_seconds=1e6)],
        [room(cpus=7)],
        [hold(held=slots(1), cpus=1, ends_in=600)],
    )

    assert decide(world, RULES).starts == ()
    short = replace(world, waiters=(world.waiters[0], replace(world.waiters[1], limit_seconds=100.0)))
    assert names(decide(short, RULES).starts) == ["k02"]


def test_nobody_goes_before_one_that_waits_for_a_notebook():
    world = situation(
        [waiter("j01", gpus="2"), waiter("k02", user="bob", gpus="1", limit_seconds=60.0)],
        [room(gpus=1)],
        [hold(held=slots(2)[1:], kind="server")],
    )

    assert decide(world, RULES).starts == ()


def test_a_notebook_never_goes_before():
    world = situation(
        [waiter("j01", gpus="2"), waiter("k02", user="bob", gpus="1", kind="server", limit_seconds=None)],
        [room(gpus=1)],
        [hold(held=slots(2)[1:], ends_in=7200)],
    )

    assert decide(world, RULES).starts == ()


@st.composite
def worlds(draw):
    """Draw nodes that some hold parts of until some time, and a line of jobs with time limits."""
    rooms, holds = [], []
    for node in draw(st.sampled_from([["a"], ["a", "b"]])):
        count, cpus = draw(st.integers(1, 6)), draw(st.integers(2, 12))
        every, taken, used = slots(count, node), 0, 0
        for number in range(draw(st.integers(0, 4))):
            gpus, need = draw(st.integers(0, count - taken)), draw(st.integers(0, cpus - used))
            taken, used = taken + gpus, used + need
            held = every[taken - gpus : taken]
            ends = draw(st.integers(100, 5000))
            holds.append(
                replace(hold(f"h{number}", held, ends_in=ends), cpus=need, node_id=node, lease_id=f"{node}{number}")
            )
        memory = 2**40 - sum(one.memory_bytes for one in holds if one.node_id == node)
        rooms.append(Room(node_id=node, cpus=cpus - used, memory_bytes=memory, slots=every[taken:]))
    asked = [
        waiter(
            f"j{number:02}",
            user=draw(st.sampled_from("abc")),
            gpus=str(draw(st.integers(0, 4))),
            cpus=draw(st.integers(1, 6)),
            limit_seconds=float(draw(st.integers(10, 5000))),
        )
        for number in range(draw(st.integers(2, 10)))
    ]
    return situation(asked, rooms, holds)


def after(world, starts):
    """Return the world with these starts made: each holds its share until its time limit."""
    holds, rooms = list(world.holds), list(world.rooms)
    for start in starts:
        one = start.waiter
        ends = world.now + timedelta(seconds=one.limit_seconds + ENDING)
        holds.append(
            Hold(
                lease_id=one.id,
                kind="job",
                user_id=one.user_id,
                node_id=start.node_id,
                cpus=one.cpus,
                memory_bytes=one.memory_bytes,
                since=world.now,
                slots=start.slots,
                ends_at=ends,
            )
        )
        rooms = [_less(room, start) if room.node_id == start.node_id else room for room in rooms]
    return replace(world, holds=tuple(holds), rooms=tuple(rooms), waiters=())


def _less(room, start):
    gone = {slot.uuid for slot in start.slots}
    return replace(
        room,
        cpus=room.cpus - start.waiter.cpus,
        memory_bytes=room.memory_bytes - start.waiter.memory_bytes,
        slots=tuple(slot for slot in room.slots if slot.uuid not in gone),
    )


def started_at(world, first):
    """Return when the first in line starts, once nobody else comes: seconds from now; none: never."""
    world = replace(world, waiters=(first,))
    for moment in [world.now, *sorted({one.ends_at for one in world.holds})]:
        over = [one for one in world.holds if one.ends_at <= moment]
        rooms = list(world.rooms)
        for one in over:
            rooms = [
                replace(
                    room,
                    cpus=room.cpus + one.cpus,
                    memory_bytes=room.memory_bytes + one.memory_bytes,
                    slots=(*room.slots, *one.slots),
                )
                if room.node_id == one.node_id
                else room
                for room in rooms
            ]
        left = tuple(one for one in world.holds if one not in over)
        if decide(replace(world, now=moment, rooms=tuple(rooms), holds=left), RULES).starts:
            return (moment - NOW).total_seconds()
    return None


@given(worlds())
def test_the_first_in_line_starts_no_later_than_without_those_who_went_before(world):
    decision = decide(world, RULES)
    if not decision.waits:
        return
    first = decision.waits[0].waiter
    line = [one.id for one in in_line(world, RULES)]
    ahead = [start for start in decision.starts if line.index(start.waiter.id) < line.index(first.id)]

    late, early = started_at(after(world, decision.starts), first), started_at(after(world, ahead), first)

    if early is not None:
        assert late is not None and late <= early


@given(worlds())
def test_nothing_is_given_twice_or_beyond_what_there_is(world):
    decision = decide(world, RULES)

    given_out = [slot.uuid for start in decision.starts for slot in start.slots]
    free = {slot.uuid for one in world.rooms for slot in one.slots}
    assert len(given_out) == len(set(given_out)) and set(given_out) <= free
    for one in world.rooms:
        assert sum(start.waiter.cpus for start in decision.starts if start.node_id == one.node_id) <= one.cpus + 1e-9
    assert len(decision.starts) + len(decision.waits) == len(world.waiters)


@given(worlds())
def test_backfill_decides_the_same_every_time(world):
    backwards = replace(world, waiters=world.waiters[::-1], holds=world.holds[::-1])

    assert decide(world, RULES) == decide(backwards, RULES)
