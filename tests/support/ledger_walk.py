"""One long random walk through a ledger's history: what can happen happens, in the order of a seed; all must hold after each step."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ledger_history import DEVICES, MODES_WISHED, REQUESTED, LedgerHistory
from ledger_truth import MOST_SEATS, UUIDS

from himalia.states import JobState, LeaseState
from himalia_jobs.engines.fake import Fault
from himalia_jobs.store import jobs

LONG_LINE = 25  #: with so many in line nobody asks for more, as nobody would
INVARIANTS = (
    "no_slot_is_double",
    "no_gpu_is_double_in_the_ledger",
    "a_released_lease_has_no_slots",
    "what_was_told_lasts",
    "what_is_said_is_so",
)


@dataclass
class Walked:
    """What a walk did."""

    steps: int = 0
    seconds: float = 0.0
    given: Counter[str] = field(default_factory=Counter)  #: leases that got something, by what they asked for
    moves: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0  #: holders of seats of one GPU

    def __str__(self) -> str:
        """Return it in words."""
        given = ", ".join(f"{count} x {gpus}" for gpus, count in sorted(self.given.items()))
        changes = self.moves["a_mode_is_set"]
        return (
            f"{self.steps} steps in {self.seconds:.0f} s, {self.moves['die']} kills, {changes} changes of a mode; given out: "
            f"{given}; at most {self.most_at_once} seats of a GPU at once"
        )


class Walk:
    """A ledger, and a seed that decides what happens to it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.history = LedgerHistory()
        self.walked = Walked()
        self._seen: set[str] = set()

    def go(self, steps: int) -> Walked:
        """Take so many steps, check all invariants after each, and see at the end that everything is free again."""
        began = time.monotonic()
        try:
            for _ in range(steps):
                name, arguments = self._next()
                getattr(self.history, name)(**arguments)
                self._check()
                self._count(name)
        finally:
            self.history.teardown()
        self.walked.seconds = time.monotonic() - began
        return self.walked

    def _check(self) -> None:
        for name in INVARIANTS:
            getattr(self.history, name)()

    def _next(self) -> tuple[str, dict[str, Any]]:
        """Return what happens next."""
        pick = self.random.choice
        moves: dict[str, dict[str, Any]] = {
            "submit": {"gpus": pick(REQUESTED), "lasts": pick((True, False))},
            "ask_for_a_server": {"gpus": pick(REQUESTED)},
            "start_a_server": {"pick": self.random.randrange(10**6)},
            "end_something": {"pick": self.random.randrange(10**6), "leaves_memory": self.random.random() < 0.2},
            "turn": {},
            "reconcile": {},
            "time_passes": {"seconds": pick((1, 5, 40, 100))},
            "die": {"at": self.random.randint(1, 6), "what": pick(("turn", "steps", "reconcile"))},
            "message_goes_wrong": {
                "method": pick(("list", "gpu_use", "launch", "stop", "forget")),
                "fault": pick(list(Fault)),
            },
            "ticks": {"times": self.random.randint(1, 3)},
            "end_and_go_on": {"pick": self.random.randrange(10**6), "leaves_memory": self.random.random() < 0.2},
            "on_a_gpu": {
                "what": pick(("foreign", "nobody", "nobody", "rogue", "memory", "memory", "memory", "fault")),
                "uuid": pick(DEVICES),
            },
            "calm": {},
            "to_a_gpu": {"how": pick(("lost", "gone", "back", "back", "back", "moved")), "uuid": pick(DEVICES)},
            "past_the_queue": {
                "what": pick(("cancel", "by hand", "by hand", "stranger", "restart")),
                "uuid": pick(DEVICES),
                "pick": self.random.randrange(10**6),
            },
            "a_mode_is_set": {
                "uuid": pick(UUIDS),
                "mode": pick(MODES_WISHED),
                "seats": self.random.randint(1, MOST_SEATS),
            },
            "an_administrator": {"uuid": pick(UUIDS), "back": pick((True, False))},
        }
        if self._line() > LONG_LINE:
            for name in ("submit", "ask_for_a_server"):
                del moves[name]
        name = pick(list(moves))
        return name, moves[name]

    def _line(self) -> int:
        waiting = len(self.history.db.read_now(lambda db: jobs.in_states(db, [JobState.QUEUED])))
        return waiting + sum(lease.state is LeaseState.WAITING for lease in self.history.live())

    def _count(self, name: str) -> None:
        self.walked.steps += 1
        self.walked.moves[name] += 1
        for lease in self.history.live():
            if lease.state is not LeaseState.WAITING and lease.id not in self._seen:
                self._seen.add(lease.id)
                self.walked.given[lease.gpus] += 1
        seats = Counter(uuid.partition("#")[0] for uuid in self.history.holders() if "#" in uuid)
        self.walked.most_at_once = max([self.walked.most_at_once, *seats.values()])
