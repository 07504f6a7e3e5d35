"""The simulation: what it draws is what the trace says, nothing is lost in it, and the policy keeps its promises there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import fmean, median

import pytest
from simulate import scenes, trace
from simulate.figures import figures, jain
from simulate.ideal import ideal
from simulate.machines import Machines
from simulate.plans import FIFO, FIFO_BACKFILL, PLANS, TURNS, TURNS_BACKFILL
from simulate.replay import END_SECONDS, START_SECONDS, replay
from simulate.usage import Usage
from simulate.workload import DAY, HOUR, LONGEST_RUN, Job, Month, month

from himalia_jobs.history import decayed_seconds

DAYS = 2.0
LOAD = 0.95


def world(gpus=16, seed=1):
    return month(gpus, LOAD, seed, DAYS)


def test_run_lengths_are_those_of_the_trace():
    drawn = [trace.run_seconds((number + 0.5) / 20_000) for number in range(20_000)]

    assert median(drawn) == pytest.approx(trace.MEDIAN_RUN_SECONDS, rel=0.01)
    assert fmean(drawn) == pytest.approx(trace.MEAN_RUN_SECONDS, rel=0.06)
    assert drawn == sorted(drawn)


def test_gpu_counts_have_the_part_of_the_work_that_they_have_in_the_trace():
    longer = trace.longer_by_gpus()
    work = {gpus: gpus * longer[gpus] * trace.JOBS_BY_GPUS[gpus] for gpus in longer}
    parts = {gpus: work[gpus] / sum(work.values()) for gpus in work}
    whole = sum(trace.TIME_BY_GPUS.values())

    assert parts == pytest.approx({gpus: time / whole for gpus, time in trace.TIME_BY_GPUS.items()})


@pytest.mark.parametrize("people", [4, 24, 96])
def test_people_are_as_unequal_as_in_the_trace(people):
    parts = trace.activity(people)

    assert sum(parts) == pytest.approx(1)
    assert all(more >= less - 1e-9 for more, less in zip(parts, parts[1:], strict=False))
    assert sum(parts[: people // 4]) > 0.7


def test_a_month_is_the_same_for_the_same_seed_and_another_for_another():
    assert world() == world()
    assert world() != world(seed=2)
    assert world().asked_hours == pytest.approx(16 * DAYS * 24 * LOAD, rel=0.03)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_nothing_is_lost_and_all_work_is_done_under_every_plan(plan):
    """No GPU is given out twice either: the machines of the simulation refuse that."""
    drawn = world()

    course = replay(drawn, plan, days=DAYS)

    jobs = [ask for ask in course.asks.values() if ask.is_job]
    assert {ask.id for ask in jobs} == {job.id for job in drawn.jobs}
    assert all((ask.ended is None) is (ask.withdrawn is not None) for ask in course.asks.values())
    done = [ask for ask in jobs if ask.ended is not None]
    assert [ask.used for ask in done] == pytest.approx([ask.wanted.runs for ask in done])
    held = sum(ask.held * ask.gpus for ask in course.asks.values())
    assert held == pytest.approx(sum(-at * change for at, change in course.taken))
    assert all(ask.held >= ask.used + START_SECONDS + END_SECONDS - 1e-3 for ask in done)


@pytest.mark.parametrize("plan", [TURNS, TURNS_BACKFILL], ids=lambda plan: plan.name)
def test_nobody_waits_beyond_patience_and_the_longest_that_runs(plan):
    course = replay(world(), plan, days=DAYS, estimates=False)

    bound = plan.rules.queue.patience + LONGEST_RUN + plan.rules.ending_seconds
    assert 0 < course.longest_without <= bound


def test_the_same_month_goes_the_same_way_again():
    def told(course):
        return {ask.id: (ask.started, ask.ended, ask.position, ask.told) for ask in course.asks.values()}

    assert told(replay(world(), TURNS, days=DAYS)) == told(replay(world(), TURNS, days=DAYS))


def test_first_come_first_served_lets_nobody_pass():
    course = replay(world(8), FIFO, days=DAYS, estimates=False)

    started = sorted(
        (ask for ask in course.asks.values() if ask.started is not None), key=lambda ask: (ask.came, ask.id)
    )
    assert [ask.started for ask in started] == sorted(ask.started for ask in started)


def test_the_bound_is_never_passed_but_for_starting_and_ending():
    drawn = world(seed=3)
    drawn = Month(gpus=16, load=LOAD, jobs=tuple(_lasting(job) for job in drawn.jobs), visits=())

    bound = ideal(drawn, days=DAYS, idle_limit=None).busy
    for plan in (FIFO, FIFO_BACKFILL, TURNS):
        course = replay(drawn, plan, days=DAYS, estimates=False)
        overhead = len(drawn.jobs) * (START_SECONDS + END_SECONDS) * 8 / (16 * DAYS * DAY)
        assert course.busy(0, DAYS * DAY) <= bound + overhead


def _lasting(job: Job) -> Job:
    return Job(**{**vars(job), "withdrawn_after": None, "preemptible": False})


def test_one_persons_first_job_stands_before_another_persons_second():
    found = scenes.one_behind(40)

    assert found[TURNS.name]["position"] == 1
    assert found[TURNS.name]["wait_minutes"] < 60 < found[FIFO.name]["wait_minutes"]


def test_one_who_asks_for_all_gpus_starts_when_what_runs_has_reached_its_limit():
    found = scenes.eight_behind_one(100)

    for plan in (TURNS, TURNS_BACKFILL):
        assert found[plan.name]["wait_minutes"] <= found[plan.name]["limit_minutes"] + 1.5


def test_usage_is_what_the_service_would_count():
    usage, half_life = Usage(DAY), DAY
    usage.start("ada", 2, 0.0)
    usage.start("bob", 1, HOUR)
    usage.end("ada", 2, 0.0, 3 * HOUR)

    now = 30 * HOUR
    found = usage.hours(now)

    at = _moments(0, 1, 3, 30)
    assert found["ada"] == pytest.approx(2 * decayed_seconds(at[0], at[2], at[3], half_life) / 3600)
    assert found["bob"] == pytest.approx(decayed_seconds(at[1], at[3], at[3], half_life) / 3600)


def _moments(*hours):
    return [datetime(2030, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in hours]


def test_a_gpu_is_neither_given_out_nor_taken_back_twice():
    machines = Machines(8)
    slot = machines.rooms()[0].slots[0]
    machines.take("n00", [slot])

    with pytest.raises(KeyError):
        machines.take("n00", [slot])
    machines.give_back("n00", [slot])
    with pytest.raises(RuntimeError):
        machines.give_back("n00", [slot])


def test_figures_tell_each_class_and_everybody():
    found = figures(replay(world(), TURNS, days=DAYS))

    assert sum(kind["count"] for kind in found["waits"].values()) > 100
    assert 0 < found["use"] <= 1
    assert set(found["estimates"]) <= {"at_latest", "likely", "guess"}
    assert jain([1, 1, 1, 1]) == 1
    assert jain([4, 0, 0, 0]) == 0.25
