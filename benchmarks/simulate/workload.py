"""A month of work, drawn with a seed: who asks for how many GPUs, when, and how long it would run.

A job: one thing that is asked for. A batch: jobs that somebody sends together, alike. A visit: a notebook from the
moment it is wanted until its owner is done with it, as stretches of work with breaks between them.
What no trace says is said here, in capitals.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist

from .trace import JOBS_BY_GPUS, JOBS_BY_HOUR, JOBS_BY_WEEKDAY, activity, longer_by_gpus, run_seconds

HOUR, DAY = 3600.0, 86_400.0
DAYS = 30
PEOPLE_PER_GPU = 1.5  #: on 8 GPUs 12 people, on 64 there are 96
NOTEBOOKS_SHARE = 0.25  #: of the GPU hours asked for, when idle notebooks keep theirs
LONGEST_RUN = 3 * DAY  #: a profile's `max_time_limit`
BATCH = 3.0  #: jobs that are sent together, on average
PROJECTS_EACH = 3
LIKE_PROJECT, LIKE_BATCH = 0.35, 0.45  #: how much of a run length (its variance) is that of the project, of the batch
PREEMPTIBLE = 0.15  #: of the batches of single GPUs
LIMITS = tuple(HOUR * hours for hours in (0.5, 1, 2, 4, 8, 12, 24, 48, 72))  #: time limits that people name
DEFAULT_LIMIT = 24 * HOUR  #: the profile's
LEAVE_DEFAULT = 0.4  #: of the batches, where the profile's limit is enough
WITHDRAWN, WITHDRAWN_AFTER = 0.05, 12 * HOUR  #: of the jobs, so long after they came (on average) if they still wait
NOTEBOOK_PATIENCE = 4 * HOUR  #: who still waits for a notebook then goes home
STRETCHES = 3.0  #: of work in a visit, on average
STRETCH, STRETCH_SPREAD = 45 * 60.0, 0.7  #: median and spread of a log-normal length
BREAK, BREAK_SPREAD = 20 * 60.0, 1.1
FORGOTTEN, FORGOTTEN_FOR = (
    0.4,
    14 * HOUR,
)  #: of the visits, how long the notebook stays when nobody comes back (on average)
NORMAL = NormalDist()
TOO_MUCH = 0.01  #: a last batch that would make the month larger than this is left out
MOST_TRIES = 200_000


@dataclass(frozen=True, kw_only=True)
class Job:
    """A batch job as it is sent."""

    id: str
    user: str
    at: float  #: seconds since the beginning of the month
    gpus: int
    seconds: float  #: it would run so long
    limit_seconds: float
    project: str
    preemptible: bool = False
    withdrawn_after: float | None = None

    @property
    def runs(self) -> float:
        """How long it runs before its end or its limit."""
        return min(self.seconds, self.limit_seconds)


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A notebook with a GPU: stretches of work, each with the break after it; in the last one nobody comes back."""

    id: str
    user: str
    at: float
    stretches: tuple[tuple[float, float], ...]

    @property
    def seconds(self) -> float:
        """How long it holds its GPU when idle ones stay."""
        return sum(work + pause for work, pause in self.stretches)


@dataclass(frozen=True, kw_only=True)
class Month:
    """All that is asked for, in the order of time."""

    gpus: int
    load: float
    jobs: tuple[Job, ...]
    visits: tuple[Visit, ...]

    @property
    def asked_hours(self) -> float:
        """GPU hours that are asked for, idle notebooks included."""
        jobs = sum(job.gpus * job.runs for job in self.jobs)
        return (jobs + sum(visit.seconds for visit in self.visits)) / HOUR


def month(gpus: int, load: float, seed: int, days: float = DAYS) -> Month:
    """Draw a month whose work is `load` of what so many GPUs could do."""
    chance = random.Random(f"{gpus} {seed}")
    people = [f"u{number:02}" for number in range(max(4, round(gpus * PEOPLE_PER_GPU)))]
    calendar = _Calendar(days)
    whole = gpus * days * DAY * load
    jobs = _jobs(chance, people, calendar, whole * (1 - NOTEBOOKS_SHARE), most=4 if gpus <= 8 else 8)
    visits = _visits(chance, people, calendar, whole * NOTEBOOKS_SHARE)
    return Month(gpus=gpus, load=load, jobs=tuple(jobs), visits=tuple(visits))


