"""A throttle lets so many bytes through each second, however many share it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from himalia_jobs.throttle import Throttle


class Clock:
    """A clock that stands until it is told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@given(
    st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 5)), min_size=1, max_size=30),
    st.integers(100, 1_000_000),
)
def test_never_more_than_the_rate_has_passed_when_those_who_wait_go_on(steps, rate):
    clock = Clock()
    throttle = Throttle(rate, clock)
    taken, free_at = 0, clock.now

    for count, later in steps:
        clock.now += later
        free_at = clock.now + throttle.pause(count)
        taken += count

        assert taken / rate <= free_at - 100.0 + 1e-6
    assert free_at - clock.now <= taken / rate + 1e-6


def test_who_comes_to_an_idle_one_waits_for_their_own_bytes_alone():
    clock = Clock()
    throttle = Throttle(1000, clock)

    assert throttle.pause(500) == pytest.approx(0.5)
    assert throttle.pause(500) == pytest.approx(1.0)
    clock.now += 60
    assert throttle.pause(500) == pytest.approx(0.5)
