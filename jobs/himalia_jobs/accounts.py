"""GPU hours from grants: a pure function of what was held, what was measured and the time; no clock, no database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from himalia.models import UsageBy, UsageRow

from .person import Person
from .store.clock import from_text
from .store.records import GrantRecord

Use = Mapping[tuple[int, str], tuple[float, float]]  #: (measured, idle) seconds by grant and month
HOUR = 3600.0


@dataclass
class _Sum:
    jobs: float = 0.0
    servers: float = 0.0
    measured: float = 0.0
    idle: float = 0.0


def rows_by(
    by: UsageBy, held: Iterable[GrantRecord], use: Use, months: Sequence[str], now: datetime, person: Person
) -> list[UsageRow]:
    """Return GPU hours by month and name, as far as a person may see them: the latest month first, the most first."""
    sums: dict[tuple[str, str], _Sum] = defaultdict(_Sum)
    for grant in held:
        if not _may_see(by, person, grant):
            continue
        for month in months:
            seconds = seconds_in(grant, month, now)
            if seconds <= 0:
                continue
            measured, idle = use.get((grant.number, month), (0.0, 0.0))
            for name in _names(by, grant, person):
                found = sums[month, name]
                found.jobs += grant.part * seconds if grant.kind == "job" else 0.0
                found.servers += grant.part * seconds if grant.kind != "job" else 0.0
                found.measured += grant.part * min(measured, seconds)
                found.idle += grant.part * min(idle, measured, seconds)
    rows = [_row(month, name, found) for (month, name), found in sums.items()]
    rows.sort(key=lambda row: (-row.gpu_hours, row.name))
    return sorted(rows, key=lambda row: row.month, reverse=True)


def total_hours(
    by: UsageBy, held: Iterable[GrantRecord], months: Sequence[str], now: datetime, person: Person
) -> float:
    """Return all GPU hours that a person may see, each once: an hour may count for several teams."""
    seen = (grant for grant in held if _may_see(by, person, grant) and (grant.teams or by is not UsageBy.TEAM))
    seconds = (grant.part * max(seconds_in(grant, month, now), 0.0) for grant in seen for month in months)
    return round(sum(seconds) / HOUR, 4)


def seconds_in(grant: GrantRecord, month: str, now: datetime) -> float:
    """Return for how long a slot was held in a month."""
    first, last = span_of(month)
    ended = from_text(grant.ended_at) if grant.ended_at else now
    return (min(ended, last, now) - max(from_text(grant.started_at), first)).total_seconds()


def span_of(month: str) -> tuple[datetime, datetime]:
    """Return the beginning and the end of a month, in UTC."""
    year, number = int(month[:4]), int(month[5:])
    first = datetime(year, number, 1, tzinfo=UTC)
    return first, datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)


def months_between(first: str, last: str) -> list[str]:
    """Return the months from one to another, both among them."""
    months, month = [], first
    while month <= last:
        months.append(month)
        month = f"{span_of(month)[1]:%Y-%m}"
    return months


def _may_see(by: UsageBy, person: Person, grant: GrantRecord) -> bool:
    """Tell whether a grant is a person's own, of one of their teams' projects, or of a team-mate, whose projects have no names."""
    teams = set(person.teams.values())
    own = (person.id != "" and grant.user_id == person.id) or grant.owner_id in teams
    return person.sees_all or own or (by is not UsageBy.PROJECT and bool(teams & set(grant.teams.values())))


def _names(by: UsageBy, grant: GrantRecord, person: Person) -> Iterator[str]:
    if by is UsageBy.USER:
        yield grant.user
    elif by is UsageBy.PROJECT:
        yield f"{grant.owner}/{grant.project}"
    else:
        yield from (name for name in grant.teams if person.sees_all or name in person.teams)


def _row(month: str, name: str, found: _Sum) -> UsageRow:
    return UsageRow(
        month=month,
        name=name,
        gpu_hours=round((found.jobs + found.servers) / HOUR, 4),
        job_hours=round(found.jobs / HOUR, 4),
        server_hours=round(found.servers / HOUR, 4),
        measured_hours=round(found.measured / HOUR, 4),
        idle_share=round(found.idle / found.measured, 4) if found.measured > 0 else None,
    )
