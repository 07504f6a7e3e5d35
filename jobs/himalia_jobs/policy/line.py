"""The order of the line: who is first.

In turns among people: a person's first waiter stands before another's second, and what a person holds already counts as
turns they have had. With `fair_share = "usage"` the GPU hours that a person used come in the place of turns, older ones
counting less: a half-life, as Kay and Lauder's fair share scheduler has it (CACM 31(1), 1988) and Slurm after it. A
profile's priority is worth as many turns as it says, and `ageing` makes waiting worth some. Equals stand as they came,
or as something of theirs was started since: who was served meanwhile does not pass one that waits for many GPUs again.

Preemptible jobs stand behind all others, to whom they would have to give way.

Whoever waits and has had nothing started for `patience` stands before all that: that is what bounds every wait.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from himalia_gpus.request import GPURequest

from .benches import weights
from .rules import Rules
from .words import Hold, Situation, Waiter

HOUR_SECONDS = 3600.0
Place = tuple[datetime, str]  #: when it was taken, and by which waiter
Rank = tuple[int, float, datetime, str]


def in_line(situation: Situation, rules: Rules) -> list[Waiter]:
    """Return the waiters in the order of their turns."""
    shares = _shares(situation, rules)
    weigh = weights(situation)
    turns = _had(situation, shares)
    ranked: list[tuple[Rank, Waiter]] = []
    for user_id, waiters in _by_person(situation.waiters).items():
        served: set[bool] = set()  #: whose first has been seen: of those with GPUs, of those without
        for place, waiter in _own_order(waiters, rules):
            kind = waiter.gpus.count > 0
            overdue = None if kind in served else _overdue(situation, rules, place, user_id, with_gpus=kind)
            served.add(kind)
            ranked.append((_rank(situation, rules, waiter, place, turns[user_id], overdue), waiter))
            turns[user_id] += _cost(waiter, rules, shares, weigh)
    ranked.sort(key=lambda entry: entry[0])
    return [waiter for _, waiter in ranked]


def ordinal(number: int) -> str:
    """Return `1st`, `2nd`, `3rd`, `11th` …"""
    last = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{last}"


def _rank(
    situation: Situation, rules: Rules, waiter: Waiter, place: Place, turn: float, overdue: datetime | None
) -> Rank:
    if waiter.preemptible:  # it would only be stopped again
        return 2, turn - rules.priorities.get(waiter.profile, 0), *place
    if overdue is not None:
        return 0, 0.0, overdue, waiter.id
    aged = 0.0
    if rules.queue.ageing:
        aged = (situation.now - place[0]).total_seconds() / rules.queue.ageing
    served = situation.last_starts.get((waiter.user_id, waiter.gpus.count > 0), place[0])
    return 1, turn - rules.priorities.get(waiter.profile, 0) - aged, max(place[0], served), place[1]


def _by_person(waiters: Iterable[Waiter]) -> dict[str, list[Waiter]]:
    people: dict[str, list[Waiter]] = defaultdict(list)
    for waiter in waiters:
        people[waiter.user_id].append(waiter)
    return people


def _own_order(waiters: Sequence[Waiter], rules: Rules) -> list[tuple[Place, Waiter]]:
    """Return a person's waiters in their order, with the places they have.

    Who changes the order of their own gains nothing over others: the places stay, and are filled in another order.
    """
    by_priority: dict[tuple[bool, int], list[Waiter]] = defaultdict(list)
    for waiter in waiters:
        by_priority[_standing(waiter, rules)].append(waiter)
    ordered: list[tuple[Place, Waiter]] = []
    for _, equals in sorted(by_priority.items(), reverse=True):
        places = sorted((waiter.since, waiter.id) for waiter in equals)
        ordered += zip(places, sorted(equals, key=lambda one: (one.own_rank, one.since, one.id)), strict=True)
    return ordered


def _standing(waiter: Waiter, rules: Rules) -> tuple[bool, int]:
    """Return what makes a person's waiters equal among themselves."""
    return not waiter.preemptible, rules.priorities.get(waiter.profile, 0)


def _shares(situation: Situation, rules: Rules) -> dict[str, float]:
    """Return how much of the platform is whose, where it is shared by use; nothing where it goes by turns."""
    if rules.queue.fair_share == "turns":
        return {}
    people: list[Hold | Waiter] = [*situation.holds, *situation.waiters]
    known = {(one.user_id, one.user, one.teams) for one in people}
    shares: dict[str, float] = {}
    for user_id, user, teams in known:  # somebody may have been in other teams when an older job was sent
        shares[user_id] = max(rules.queue.share(user, teams), shares.get(user_id, 0.0))
    return shares


def _had(situation: Situation, shares: dict[str, float]) -> dict[str, float]:
    """Return the turns that each person has had, or the GPU hours of their share."""
    had: dict[str, float] = defaultdict(float)
    for user_id, share in shares.items():
        had[user_id] = situation.usage.get(user_id, 0.0) / share
    for hold in situation.holds:  # what is held now counts an hour ahead: nobody takes all before it is counted
        had[hold.user_id] += sum(slot.part for slot in hold.slots) / shares[hold.user_id] if shares else 1.0
    return had


def _cost(waiter: Waiter, rules: Rules, shares: dict[str, float], weigh: Callable[[GPURequest], float]) -> float:
    """Return what a waiter adds to its owner's turns."""
    if not shares:
        return 1.0
    seconds = rules.queue.server_length if waiter.limit_seconds is None else waiter.limit_seconds
    return weigh(waiter.gpus) * seconds / HOUR_SECONDS / shares[waiter.user_id]


def _overdue(situation: Situation, rules: Rules, place: Place, user_id: str, *, with_gpus: bool) -> datetime | None:
    """Return since when a person has had nothing started, where that is longer than anybody should wait."""
    since = max(place[0], situation.last_starts.get((user_id, with_gpus), place[0]))
    return since if (situation.now - since).total_seconds() > rules.queue.patience else None
