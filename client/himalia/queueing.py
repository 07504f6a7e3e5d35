"""The tables of `himalia.toml` that say who gets how much, and when."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from .sections import Seconds, Section

EACH = "*"  #: in `user`: each person by themselves


class Queue(Section):
    """`[queue]`: whose turn it is. Without any of it: first come, first served, in turns among people."""

    backfill: bool = Field(
        True,
        description="Whether one that ends, by its time limit, before the first in line could start may use what is set aside for it.",
    )
    ageing: Seconds | None = Field(
        None,
        description="Waiting so long is worth one step of a profile's priority, one turn or one GPU hour used. None: waiting is worth nothing beside them.",
    )
    patience: Seconds = Field(
        86400,
        description="A person who waits and has had nothing started for so long is first, whatever others' turns and priorities are: nobody starves.",
    )
    fair_share: Literal["turns", "usage"] = Field(
        "turns",
        description="What comes before waiting: `turns` (what one holds and has in line) or `usage` (GPU hours).",
    )
    half_life: Seconds = Field(7 * 86400, description="With `usage`: a GPU hour counts half after so long.")
    shares: dict[str, float] = Field(
        {}, description='With `usage`: how much is whose, as `"user:alice" = 2.0` or `"team:vision" = 3.0`; 1.0 each.'
    )
    server_length: Seconds = Field(
        8 * 3600,
        description="How long a notebook, which has no time limit, is taken to stay: for usage, reservations and maintenance.",
    )
    preempt_warning: Seconds = Field(
        60, description="From the word that a preemptible job gives way until it is stopped."
    )
    preempt_grace: Seconds = Field(
        60, description="Between SIGTERM and SIGKILL when a preemptible job gives way: time to save a checkpoint."
    )

    retry_pause: Seconds = Field(
        10,
        description="How long a job that failed pauses before it is tried again (`--retries`); twice as long after each further failure.",
    )
    longest_retry_pause: Seconds = Field(600, description="The longest of these pauses.")

    longest_wait: Seconds = Field(
        7 * 86400, description="A notebook that has waited in line for so long leaves it, and its person is told."
    )
    kept_for: Seconds = Field(
        15 * 60,
        description="How long its GPUs are kept for a notebook whose turn it is: until its person has restarted the server that runs without them, or until the hub can start it. Then they go to the next in line.",
    )

    def share(self, user: str, teams: frozenset[str]) -> float:
        """Return how much of the platform is a person's: their own share, else the largest of their teams'."""
        own = self.shares.get(f"user:{user}")
        return own or max((self.shares[name] for team in teams if (name := f"team:{team}") in self.shares), default=1.0)

    def pause_after(self, failures: int) -> int:
        """Return the seconds from a job's failure, so many of its attempts having failed, to the next attempt."""
        return int(min(self.longest_retry_pause, self.retry_pause * 2 ** min(failures - 1, 30)))

    @field_validator("shares")
    @classmethod
    def _of_owners(cls, shares: dict[str, float]) -> dict[str, float]:
        for name, share in shares.items():
            if not name.startswith(("user:", "team:")) or not 0 < share <= 1e6:
                raise ValueError(f'{name!r}: write "user:NAME" or "team:NAME", and a share above 0')
        return shares


class Quota(Section):
    """`[[quotas]]`: the most that somebody may hold at once, notebooks and jobs together. Of several that apply all hold."""

    user: str = Field(
        "",
        description='A person\'s hub name, or `"*"`: each person by themselves, but for those whom a quota like it names.',
    )
    team: str = Field("", description='A team: all members together; with `user = "*"` each member by themselves.')
    profile: str = Field("", description="A profile: only what uses it counts.")
    gpus: int | None = Field(None, ge=0, description="Most GPUs at once.")
    running: int | None = Field(None, ge=0, description="Most notebooks and jobs at once.")

    @model_validator(mode="after")
    def _about_something(self) -> Self:
        if not (self.user or self.team or self.profile):
            raise ValueError('say whose quota it is: user (a name, or "*" for each person), team or profile')
        if self.gpus is None and self.running is None:
            raise ValueError("say how much it allows: gpus or running")
        return self


def quotas_of_group(team: str, properties: dict[str, object]) -> tuple[Quota, ...]:
    """Return the quotas that a hub group's properties ask for: `gpus`, `running` together, `gpus_each`, `running_each`.

    They stand in the property `himalia`; what is no number there says nothing.
    """
    wanted = properties.get("himalia")
    if not isinstance(wanted, dict):
        return ()
    found = []
    for ending, user in (("", ""), ("_each", EACH)):
        most = {name: _number(wanted.get(name + ending)) for name in ("gpus", "running")}
        if any(number is not None for number in most.values()):
            found.append(Quota(team=team, user=user, **most))
    return tuple(found)


def _number(value: object) -> int | None:
    usable = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return int(str(value)) if usable else None


class Span(Section):
    """A time with a beginning and an end; both need a zone, as `2030-01-03T08:00:00+01:00`."""

    start: AwareDatetime = Field(description="When it begins, with a zone: `2030-01-03T08:00:00+01:00`.")
    end: AwareDatetime = Field(description="When it ends.")

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.start >= self.end:
            raise ValueError("end must be later than start")
        return self


class Reservation(Span):
    """`[[reservations]]`: GPUs that are kept for somebody for a time. Nobody else starts on them what would run into it."""

    name: str = Field("", description="What people read.")
    gpus: str = Field("1", description="GPU request: 8, H200:4 …")
    users: tuple[str, ...] = Field((), description="Whose they are: hub names.")
    teams: tuple[str, ...] = Field((), description="Teams whose they are.")

    @model_validator(mode="after")
    def _for_somebody(self) -> Self:
        if not (self.users or self.teams):
            raise ValueError("say whose it is: users or teams")
        return self

    def allows(self, user: str, teams: frozenset[str]) -> bool:
        """Tell whether it is somebody's."""
        return user in self.users or bool(teams & set(self.teams))


class Maintenance(Span):
    """`[[maintenance]]`: nothing starts that, by its time limit, would run into it; people read of it before."""

    text: str = Field("Maintenance", description="What people read.")
