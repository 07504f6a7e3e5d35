"""How often it is looked at what jobs write: seldom as a rule, often while one writes towards its limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from himalia.units import GiB, MiB
from himalia_jobs.disk.pace import LONGEST_SECONDS, NEW_SECONDS, SHORTEST_SECONDS, Pace
from himalia_jobs.engines.disk import DiskLimit, DiskPlace, DiskUse


def use(size_bytes: int, name: str = "abc.1", files: int = 0) -> DiskUse:
    """Return what an attempt takes of 10 GB and 1,000 files."""
    limit = DiskLimit(size_bytes=10 * GiB, files=1000)
    return DiskUse(place=DiskPlace(kind="attempt", name=name, limit=limit), used_bytes=size_bytes, files=files)


def pauses(*looks: tuple[float, list[DiskUse]]) -> list[float]:
    """Return the pauses after some looks at these moments."""
    pace = Pace()
    return [pace.pause(uses, now) for now, uses in looks]


def test_where_nobody_writes_it_is_looked_at_every_two_seconds():
    assert pauses((0, []), (2, [use(0)]), (4, [use(0)])) == [LONGEST_SECONDS, NEW_SECONDS, LONGEST_SECONDS]


@pytest.mark.parametrize(
    ("written", "pause"),
    [
        (use(1 * GiB), LONGEST_SECONDS),
        (use(8 * GiB), SHORTEST_SECONDS),
        (use(5 * GiB), 0.5),
        (use(0, files=500), 0.5),
        (use(11 * GiB), SHORTEST_SECONDS),
        (use(10 * GiB), SHORTEST_SECONDS),
    ],
)
def test_who_would_reach_a_limit_soon_is_looked_at_after_half_that_time(written, pause):
    (_, told) = pauses((0, [use(0)]), (1, [written]))

    assert told == pytest.approx(pause)


def test_the_fastest_of_many_decides_and_who_deletes_is_no_writer():
    (_, told) = pauses((0, [use(GiB), use(0, "b"), use(0, "c")]), (1, [use(0), use(5 * GiB, "b"), use(1, "c")]))

    assert told == pytest.approx(0.5)


def test_a_count_that_was_not_done_again_says_nothing_of_the_pace():
    counted = use(5 * GiB)

    assert pauses((0, [use(0)]), (1, [counted]), (1.5, [counted]))[1:] == [pytest.approx(0.5)] * 2


@given(st.lists(st.tuples(st.floats(0.01, 5), st.integers(0, 20 * GiB)), max_size=20))
def test_whatever_is_written_the_pause_keeps_its_bounds(steps):
    pace, now = Pace(), 0.0
    for seconds, size in steps:
        now += seconds
        assert SHORTEST_SECONDS <= pace.pause([use(size)], now) <= LONGEST_SECONDS


@given(st.integers(1, 2000))
def test_a_steady_writer_is_seen_before_a_fifth_of_a_second_past_its_limit(speed_mb):
    pace, now, speed = Pace(), 0.0, speed_mb * MiB
    while (taken := int(speed * now)) <= 10 * GiB:
        now += pace.pause([use(taken)], now)

    assert taken <= 10 * GiB + speed * max(SHORTEST_SECONDS, NEW_SECONDS) + 1
