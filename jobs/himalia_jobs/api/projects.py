"""`projects`: named collections of jobs."""

from __future__ import annotations

from himalia.errors import FieldError, NotFound
from himalia.models import ProjectRequest, ProjectView
from himalia.owners import Owner

from ..person import SUBMIT
from ..store import projects
from ..store.clock import from_text, from_text_or_none
from ..store.records import ProjectRecord
from ..submitting import PROJECT_NAME
from .base import HimaliaHandler

LONGEST_DESCRIPTION = 10_000


def view(project: ProjectRecord, job_count: int = 0, live: int = 0, last: str | None = None) -> ProjectView:
    """Return a project as it is shown."""
    return ProjectView(
        owner=project.owner,
        name=project.name,
        description=project.description,
        created_at=from_text(project.created_at),
        job_count=job_count,
        live_job_count=live,
        last_job_at=from_text_or_none(last),
    )


class ProjectsHandler(HimaliaHandler):
    """`GET projects`, `POST projects`."""

    async def get(self) -> None:
        """List the asker's projects and those of their teams."""
        owner_ids = [self.person.id, *self.person.teams.values()]
        found = await self.service.db.read(lambda db: projects.visible(db, owner_ids))
        self.answer({"projects": [view(*row).model_dump(mode="json") for row in found]})

    async def post(self) -> None:
        """Make a project."""
        self.person.need(SUBMIT)
        request = self.body_as(ProjectRequest)
        name, description = _name(request.name), _description(request.description)
        owner = Owner.parse(request.owner) if request.owner else Owner.user(self.person.name)
        owner_id = self.person.owner_id(owner)
        made = await self.service.db.write(lambda db: projects.create(db, owner_id, str(owner), name, description))
        self.answer(view(made), status=201)


class ProjectHandler(HimaliaHandler):
    """`GET|PATCH|DELETE projects/{owner}/{name}`."""

    async def get(self, owner: str, name: str) -> None:
        """Show a project."""
        project = await self._project(owner, name)
        rows = await self.service.db.read(lambda db: projects.visible(db, [project.owner_id]))
        self.answer(next(view(*row) for row in rows if row[0].id == project.id))

    async def patch(self, owner: str, name: str) -> None:
        """Change a project's description."""
        self.person.need(SUBMIT)
        project = await self._project(owner, name)
        request = self.body_as(ProjectRequest)
        if request.name is not None or request.owner is not None:
            raise FieldError("name", "Only the description of a project can be changed.")
        if request.description is not None:
            description = _description(request.description)
            await self.service.db.write(lambda db: projects.describe(db, project.id, description))
        await self.get(owner, name)

    async def delete(self, owner: str, name: str) -> None:
        """Delete a project without jobs."""
        self.person.need(SUBMIT)
        project = await self._project(owner, name)
        await self.service.db.write(lambda db: projects.remove(db, project))
        self.set_status(204)
        self.finish()

    async def _project(self, owner: str, name: str) -> ProjectRecord:
        owner_id = self.person.visible_owner_id(Owner.parse(owner))
        project = await self.service.db.read(lambda db: projects.find(db, owner_id, name))
        if project is None:
            raise NotFound(f"There is no project {name} of {owner} that you may see.")
        return project


def _name(name: str | None) -> str:
    if name is None or not PROJECT_NAME.fullmatch(name):
        raise FieldError(
            "name", f"{name!r} is no name for a project. Use letters, digits, '.', '_' and '-', 100 at most."
        )
    return name


def _description(description: str | None) -> str:
    if len(description or "") > LONGEST_DESCRIPTION:
        raise FieldError("description", f"At most {LONGEST_DESCRIPTION} characters.")
    return description or ""
