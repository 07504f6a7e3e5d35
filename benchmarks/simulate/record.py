"""What became of each who asked, and how busy the GPUs were."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from himalia.reasons import Sure

from .workload import Job, Visit


@dataclass(kw_only=True)
class Ask:
    """One wish for GPUs and what became of it; a notebook that was stopped while idle and is wanted again is another one."""

    id: str
    user: str
    gpus: int
    came: float
    wanted: Job | Visit
    preemptible: bool = False
    started: float | None = None  #: the first time
    ended: float | None = None
    withdrawn: float | None = None  #: its owner did not want to wait any longer
    left: float = 0.0  #: seconds that a job still has to run
    given_way: int = 0
    repeated: float = 0.0  #: seconds of work that was lost when it gave way
    used: float = 0.0  #: seconds in which it did something
    held: float = 0.0  #: seconds that it had its GPUs
    position: int | None = None  #: the first place in line that it was told
    told_at: float | None = None  #: when it was first told an estimate …
    told: float | None = None  #: … which one …
    sure: Sure | None = None  #: … and how sure that was

    @property
    def is_job(self) -> bool:
        """Whether it is a job."""
        return isinstance(self.wanted, Job)

    @property
    def waited(self) -> float:
        """How long it waited for its first start, or until its owner went."""
        until = self.started if self.started is not None else self.withdrawn
        if until is None:
            raise RuntimeError(f"{self.id} neither started nor went")
        return until - self.came

    @property
    def kind(self) -> str:
        """The class that it is counted in."""
        if not self.is_job:
            return "notebooks"
        if self.preemptible:
            return "preemptible"
        return "small jobs" if self.gpus <= 2 else "large jobs"


@dataclass(kw_only=True)
class Course:
    """How a month went."""

    gpus: int
    seconds: float  #: of the month; work goes on after it until all is done
    asks: dict[str, Ask] = field(default_factory=dict)
    taken: list[tuple[float, int]] = field(default_factory=list)  #: when GPUs were taken (+) or given back (-)
    longest_without: float = 0.0  #: the longest that a person waited while nothing of theirs was started
    longest_first: float = 0.0  #: the longest that somebody was first in line for want of room
    waiting: Counter[str] = field(default_factory=Counter)  #: seconds that each person had something in line …
    had_waiting: Counter[str] = field(default_factory=Counter)  #: … and the GPU seconds they had meanwhile
    rounds: int = 0
    most_waiting: int = 0
    rounds_seconds: float = 0.0  #: of real time, in the policy

    def busy(self, begin: float, end: float) -> float:
        """Return which part of the GPUs was held between two moments."""
        held, before, area = 0, begin, 0.0
        for at, change in self.taken:
            moment = min(max(at, begin), end)
            area += held * (moment - before)
            held, before = held + change, moment
        area += held * (end - before)
        return area / self.gpus / (end - begin)
