"""Who asks: a person of the hub, or the spawner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from himalia.errors import FieldError, Forbidden, NotFound
from himalia.owners import Owner

from .policy import Hold, Reader

READ = "custom:jobs:read"
SUBMIT = "custom:jobs:submit"
ADMIN = "custom:jobs:admin"
LEASE = "custom:jobs:lease"
OPERATE = "custom:jobs:operate"
METRICS, WATCH = "custom:jobs:metrics", "custom:jobs:watch"

#: What the platform's own services may do; never what people do.
OF_SERVICES = frozenset({LEASE, OPERATE, METRICS, WATCH})

#: A scope brings the ones below it, also where the hub does not spell them out.
IMPLIED = {ADMIN: {ADMIN, SUBMIT, READ}, SUBMIT: {SUBMIT, READ}, READ: {READ}, LEASE: {LEASE}}


@dataclass(frozen=True, kw_only=True)
class Person:
    """A user with their internal id, their teams and what their token may do."""

    id: str
    name: str
    admin: bool
    teams: Mapping[str, str] = field(default_factory=dict)  #: name -> internal id
    scopes: frozenset[str] = frozenset()
    sees_names: bool = False  #: of everybody who holds a GPU or waits: where the site lets everybody read them

    def need(self, scope: str) -> None:
        """Raise Forbidden when the token may not do this."""
        if scope not in self.scopes:
            raise Forbidden(
                f"This token may not do that: it lacks the scope {scope}. Make a new one on the hub's token page."
            )

    @property
    def sees_all(self) -> bool:
        """Whether this person sees everybody's jobs."""
        return self.admin and ADMIN in self.scopes

    @property
    def owner_ids(self) -> list[str] | None:
        """Internal ids of the owners whose things this person sees; none: all."""
        return None if self.sees_all else [self.id, *self.teams.values()]

    @property
    def reader(self) -> Reader:
        """Whose names this person may read in sentences."""
        everybody = self.sees_all or self.sees_names
        return Reader(user_id=self.id, team_ids=frozenset(self.teams.values()), sees_all=everybody)

    def may_see_hold(self, hold: Hold) -> bool:
        """Tell whether this person may read which job it is, and not only whose."""
        return Reader(user_id=self.id, team_ids=self.reader.team_ids, sees_all=self.sees_all).may_read(hold)

    def may_see(self, owner_id: str, user_id: str) -> bool:
        """Tell whether this person sees something of an owner that a user submitted."""
        return self.sees_all or owner_id == self.id or user_id == self.id or owner_id in self.teams.values()

    def owner_id(self, owner: Owner) -> str:
        """Return the internal id of an owner that this person may act for; raise what a stranger would see."""
        if owner.kind == "user" and owner.name == self.name:
            return self.id
        if owner.kind == "team" and owner.name in self.teams:
            return self.teams[owner.name]
        raise FieldError("owner", f"You are not {owner}. Your own are: {', '.join(self.owners())}.")

    def visible_owner_id(self, owner: Owner) -> str:
        """Return the internal id of an owner whose things this person sees; raise NotFound otherwise."""
        try:
            return self.owner_id(owner)
        except FieldError as error:
            raise NotFound(f"There is nothing of {owner} that you may see.") from error

    def owners(self) -> list[str]:
        """Return the owners that this person may act for."""
        return [str(Owner.user(self.name)), *(str(Owner.team(name)) for name in sorted(self.teams))]


def with_implied(scopes: set[str]) -> frozenset[str]:
    """Return the scopes with those they bring."""
    return frozenset(scopes | {below for scope in scopes for below in IMPLIED.get(scope, ())})
