"""Two situations that people fear, played through: somebody with a thousand jobs, and one who needs the whole machine."""

from __future__ import annotations

import random
from typing import Any

from .plans import FIFO, TURNS, TURNS_BACKFILL, Plan
from .replay import replay
from .workload import DAY, HOUR, Job, Month

MINUTE = 60.0
ALONE_PLANS = (FIFO, TURNS, TURNS_BACKFILL)
LONGEST = 4 * HOUR  #: the time limit of the singles that a large request stands behind


def play() -> dict[str, Any]:
    """Play all scenes; what became of the one in question under each plan, by the name of the scene."""
    return {
        "one job behind another person's 1,000": one_behind(),
        "8 GPUs of 8 behind a stream of single jobs": eight_behind_singles(),
        "8 GPUs of 8 behind one person's 1,000 single jobs": eight_behind_one(),
    }


def one_behind(count: int = 1000) -> dict[str, Any]:
    """Play: alice sends 1,000 jobs of an hour to 8 GPUs, half an hour later bob sends his first."""
    jobs = [_job(f"a{number:04}", "alice", number * 0.05, 1, HOUR) for number in range(count)]
    bobs = _job("b0000", "bob", HOUR / 2, 1, HOUR)
    return {plan.name: _fate(jobs, bobs, plan) for plan in ALONE_PLANS}


def eight_behind_singles(seed: int = 1) -> dict[str, Any]:
    """Play: eleven people keep 8 GPUs busy with more single jobs than fit; after six hours one asks for all eight."""
    chance = random.Random(f"singles {seed}")
    jobs, at = [], 0.0
    while at < 3 * DAY:
        seconds = chance.uniform(10 * MINUTE, LONGEST)
        jobs.append(_job(f"s{len(jobs):05}", f"u{chance.randrange(11):02}", at, 1, seconds, limit=LONGEST))
        at += chance.expovariate(1.2 * 8 / ((10 * MINUTE + LONGEST) / 2))
    whole = _job("w0000", "whole", 6 * HOUR, 8, HOUR)
    return {plan.name: _fate(jobs, whole, plan) for plan in ALONE_PLANS}


def eight_behind_one(count: int = 1000) -> dict[str, Any]:
    """Play: alice has 1,000 jobs of up to an hour in line for 8 GPUs; after six hours somebody asks for all eight."""
    chance = random.Random("one")
    jobs = [_job(f"a{number:04}", "alice", number * 0.05, 1, HOUR * chance.uniform(0.5, 1)) for number in range(count)]
    whole = _job("w0000", "whole", 6 * HOUR, 8, HOUR)
    return {plan.name: _fate(jobs, whole, plan) for plan in ALONE_PLANS}


def _fate(jobs: list[Job], one: Job, plan: Plan) -> dict[str, float]:
    ordered = tuple(sorted([*jobs, one], key=lambda job: job.at))
    course = replay(Month(gpus=8, load=0.0, jobs=ordered, visits=()), plan, days=30)
    ask = course.asks[one.id]
    told = None if ask.told is None else (ask.told - ask.came) / MINUTE
    busy = course.busy(ask.came, ask.started or ask.came)
    return {
        "busy": busy,
        "limit_minutes": max(job.limit_seconds for job in jobs) / MINUTE,
        "position": ask.position or 0,
        "wait_minutes": ask.waited / MINUTE,
        "told_minutes": told or 0.0,
    }


def _job(name: str, user: str, at: float, gpus: int, seconds: float, limit: float | None = None) -> Job:
    limit = limit or 2 * seconds
    return Job(id=name, user=user, at=at, gpus=gpus, seconds=seconds, limit_seconds=limit, project=f"{user}-0")
