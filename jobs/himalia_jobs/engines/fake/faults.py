"""What can happen to the messages between a service and a machine in memory: from a seed, or from a plan."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """What can happen to a message."""

    REFUSED = "refused"  #: not sent: nothing was done
    LOST = "lost"  #: sent and never arrived
    UNANSWERED = "unanswered"  #: took effect, but the answer was lost
    DELAYED = "delayed"  #: takes effect some time later
    DOUBLED = "doubled"  #: takes effect now, and once more later


#: Messages that change something may also come late or twice; the answer to a question that comes late is no answer.
OF_QUESTIONS = (Fault.REFUSED, Fault.LOST)


@dataclass(kw_only=True)
class Faults:
    """Which messages go wrong: the `plan` first (by method, one fault a call), then chance from the seed."""

    seed: int = 0
    chance: float = 0.0  #: that a message goes wrong
    hints_lost: float = 0.0  #: that an event is not told
    plan: defaultdict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def of(self, method: str, *, question: bool) -> Fault | None:
        """Return what happens to this message."""
        if self.plan[method]:
            return self.plan[method].pop(0)
        if self.random.random() >= self.chance:
            return None
        return self.random.choice(OF_QUESTIONS if question else tuple(Fault))
