"""`me`, `health`, `profiles`, `people`: who asks, how the service is, what may be chosen, who was here."""

from __future__ import annotations

from himalia.errors import FieldError
from himalia.models import AttachRequest, Health, Me, ProfilesView
from himalia.version import API_VERSION, OLDEST_CLIENT, VERSION

from ..person import LEASE, OPERATE, READ, Person
from .base import HimaliaHandler


class MeHandler(HimaliaHandler):
    """`GET me`."""

    async def get(self) -> None:
        """Say who asks, and which clients are too old."""
        person = self.person
        self.answer(
            Me(
                name=person.name,
                admin=person.sees_all,
                teams=tuple(sorted(person.teams)),
                scopes=tuple(sorted(person.scopes)),
                api_version=API_VERSION,
                oldest_client=OLDEST_CLIENT,
                version=VERSION,
                largest_workspace_bytes=self.service.settings.site.limits.workspace,
                most_workspace_entries=self.service.settings.site.limits.entries,
                notices=self.service.rulebook.notices(self.service.clock.wall()),
                disk=self.service.places.of(person),
            )
        )


class HealthHandler(HimaliaHandler):
    """`GET health`: answers everybody, also when the service must not work."""

    scope = None

    async def prepare(self) -> None:
        """Let everybody ask."""

    async def get(self) -> None:
        """Say how the service is."""
        sentences = await self.service.complaints()
        health = Health(
            ok=not sentences, sentences=tuple(sentences), version=VERSION, installation=self.service.installation
        )
        self.answer(health, status=503 if self.service.refusal else 200)


class ProfilesHandler(HimaliaHandler):
    """`GET profiles?for=jobs|servers`: what the asker may choose; the spawner asks for `user=` and `teams=`."""

    scope = READ

    async def prepare(self) -> None:
        """Let the spawner ask as well as people."""
        self.service.must_work()
        self.person = await self.service.hub.person(self)
        if LEASE not in self.person.scopes:
            self.person.need(READ)

    async def get(self) -> None:
        """List the profiles with what is free now."""
        purpose = self.argument("for", "jobs")
        if purpose not in ("jobs", "servers"):
            raise FieldError("for", "Write for=jobs or for=servers.")
        person = self.person
        if LEASE in person.scopes:
            teams = {name: "" for name in self.argument("teams").split(",") if name}
            person = Person(id="", name=self.argument("user"), admin=self.argument("admin") == "1", teams=teams)
        profiles = await self.service.ledger.profiles(purpose, person)
        notices = self.service.rulebook.notices(self.service.clock.wall())
        self.answer(ProfilesView(profiles=tuple(profiles), notices=notices))


class PeopleHandler(HimaliaHandler):
    """`GET people`: for the platform's command alone."""

    scope = OPERATE

    async def get(self) -> None:
        """List all who were ever here."""
        found = await self.service.people.everybody()
        self.answer({"people": [person.model_dump(mode="json") for person in found]})


class AttachHandler(HimaliaHandler):
    """`POST people/{id}/attach`: for the platform's command alone."""

    scope = OPERATE

    async def post(self, key: str) -> None:
        """Give a person what is kept under an internal id."""
        self.answer(await self.service.people.attach(key, self.body_as(AttachRequest)))
