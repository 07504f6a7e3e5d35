"""What homes, storages and teams take of the data disk, where they have limits: looked at every few minutes, and told.

Where the file system does not fence, a limit is a promise that is looked after: who is above it reads so, and no job of
theirs is taken or starts until they have deleted something. Servers start all the same, for that is where people delete. What
runs goes on: many write to one place, and who of them has written what is too much is not known.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from sqlalchemy import Connection

from himalia.container import STORAGE, TEAM
from himalia.errors import DiskFull
from himalia.ids import is_id
from himalia.models import DiskView
from himalia.site import Site

from ..bootclock import BootClock
from ..contents.files import write_whole
from ..engines.base import Engine
from ..engines.disk import NO_LIMIT, DiskLimit, DiskPlace, DiskUse, PlaceKind
from ..engines.errors import EngineError
from ..layout import DataLayout
from ..person import Person
from ..store import Database, leases, notices
from ..store.clock import to_text
from .jobs import KIND
from .words import Level, level_of, place_sentence, waits_sentence

log = logging.getLogger(__name__)

ASK_AGAIN_SECONDS = 10.0  #: somebody who was refused may have deleted something since
ANSWER_SECONDS = 5.0  #: that somebody who submits waits for a count at most
KINDS: tuple[PlaceKind, ...] = ("home", "storage", "team")


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a place, and since when it is as full as that."""

    use: DiskUse
    level: Level
    since: str


class Places:
    """Knows what homes, storages and teams take, as seen last."""

    def __init__(self, db: Database, engine: Engine, layout: DataLayout, site: Site, clock: BootClock) -> None:
        self.db = db
        self.engine = engine
        self.layout = layout
        self.site = site
        self.clock = clock
        self._known: dict[tuple[str, str], Known] = {}
        self._asked: dict[tuple[str, str], float] = {}

    async def look(self) -> None:
        """Look at all places that have a limit."""
        self._known = self._known or await asyncio.to_thread(self._read)
        places = await asyncio.to_thread(lambda: list(self._all()))
        for place in places:
            await self._count(place)
        there = {(place.kind, place.name) for place in places}
        for key in self._known.keys() - there:
            await self.db.write(partial(_take_back, known=self._known.pop(key)))
        await self._tell_who_came()
        if places or self.layout.disk_use.exists():
            await asyncio.to_thread(self._save)

    def of(self, person: Person) -> tuple[DiskView, ...]:
        """Return what a person's places and those of their teams take."""
        mine = {("home", person.id): "home", ("storage", person.id): STORAGE}
        mine |= {("team", team_id): f"{TEAM}/{name}" for name, team_id in sorted(person.teams.items())}
        return tuple(_view(self._known[key], name) for key, name in mine.items() if key in self._known)

    def full(self) -> dict[str, str]:
        """Return whose storage is full, by internal id of person or team, with what is told of their jobs in line."""
        return {
            name: waits_sentence(known.use)
            for (kind, name), known in self._known.items()
            if kind != "home" and known.level is Level.FULL
        }

    async def must_have_room(self, person: Person, owner_id: str) -> None:
        """Raise DiskFull when the person's storage, or that of the team whose project it is, is above its limit."""
        names = {("storage", person.id): STORAGE}
        names |= {("team", key): f"{TEAM}/{name}" for name, key in person.teams.items() if key == owner_id}
        for key, name in names.items():
            known = self._known.get(key)
            if known is not None and known.level is Level.FULL:
                known = await self._again(key, known)
            if known is not None and known.level is Level.FULL:
                raise DiskFull(place_sentence(known.use, name, Level.FULL))

    async def _again(self, key: tuple[str, str], known: Known) -> Known:
        """Look once more at a place that was full, unless that was a moment ago, or takes long."""
        now = self.clock.now()
        if now - self._asked.get(key, -ASK_AGAIN_SECONDS) < ASK_AGAIN_SECONDS:
            return known
        self._asked[key] = now
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._count(known.use.place)
        except TimeoutError:
            return known
        return self._known[key]

    async def _count(self, place: DiskPlace) -> None:
        try:
            found = await self.engine.disk_use([place])
        except EngineError as error:
            log.debug("nobody knows what %s %s takes: %s", place.kind, place.name, error)
            return
        for use in found:
            await self._know(use)

    async def _know(self, use: DiskUse) -> None:
        """Remember what a place takes; tell those whose it is when it is fuller, or not so full any more."""
        key = (use.place.kind, use.place.name)
        before = self._known.get(key)
        level = level_of(use, self.site.disk.nearly)
        if before is not None and before.level is level:
            self._known[key] = replace(before, use=use)
            return
        known = self._known[key] = Known(use=use, level=level, since=to_text(self.clock.wall()))
        if before is not None or level is not Level.OK:
            await self.db.write(lambda db: _write(db, before, known))

    async def _tell_who_came(self) -> None:
        """Tell of a team's place also those of its members who hold something only since it is as full as that."""
        for known in list(self._known.values()):
            if known.use.place.kind == "team" and await self.db.read(partial(_is_untold, known=known)):
                await self.db.write(partial(_tell, known=known))

    def _all(self) -> Iterator[DiskPlace]:
        folders = {"home": self.layout.home, "storage": self.layout.storage, "team": self.layout.team}
        for kind in KINDS:
            limit = limit_of(self.site, kind)
            above = folders[kind]("x").parent
            if limit != NO_LIMIT and above.is_dir():
                names = sorted(folder.name for folder in above.iterdir() if is_id(folder.name))
                yield from (DiskPlace(kind=kind, name=name, limit=limit) for name in names)

    def _save(self) -> None:
        """Write what is known, for the next life of the service and for `himalia doctor`."""
        rows = [asdict(known) for known in self._known.values()]
        try:
            write_whole(self.layout.disk_use, json.dumps(rows).encode(), self.layout.data / ".drafts")
        except DiskFull:
            pass  # it is looked at again

    def _read(self) -> dict[tuple[str, str], Known]:
        return {(known.use.place.kind, known.use.place.name): known for known in read_known(self.layout.disk_use)}


