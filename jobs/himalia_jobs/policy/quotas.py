"""The most that a person, a team or a profile may hold at once: who is at a limit, and in which words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from himalia.queueing import EACH, Quota
from himalia.reasons import Reason
from himalia_gpus.request import GPURequest

from .words import Hold, Lack, Waiter

Who = tuple[str, frozenset[str], str]  #: user, teams, profile
Bucket = tuple[int, str]  #: the number of a quota, and whose share of it, where each has one


ROUNDING = 1e-9  #: of parts of GPUs


def _whole(request: GPURequest) -> float:
    return float(request.count)


class Quotas:
    """Counts what is held against each quota, in the course of a round."""

    def __init__(
        self, quotas: Sequence[Quota], holds: Iterable[Hold] = (), weigh: Callable[[GPURequest], float] = _whole
    ) -> None:
        self.quotas = quotas
        self.weigh = weigh  #: how much of GPUs a request takes: a seat counts as the part that it is
        self._gpus: defaultdict[Bucket, float] = defaultdict(float)
        self._running: Counter[Bucket] = Counter()
        self._buckets: dict[Who, tuple[Bucket, ...]] = {}
        self._told: dict[tuple[Bucket, bool, float], Lack] = {}
        if quotas:
            for hold in holds:
                self._count((hold.user, hold.teams, hold.profile), sum(slot.part for slot in hold.slots))

    def lack(self, waiter: Waiter) -> Lack | None:
        """Return which limit keeps a waiter from starting; none where there is room."""
        if not self.quotas:
            return None
        need = self.weigh(waiter.gpus)
        for bucket in self.buckets((waiter.user, waiter.teams, waiter.profile)):
            quota = self.quotas[bucket[0]]
            if quota.gpus is not None and need and self._gpus[bucket] + need > quota.gpus + ROUNDING:
                return self._lack(bucket, need, of_gpus=True)
            if quota.running is not None and self._running[bucket] + 1 > quota.running:
                return self._lack(bucket, 1, of_gpus=False)
        return None

    def count(self, waiter: Waiter) -> None:
        """Count a waiter that starts."""
        if self.quotas:
            self._count((waiter.user, waiter.teams, waiter.profile), self.weigh(waiter.gpus))

    def buckets(self, who: Who) -> tuple[Bucket, ...]:
        """Return the quotas that apply to somebody."""
        if who not in self._buckets:
            applies = partial(_applies, who=who, quotas=self.quotas)
            self._buckets[who] = tuple(
                (number, who[0] if quota.user == EACH else "")
                for number, quota in enumerate(self.quotas)
                if applies(quota)
            )
        return self._buckets[who]

    def _count(self, who: Who, gpus: float) -> None:
        for bucket in self.buckets(who):
            self._gpus[bucket] += gpus
            self._running[bucket] += 1

    def _lack(self, bucket: Bucket, need: float, *, of_gpus: bool) -> Lack:
        key = (bucket, of_gpus, need)
        if key not in self._told:
            quota = self.quotas[bucket[0]]
            most = quota.gpus if of_gpus else quota.running
            held = (self._gpus if of_gpus else self._running)[bucket]
            texts = [_words(quota, need, held, most or 0, of_gpus=of_gpus, named=named) for named in (True, False)]
            self._told[key] = Lack(reason=Reason.AT_LIMIT, text=texts[0], nameless=texts[1])
        return self._told[key]


def why_never_allowed(quotas: Sequence[Quota], who: Who, gpus: GPURequest) -> str | None:
    """Return the sentence when a limit lets somebody never hold so much, whatever else they hold; none where it does."""
    known = Quotas(quotas)
    for number, _ in known.buckets(who):
        quota = quotas[number]
        if quota.running == 0:
            return f"{_whose(quota, named=True)} may hold nothing. Ask an administrator."
        if quota.gpus is not None and gpus.count > quota.gpus:
            return (
                f"{_whose(quota, named=True)} may hold {_counted(quota.gpus, 'GPU')} at once, and this asks for "
                f"{gpus.count}. Ask for fewer, or ask an administrator."
            )
    return None


def _applies(quota: Quota, *, who: Who, quotas: Sequence[Quota]) -> bool:
    user, teams, profile = who
    if (quota.team and quota.team not in teams) or (quota.profile and quota.profile != profile):
        return False
    if quota.user != EACH:
        return quota.user in ("", user)
    return not any(_replaces(own, quota) for own in quotas if own.user == user)


def _replaces(own: Quota, quota: Quota) -> bool:
    """Tell whether a person's own quota stands in the place of one for each person."""
    alike = (own.team, own.profile) == (quota.team, quota.profile)
    return alike and (own.gpus is not None or quota.gpus is None) and (own.running is not None or quota.running is None)


def _words(quota: Quota, need: float, held: float, most: int, *, of_gpus: bool, named: bool) -> str:
    """Return why something waits at a limit, and what to do."""
    thing = "GPU" if of_gpus else "notebook or job"
    whose = _whose(quota, named=named)
    if need > most:
        asked = _counted(need, thing)
        return f"{whose} may hold {most} at once, and this is {asked}. Ask an administrator, or cancel it."
    return f"{whose} may hold {_counted(most, thing)} at once, and {held:.3g} {'is' if held == 1 else 'are'} held. It starts when enough is given back."


def _whose(quota: Quota, *, named: bool) -> str:
    of_profile = f" of the profile {quota.profile}" if quota.profile else ""
    if quota.user == EACH:
        member = " member of its team" if quota.team else " person"
        return f"Each{f' member of the team {quota.team}' if quota.team and named else member}{of_profile}"
    if quota.user:
        return f"{quota.user if named else 'Its owner'}{of_profile}"
    if quota.team:
        return f"{f'The team {quota.team}' if named else 'Its team'}{of_profile}"
    return f"All who use the profile {quota.profile} together"


def _counted(number: float, thing: str) -> str:
    if number == 1:
        return f"1 {thing}"
    return f"{number:.3g} {'notebooks or jobs' if thing == 'notebook or job' else f'{thing}s'}"