class _Calendar:
    """When people are at work: by the hour of the day and the day of the week."""

    def __init__(self, days: float) -> None:
        hours = range(round(days * 24))
        weights = [JOBS_BY_HOUR[hour % 24] * JOBS_BY_WEEKDAY[hour // 24 % 7] for hour in hours]
        self._ends = list(accumulate(weights))

    def moment(self, chance: random.Random) -> float:
        hour = bisect_left(self._ends, chance.random() * self._ends[-1])
        return (hour + chance.random()) * HOUR


def _jobs(
    chance: random.Random, people: list[str], calendar: _Calendar, gpu_seconds: float, *, most: int
) -> Iterator[Job]:
    """Draw batches until the work is enough."""
    weights = activity(len(people))
    typical = {(user, number): chance.gauss(0, 1) for user in people for number in range(PROJECTS_EACH)}
    drawn: list[Job] = []
    whole, tries = gpu_seconds, 0
    while gpu_seconds > 0 and tries < MOST_TRIES:
        tries += 1
        user = chance.choices(people, weights)[0]
        number = chance.randrange(PROJECTS_EACH)
        batch = _batch(chance, user, number, typical[user, number], calendar.moment(chance), most)
        work = sum(job.gpus * job.runs for job in batch)
        if work <= gpu_seconds + TOO_MUCH * whole:
            drawn += batch
            gpu_seconds -= work
    for number, job in enumerate(sorted(drawn, key=lambda job: (job.at, job.id))):
        yield Job(**{**vars(job), "id": f"j{number:06}"})


def _batch(chance: random.Random, user: str, project: int, typical: float, at: float, most: int) -> list[Job]:
    gpus = min(chance.choices(list(JOBS_BY_GPUS), list(JOBS_BY_GPUS.values()))[0], most)
    longer = LONGER[gpus]
    size = 1 + int(chance.expovariate(1 / (BATCH - 0.5)))
    alike = chance.gauss(0, 1)
    own = 1 - LIKE_PROJECT - LIKE_BATCH
    lengths = []
    for _ in range(size):
        standing = LIKE_PROJECT**0.5 * typical + LIKE_BATCH**0.5 * alike + own**0.5 * chance.gauss(0, 1)
        lengths.append(min(longer * run_seconds(NORMAL.cdf(standing)), LONGEST_RUN))
    limit = _limit(chance, max(lengths))
    preemptible = gpus == 1 and chance.random() < PREEMPTIBLE
    return [
        Job(
            id=f"{user} {number}",
            user=user,
            at=at + 2.0 * number,
            gpus=gpus,
            seconds=seconds,
            limit_seconds=limit,
            project=f"{user}-{project}",
            preemptible=preemptible,
            withdrawn_after=chance.expovariate(1 / WITHDRAWN_AFTER) if chance.random() < WITHDRAWN else None,
        )
        for number, seconds in enumerate(lengths)
    ]


def _limit(chance: random.Random, longest: float) -> float:
    """Return the limit that somebody names: a round one; the run is a part of it that is as likely small as large."""
    if longest < DEFAULT_LIMIT and chance.random() < LEAVE_DEFAULT:
        return DEFAULT_LIMIT
    wanted = longest / max(chance.random(), 0.02)
    return next((limit for limit in LIMITS if limit >= wanted), LIMITS[-1])


def _visits(chance: random.Random, people: list[str], calendar: _Calendar, gpu_seconds: float) -> list[Visit]:
    """Draw visits until their time is enough; nobody has two notebooks at once."""
    drawn: dict[str, list[Visit]] = {user: [] for user in people}
    left, tries = gpu_seconds, 0
    while left > 0 and tries < MOST_TRIES:
        tries += 1
        user, at = chance.choice(people), calendar.moment(chance)
        stretches = [_stretch(chance) for _ in range(1 + int(chance.expovariate(1 / (STRETCHES - 0.5))))]
        forgotten = chance.expovariate(1 / FORGOTTEN_FOR) if chance.random() < FORGOTTEN else 0.0
        stretches[-1] = (stretches[-1][0], forgotten)
        visit = Visit(id="", user=user, at=at, stretches=tuple(stretches))
        if any(at < other.at + other.seconds and other.at < at + visit.seconds for other in drawn[user]):
            continue
        drawn[user].append(visit)
        left -= visit.seconds
    ordered = sorted((visit for own in drawn.values() for visit in own), key=lambda visit: (visit.at, visit.user))
    return [Visit(**{**vars(visit), "id": f"n{number:06}"}) for number, visit in enumerate(ordered)]


def _stretch(chance: random.Random) -> tuple[float, float]:
    return (
        STRETCH * chance.lognormvariate(0, STRETCH_SPREAD),
        BREAK * chance.lognormvariate(0, BREAK_SPREAD),
    )


LONGER = longer_by_gpus()