def limit_of(site: Site, kind: PlaceKind) -> DiskLimit:
    """Return the limit of all places of a kind."""
    size, files = {
        "home": (site.disk.home, site.disk.home_files),
        "storage": (site.disk.storage, site.disk.storage_files),
        "team": (site.disk.team, site.disk.team_files),
    }[kind]
    return DiskLimit(size_bytes=size or 0, files=files or 0)


def read_known(file: Path) -> list[Known]:
    """Return what the service knew when it looked last; nothing where the file is missing, or not its own."""
    try:
        return [_known(row) for row in json.loads(file.read_text())]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _known(row: dict[str, Any]) -> Known:
    use = dict(row["use"])
    place = dict(use.pop("place"))
    if place["kind"] not in get_args(PlaceKind):
        raise ValueError(place["kind"])
    limit = DiskLimit(**place.pop("limit"))
    return Known(
        use=DiskUse(place=DiskPlace(limit=limit, **place), **use), level=Level(row["level"]), since=str(row["since"])
    )


def _view(known: Known, name: str) -> DiskView:
    use = known.use
    return DiskView(
        place=name,
        used_bytes=use.used_bytes,
        limit_bytes=use.place.limit.size_bytes or None,
        files=use.files,
        limit_files=use.place.limit.files or None,
        level=known.level.value,
        sentence=place_sentence(use, name, known.level),
        fenced=use.fenced,
    )


def _write(db: Connection, before: Known | None, known: Known) -> None:
    """Tell in Lab how full a place is, in place of what was told before."""
    if before is not None:
        _take_back(db, before)
    _tell(db, known)


def _tell(db: Connection, known: Known) -> None:
    for user_id, name in _readers(db, known.use.place):
        sentence = place_sentence(known.use, name, known.level)
        if sentence:
            notices.tell(db, user_id=user_id, kind=KIND, sentence=sentence, key=f"{_key(known)} {user_id}")


def _is_untold(db: Connection, known: Known) -> bool:
    readers = _readers(db, known.use.place) if known.level is not Level.OK else ()
    return any(notices.find_key(db, f"{_key(known)} {user_id}") is None for user_id, _ in readers)


def _take_back(db: Connection, known: Known) -> None:
    notices.withdraw_all(db, f"{_key(known)} ")


def _readers(db: Connection, place: DiskPlace) -> list[tuple[str, str]]:
    """Return who is told of a place, and what they call it: of a team's those members who hold something now."""
    if place.kind != "team":
        return [(place.name, "home" if place.kind == "home" else STORAGE)]
    found = {
        lease.user_id: f"{TEAM}/{name}"
        for lease in leases.live(db)
        for name, team_id in lease.teams.items()
        if team_id == place.name and lease.user_id
    }
    return sorted(found.items())


def _key(known: Known) -> str:
    place = known.use.place
    return f"{KIND} {place.kind} {place.name} {known.level} {known.since}"
