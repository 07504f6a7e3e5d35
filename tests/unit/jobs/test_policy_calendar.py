"""Dated reservations and maintenance: nothing starts that would run into them, and everybody reads why."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from queue_world import NOW, hold, names, reasons, room, situation, slots, waiter

from himalia.queueing import Maintenance, Reservation
from himalia_jobs.policy import Reader, Rules, decide, sentence

HOUR = 3600.0


def between(start: float, end: float) -> dict:
    """Return hours from now."""
    return {"start": NOW + timedelta(hours=start), "end": NOW + timedelta(hours=end)}


def reserved(gpus: str = "2", start: float = 2, end: float = 50, teams=("nlp",)) -> Rules:
    return Rules(reservations=(Reservation(gpus=gpus, teams=teams, name="paper", **between(start, end)),))


def closed(start: float = 2, end: float = 4) -> Rules:
    return Rules(maintenance=(Maintenance(text="New driver", **between(start, end)),))


def test_nothing_starts_that_would_run_into_maintenance():
    asked = [
        waiter("j01", limit_seconds=3 * HOUR),
        waiter("j02", limit_seconds=HOUR),
        waiter("s03", kind="server", limit_seconds=None),
    ]

    decision = decide(situation(asked, [room()]), closed())

    assert names(decision.starts) == ["j02"]
    assert reasons(decision) == {"j01": "waits_for_maintenance", "s03": "waits_for_maintenance"}
    assert sentence(decision.waits[0], Reader(), NOW) == (
        "1st in line. New driver from 2030-01-01T14:00Z to 2030-01-01T16:00Z: with its time limit of 3 h it would run "
        "into it. It starts afterwards, or now with a time limit of 1 h 58 min at most."
    )


def test_during_maintenance_nothing_starts_and_after_it_all_do():
    during, after = closed(-1, 1), closed(-3, -1)

    assert decide(situation([waiter("j01", limit_seconds=10.0)], [room()]), during).starts == ()
    assert names(decide(situation([waiter("j01")], [room()]), after).starts) == ["j01"]


def test_reserved_gpus_are_for_those_whose_they_are():
    asked = [
        waiter("a01", gpus="1", limit_seconds=9 * HOUR),
        waiter("b02", user="bob", gpus="1", limit_seconds=9 * HOUR),
        waiter("c03", user="cai", gpus="1", limit_seconds=9 * HOUR, teams=["nlp"]),
        waiter("d04", user="dot", gpus="1", limit_seconds=HOUR),
    ]

    decision = decide(situation(asked, [room(gpus=4)]), reserved("3"))

    assert names(decision.starts) == ["a01", "c03", "d04"]
    assert reasons(decision) == {"b02": "waits_for_reservation"}


def test_a_reservation_is_told_with_names_to_those_who_may_see_the_waiter():
    wait = decide(situation([waiter("a01", gpus="1", limit_seconds=9 * HOUR)], [room(gpus=2)]), reserved()).waits[0]

    own, strangers = sentence(wait, Reader(user_id="ada"), NOW), sentence(wait, Reader(user_id="eve"), NOW)

    assert own == (
        "1st in line. GPUs that it could use are kept: 2 reserved (paper) from 2030-01-01T14:00Z to 2030-01-03T14:00Z "
        "for the team nlp. With its time limit of 9 h it would run into that."
    )
    assert "nlp" not in strangers and "2 reserved from 2030" in strangers


def test_a_reservation_over_running_work_takes_what_is_free_first_and_then_what_ends_first():
    busy = slots(4)
    holds = [hold("long", [busy[0]], ends_in=99 * HOUR), hold("short", [busy[1]], ends_in=HOUR)]
    asked = [waiter(f"j{n:02}", user=f"u{n}", gpus="1", limit_seconds=9 * HOUR) for n in range(2)]
    machine = room(gpus=4)
    free = type(machine)(node_id="local", cpus=8, memory_bytes=2**40, slots=busy[2:])

    assert names(decide(situation(asked, [free], holds), reserved("2")).starts) == []
    assert names(decide(situation(asked, [free], holds), reserved("1")).starts) == ["j00"]


def test_what_its_own_people_hold_counts_for_the_reservation():
    holds = [hold("cai", slots(2), teams=["nlp"], ends_in=99 * HOUR)]
    free = type(room())(node_id="local", cpus=8, memory_bytes=2**40, slots=slots(4)[2:])
    asked = [waiter(f"j{n:02}", user=f"u{n}", gpus="1", limit_seconds=9 * HOUR) for n in range(2)]

    assert len(decide(situation(asked, [free], holds), reserved("2", start=-1)).starts) == 2


def test_who_has_a_reservation_uses_it_before_what_is_for_all():
    asked = [waiter("c01", user="cai", gpus="1", teams=["nlp"]), waiter("a02", gpus="1", limit_seconds=99 * HOUR)]

    decision = decide(situation(asked, [room(gpus=2)]), reserved("1", start=-1))

    assert names(decision.starts) == ["c01", "a02"]


@pytest.mark.parametrize(
    "table",
    [
        {"start": "2030-01-01T10:00:00", "end": "2030-01-02T10:00:00+01:00", "teams": ["nlp"]},
        {"start": "2030-01-02T10:00:00Z", "end": "2030-01-01T10:00:00Z", "teams": ["nlp"]},
        {"start": "2030-01-01T10:00:00Z", "end": "2030-01-02T10:00:00Z"},
    ],
)
def test_a_reservation_has_a_zone_a_direction_and_an_owner(table):
    with pytest.raises(ValidationError):
        Reservation.model_validate(table)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12), st.booleans()), max_size=12),
    st.integers(0, 4),
    st.integers(1, 10),
    st.integers(1, 10),
)
def test_nothing_crosses_and_what_is_reserved_is_there(found, kept, reservation_in, maintenance_in):
    asked = [
        waiter(f"j{n:02}", user=f"u{n}", gpus=str(count), limit_seconds=hours * HOUR, teams=["nlp"] if member else [])
        for n, (count, hours, member) in enumerate(found)
    ]
    plan = Reservation(gpus=str(kept), teams=("nlp",), **between(reservation_in, 99))
    window = Maintenance(**between(maintenance_in, 99))
    rules = Rules(reservations=(plan,), maintenance=(window,))

    decision = decide(situation(asked, [room(cpus=99, gpus=5)]), rules)

    crossing = 0
    for start in decision.starts:
        ends = NOW + timedelta(seconds=start.waiter.limit_seconds + rules.ending_seconds)
        assert ends <= window.start
        crossing += len(start.slots) if ends > plan.start and not start.waiter.teams else 0
    assert crossing <= 5 - kept
    assert len(decision.starts) + len(decision.waits) == len(asked)
