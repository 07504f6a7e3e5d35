"""Users and teams, and the internal ids that name their directories."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, Table, func, insert, select, update

from himalia.ids import new_id
from himalia.owners import Owner
from himalia.states import LeaseState

from .clock import now_text
from .records import UserRecord
from .tables import jobs, leases, projects, snapshots, teams, users

DETACHED = "detached:"  #: stands where the hub's time would: no user of the hub is this one


def user_id(db: Connection, name: str, hub_created: str) -> str:
    """Return the internal id of a user; a user of that name who was created at another time is somebody else."""
    found = db.execute(select(users.c.id).where((users.c.name == name) & (users.c.hub_created == hub_created))).scalar()
    if found:
        return str(found)
    return _add(db, users, name=name, hub_created=hub_created)


def team_ids(db: Connection, names: Iterable[str]) -> dict[str, str]:
    """Return the internal ids of teams by name; a team is made when it is first seen."""
    wanted = sorted(set(names))
    rows = db.execute(select(teams.c.name, teams.c.id).where(teams.c.name.in_(wanted)))
    known: dict[str, str] = {row.name: row.id for row in rows}
    return {name: known.get(name) or _add(db, teams, name=name) for name in wanted}


def index(db: Connection) -> list[tuple[str, str]]:
    """Return (internal id, who) of all users and teams, for the file beside the directories."""
    people = db.execute(select(users.c.id, users.c.name).order_by(users.c.id)).all()
    groups = db.execute(select(teams.c.id, teams.c.name).order_by(teams.c.id)).all()
    return [(key, f"user:{name}") for key, name in people] + [(key, f"team:{name}") for key, name in groups]


def find(db: Connection, key: str) -> UserRecord | None:
    """Return who has an internal id."""
    row = db.execute(select(users).where(users.c.id == key)).mappings().first()
    return UserRecord.of(row) if row else None


def find_named(db: Connection, name: str, hub_created: str) -> UserRecord | None:
    """Return a user as the hub knows them, if they were here before."""
    row = db.execute(select(users).where((users.c.name == name) & (users.c.hub_created == hub_created)))
    found = row.mappings().first()
    return UserRecord.of(found) if found else None


def everybody(db: Connection) -> list[UserRecord]:
    """Return all users that ever were here, by name."""
    rows = db.execute(select(users).order_by(users.c.name, users.c.created_at)).mappings()
    return [UserRecord.of(row) for row in rows]


def traces(db: Connection) -> dict[str, tuple[str, int]]:
    """Return when each user was last seen to submit a job or to change a server, and how many jobs they have."""
    submitted = db.execute(select(jobs.c.user_id, func.max(jobs.c.created_at), func.count()).group_by(jobs.c.user_id))
    found: dict[str, tuple[str, int]] = {key: (at, count) for key, at, count in submitted.all()}
    served = db.execute(select(leases.c.user_id, func.max(leases.c.changed_at)).group_by(leases.c.user_id)).all()
    for key, at in served:
        last, count = found.get(key, ("", 0))
        found[key] = (max(last, at), count)
    return found


def count_servers(db: Connection, key: str) -> int:
    """Return how many servers of a user wait or run."""
    live = (leases.c.kind == "server") & (leases.c.state != str(LeaseState.RELEASED))
    return int(
        db.execute(select(func.count()).select_from(leases).where((leases.c.user_id == key) & live)).scalar_one()
    )


def attach(db: Connection, key: str, was: UserRecord | None, name: str, hub_created: str) -> bool:
    """Let a user of the hub be the one with this internal id; return False when somebody else has become that meanwhile.

    Whoever the user was until now keeps their own id, and is nobody's.
    """
    mine = (users.c.name == name) & (users.c.hub_created == hub_created)
    db.execute(update(users).where(mine & (users.c.id != key)).values(hub_created=DETACHED + users.c.id))
    if was is None:
        db.execute(insert(users).values(id=key, name=name, hub_created=hub_created, created_at=now_text()))
        return True
    as_before = (users.c.id == key) & (users.c.name == was.name) & (users.c.hub_created == was.hub_created)
    attached = db.execute(update(users).where(as_before).values(name=name, hub_created=hub_created)).rowcount
    if attached and was.name != name:
        _rename(db, key, name)
    return bool(attached)


def _rename(db: Connection, key: str, name: str) -> None:
    """Write a person's new name where it is shown beside their id."""
    for table in (jobs, leases):
        db.execute(update(table).where(table.c.user_id == key).values(user=name))
    for table in (jobs, projects, snapshots):
        db.execute(update(table).where(table.c.owner_id == key).values(owner=str(Owner.user(name))))


def _add(db: Connection, table: Table, **values: str) -> str:
    key = new_id()
    db.execute(insert(table).values(id=key, created_at=now_text(), **values))
    return key
