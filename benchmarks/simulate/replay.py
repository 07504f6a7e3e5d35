"""Replays a month in virtual time: each event is followed by a round of the policy that the job service runs.

The situation is put together as the service reads it out of its database (`himalia_jobs.situation`), and the decision is
carried out as the service writes it (`himalia_jobs.turn`): who starts gets these very GPUs, who gives way is warned,
stopped after the warning, and stands in line again at its old place.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from himalia_gpus.request import parse_request
from himalia_jobs.history import LOOKED_AT, lengths_of
from himalia_jobs.policy import (
    Decision,
    GiveWay,
    Hold,
    Lengths,
    Situation,
    Start,
    Wait,
    Waiter,
    afterwards,
    decide,
    estimate,
)

from .machines import CPUS, MEMORY, Machines
from .plans import Plan
from .record import Ask, Course
from .usage import Usage
from .workload import DAY, NOTEBOOK_PATIENCE, Job, Month, Visit

BEGIN = datetime(2030, 4, 1, tzinfo=UTC)  #: a Monday
START_SECONDS = 1.0  #: from the decision until the first line runs
END_SECONDS = 2.0  #: from the last line until the GPU is seen to be free and given out again
SAVE_SECONDS = 10.0  #: of the grace that a job which gives way takes
CHECKPOINT_SECONDS = 1800.0  #: such a job goes on from its last checkpoint
TICK_SECONDS = 900.0  #: between two rounds in which nothing but the clock has changed
LEARN_SECONDS = 60.0
TOLD_EACH = 5  #: of the rounds with somebody new in line, one in so many is estimated: that takes longer than the round
ALL = "everybody"
REQUESTS = {gpus: parse_request(str(gpus)) for gpus in (1, 2, 4, 8)}


class Replay:
    """One month under one plan."""

    def __init__(self, month: Month, plan: Plan, *, days: float, estimates: bool = True) -> None:
        self.plan = plan
        self.rules = plan.rules
        self.estimates = estimates
        self.now = 0.0
        self.machines = Machines(month.gpus)
        self.course = Course(gpus=month.gpus, seconds=days * DAY)
        self.waiters: dict[str, Waiter] = {}
        self.holds: dict[str, Hold] = {}
        self.began: dict[str, float] = {}  #: when each holder started
        self.served: dict[str, float] = {}  #: when each person had something started last
        self.last_starts: dict[tuple[str, bool], datetime] = {}
        self.usage = Usage(self.rules.queue.half_life)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._ran: deque[tuple[str, str, str, float]] = deque(maxlen=LOOKED_AT)
        self._lengths: Lengths = {}
        self._learned = -LEARN_SECONDS
        self._told: set[str] = set()
        self._rounds_with_new = 0
        self._waiting_of: Counter[str] = Counter()  #: how much each person has in line, but for preemptible jobs
        self._held_of: Counter[str] = Counter()  #: and how many GPUs they hold
        self._ticking = False
        self._first: tuple[str, float] = ("", 0.0)
        for job in month.jobs:
            self._at(job.at, partial(self._send, job))
        for visit in month.visits:
            self._at(visit.at, partial(self._visit, visit, 0))

    def run(self) -> Course:
        """Replay until all is done."""
        while self._events:
            self._note_shares(self._events[0][0] - self.now)
            self.now = self._events[0][0]
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()
            self._round()
        if self.waiters or self.holds or self.machines.free() != self.machines.gpus:
            raise RuntimeError(
                f"{len(self.waiters)} still wait and {len(self.holds)} hold something when nothing happens any more"
            )
        return self.course

    def _at(self, at: float, what: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (at, self._number, what))

    # Who comes, and who goes

    def _send(self, job: Job) -> None:
        preemptible = job.preemptible and self.plan.gives_way
        ask = Ask(id=job.id, user=job.user, gpus=job.gpus, came=self.now, wanted=job, preemptible=job.preemptible)
        ask.left = job.runs
        self._wait(ask, preemptible=preemptible, limit=job.limit_seconds, project=job.project)
        if job.withdrawn_after is not None:
            self._at(self.now + job.withdrawn_after, partial(self._withdraw, ask))

    def _visit(self, visit: Visit, stretch: int) -> None:
        ask = Ask(id=f"{visit.id}.{stretch}", user=visit.user, gpus=1, came=self.now, wanted=visit)
        self._wait(ask)
        self._at(self.now + NOTEBOOK_PATIENCE, partial(self._withdraw, ask))

    def _wait(self, ask: Ask, *, preemptible: bool = False, limit: float | None = None, project: str = "") -> None:
        self.course.asks[ask.id] = ask
        self._waiting_of[ask.user] += not preemptible
        self.waiters[ask.id] = Waiter(
            id=ask.id,
            kind="job" if ask.is_job else "server",
            user_id=ALL if self.plan.one_line else ask.user,
            user=ask.user,
            since=_moment(ask.came),
            cpus=CPUS * ask.gpus,
            memory_bytes=MEMORY * ask.gpus,
            gpus=REQUESTS[ask.gpus],
            profile=f"gpu-{ask.gpus}" if ask.is_job else "notebook",
            project_id=project,
            limit_seconds=limit,
            preemptible=preemptible,
        )

    def _withdraw(self, ask: Ask) -> None:
        if ask.started is None and (waiter := self.waiters.pop(ask.id, None)):
            ask.withdrawn = self.now
            self._waiting_of[ask.user] -= not waiter.preemptible

    def _end(self, ask: Ask, began: float, *, stopped: bool = False) -> None:
        """Give back what somebody holds; a job that gave way stands in line again."""
        if self.began.get(ask.id) != began:
            return  # it has ended before, or gave way
        hold = self.holds.pop(ask.id)
        del self.began[ask.id]
        self.machines.give_back(hold.node_id, hold.slots)
        self.course.taken.append((self.now, -ask.gpus))
        self._held_of[ask.user] -= ask.gpus
        self.usage.end(hold.user_id, ask.gpus, began, self.now)
        ask.held += self.now - began
        self._ran.appendleft((hold.kind, hold.project_id or hold.user_id, hold.profile, self.now - began))
        if not isinstance(ask.wanted, Job):
            ask.ended = self.now
            return
        ran = min(max(self.now - began - START_SECONDS - SAVE_SECONDS, 0.0), ask.left) if stopped else ask.left
        if ran < ask.left:
            kept = ran - ran % CHECKPOINT_SECONDS
            ask.given_way += 1
            ask.repeated += ran - kept
            ask.used += kept
            ask.left -= kept
            self._wait(ask, preemptible=True, limit=ask.wanted.limit_seconds, project=ask.wanted.project)
            return
        ask.used += ran
        ask.left -= ran
        ask.ended = self.now

    # The round

    def _round(self) -> None:
        if not self.waiters:
            self._first = ("", 0.0)
            return
        situation = self._situation()
        begun = time.perf_counter()
        decision = decide(situation, self.rules)
        self.course.rounds_seconds += time.perf_counter() - begun
        self.course.rounds += 1
        self.course.most_waiting = max(self.course.most_waiting, len(self.waiters))
        starts = _before_all_others(decision) if self.plan.strict else decision.starts
        for start in starts:
            self._start(start)
        self._warn(decision.gives_way)
        self._note_first(decision.waits)
        self._tell(situation, decision)
        if self.waiters and not self._ticking:
            self._ticking = True
            self._at(self.now + TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        if not self._events and not self.holds:
            raise RuntimeError(f"{len(self.waiters)} wait for ever")

    def _situation(self) -> Situation:
        now = _moment(self.now)
        recent = now - timedelta(seconds=self.rules.queue.patience)
        return Situation(
            now=now,
            rooms=self.machines.rooms(),
            waiters=tuple(self.waiters.values()),
            holds=tuple(self.holds.values()),
            usage=self.usage.hours(self.now) if self.rules.queue.fair_share == "usage" else {},
            last_starts={key: moment for key, moment in self.last_starts.items() if moment > recent},
        )

    def _start(self, start: Start) -> None:
        waiter = self.waiters[start.waiter.id]
        ask = self.course.asks[waiter.id]
        self._note_without(waiter)
        del self.waiters[waiter.id]
        self.machines.take(start.node_id, start.slots)
        self.course.taken.append((self.now, ask.gpus))
        self._held_of[ask.user] += ask.gpus
        self._waiting_of[ask.user] -= not waiter.preemptible
        now = _moment(self.now)
        self.last_starts[waiter.user_id, True] = now
        self.served[waiter.user] = self.began[ask.id] = self.now
        if ask.started is None:
            ask.started = self.now
        lasts = self._lasts(ask)
        limit = waiter.limit_seconds
        self.holds[ask.id] = Hold(
            lease_id=ask.id,
            kind=waiter.kind,
            user_id=waiter.user_id,
            user=waiter.user,
            node_id=start.node_id,
            cpus=waiter.cpus,
            memory_bytes=waiter.memory_bytes,
            since=now,
            slots=start.slots,
            job_id=waiter.id if waiter.kind == "job" else "",
            profile=waiter.profile,
            project_id=waiter.project_id,
            ends_at=None if limit is None else now + timedelta(seconds=limit + self.rules.ending_seconds),
            preemptible=waiter.preemptible,
        )
        self.usage.start(waiter.user_id, ask.gpus, self.now)
        self._at(self.now + lasts, partial(self._end, ask, self.now))

    def _lasts(self, ask: Ask) -> float:
        """Return how long somebody who starts now holds the GPUs; an idle notebook is stopped where the plan says so."""
        if isinstance(ask.wanted, Job):
            return START_SECONDS + ask.left + END_SECONDS
        first = int(ask.id.rpartition(".")[2])
        lasts, limit = START_SECONDS, self.plan.idle_limit
        for number, (work, pause) in enumerate(ask.wanted.stretches[first:], start=first + 1):
            lasts += work
            ask.used += work
            if limit is not None and pause > limit:
                if number < len(ask.wanted.stretches):
                    self._at(self.now + lasts + pause, partial(self._visit, ask.wanted, number))
                lasts += limit
                break
            lasts += pause
        return lasts + END_SECONDS

    # Giving way

    def _warn(self, gives_way: tuple[GiveWay, ...]) -> None:
        needed = {one.hold.lease_id for one in gives_way}
        for lease_id, hold in list(self.holds.items()):
            if hold.preemptible and not hold.stopping and hold.warned is not (lease_id in needed):
                self.holds[lease_id] = replace(hold, warned=not hold.warned)
                if not hold.warned:
                    stop = self.now + self.rules.queue.preempt_warning
                    self._at(stop, partial(self._stop, lease_id, self.began[lease_id]))

    def _stop(self, lease_id: str, began: float) -> None:
        hold = self.holds.get(lease_id)
        if hold is not None and hold.warned and not hold.stopping and self.began[lease_id] == began:
            soon = _moment(self.now + self.rules.ending_seconds)
            self.holds[lease_id] = replace(hold, stopping=True, ends_at=soon)
            self._at(self.now + SAVE_SECONDS, partial(self._end, self.course.asks[lease_id], began, stopped=True))

    # What is watched

    def _tell(self, situation: Situation, decision: Decision) -> None:
        """Keep the first place that each is told, and of some the first estimate."""
        new = {wait.waiter.id: wait.position for wait in decision.waits if wait.waiter.id not in self._told}
        self._told |= new.keys()
        for waiter_id, position in new.items():
            self.course.asks[waiter_id].position = position
        self._rounds_with_new += bool(new)
        if not new or not self.estimates or self._rounds_with_new % TOLD_EACH:
            return
        if self.now - self._learned >= LEARN_SECONDS:
            self._lengths, self._learned = lengths_of(self._ran), self.now
        left = afterwards(situation, decision, self.rules)
        for waiter_id, expected in estimate(left, decision.waits, self._lengths, self.rules).items():
            if waiter_id in new:
                ask = self.course.asks[waiter_id]
                ask.told_at, ask.sure = self.now, expected.sure
                ask.told = (expected.at - BEGIN).total_seconds()

    def _note_shares(self, seconds: float) -> None:
        """Keep how many GPUs each person had while they waited for more."""
        for user, count in self._waiting_of.items():
            if count:
                self.course.waiting[user] += seconds
                self.course.had_waiting[user] += seconds * self._held_of[user]

    def _note_without(self, waiter: Waiter) -> None:
        """Keep the longest time that a person waited while nothing of theirs was started."""
        if waiter.preemptible:
            return
        asks, user = self.course.asks, waiter.user
        came = min(asks[one.id].came for one in self.waiters.values() if one.user == user and not one.preemptible)
        without = self.now - max(came, self.served.get(user, 0.0))
        self.course.longest_without = max(self.course.longest_without, without)

    def _note_first(self, waits: tuple[Wait, ...]) -> None:
        """Keep the longest time that one and the same was first in line."""
        first = waits[0].waiter.id if waits else ""
        if first != self._first[0]:
            self._first = (first, self.now)
        elif first:
            self.course.longest_first = max(self.course.longest_first, self.now - self._first[1])


def replay(month: Month, plan: Plan, *, days: float, estimates: bool = True) -> Course:
    """Return how a month goes under a plan."""
    return Replay(month, plan, days=days, estimates=estimates).run()


def _before_all_others(decision: Decision) -> tuple[Start, ...]:
    """Return the starts of those who came before everybody that waits."""
    first = min(((wait.waiter.since, wait.waiter.id) for wait in decision.waits), default=None)
    return tuple(start for start in decision.starts if first is None or (start.waiter.since, start.waiter.id) < first)


def _moment(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)
