"""Who asks, what they may choose, and how the service is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .base import Answer, Moment, Request
from .ledger import Notice


class ProfileView(Answer):
    """A named choice that the administrator offers."""

    name: str
    title: str
    description: str = ""
    image: str
    cpus: float
    memory_bytes: int
    gpus: str = "0"
    disk_bytes: int | None = None  #: what a job may write to the data disk; none: as much as there is
    max_disk_bytes: int | None = None  #: the most that a job may ask for there; none: as much as there is
    time_limit_seconds: int
    max_time_limit_seconds: int
    servers: bool
    jobs: bool
    free_now: bool  #: whether one more could start at once
    sentence: str = ""  #: what is free, or who is before


class DiskView(Answer):
    """What a home, a storage or a team's storage takes of the data disk, as seen some minutes ago; shown where it has a limit."""

    place: str  #: `home`, `/storage` or `/team/NAME`
    used_bytes: int
    limit_bytes: int | None = None
    files: int
    limit_files: int | None = None
    level: Literal["ok", "nearly", "full"] = "ok"
    sentence: str = ""  #: where it is nearly full, or full: what to do
    fenced: bool = False  #: the file system takes no more than the limit; else it is looked at


class Me(Answer):
    """Who asks."""

    name: str
    admin: bool
    teams: tuple[str, ...]
    scopes: tuple[str, ...]
    api_version: int
    oldest_client: str  #: an older client is told to upgrade
    version: str
    largest_workspace_bytes: int | None = None  #: more is refused, so a client need not pack it first
    most_workspace_entries: int | None = None
    notices: tuple[Notice, ...] = ()
    disk: tuple[DiskView, ...] = ()


class Health(Answer):
    """How the service is; words for the operator."""

    ok: bool
    sentences: tuple[str, ...] = ()
    version: str
    installation: str


class ProfilesView(Answer):
    """`GET api/profiles`: what may be chosen, and what everybody should know before."""

    profiles: tuple[ProfileView, ...]
    notices: tuple[Notice, ...] = ()


class KnownPerson(Answer):
    """Somebody whom the platform knows or knew: an internal id, and what is kept under it."""

    id: str  #: names their directories
    name: str  #: in the hub; empty where nobody knows it any more
    created: str = ""  #: when the hub first saw them; empty where that is not known any more
    present: bool  #: whether the hub has them now
    last_seen: Moment | None = None
    job_count: int = 0
    directories: tuple[str, ...] = ()  #: of the platform's machine


class AttachRequest(Request):
    """`POST api/people/{id}/attach`: the user of this name gets what is kept under the id."""

    name: str = Field(min_length=1)
    force: bool = False  #: also when somebody whom the hub has now loses it


class Attached(Answer):
    """Who has an internal id now."""

    person: KnownPerson
    before: KnownPerson | None = None  #: what the name had until now; it stays under its own id
