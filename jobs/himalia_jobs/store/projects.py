"""Projects."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select, update

from himalia.errors import Busy, NotFound
from himalia.ids import new_id
from himalia.states import FINAL_STATES

from .clock import now_text
from .records import ProjectRecord
from .tables import jobs, projects

FINAL = sorted(str(state) for state in FINAL_STATES)


def find(db: Connection, owner_id: str, name: str) -> ProjectRecord | None:
    """Return a project by its owner and name."""
    row = (
        db.execute(select(projects).where((projects.c.owner_id == owner_id) & (projects.c.name == name)))
        .mappings()
        .first()
    )
    return ProjectRecord.of(row) if row else None


def ensure(db: Connection, owner_id: str, owner: str, name: str) -> ProjectRecord:
    """Return a project; make it when it is not there."""
    return find(db, owner_id, name) or _add(db, owner_id, owner, name, "")


def create(db: Connection, owner_id: str, owner: str, name: str, description: str) -> ProjectRecord:
    """Make a project; raise Busy when the owner has one of that name."""
    if find(db, owner_id, name):
        raise Busy(f"{owner} already has a project {name}. Choose another name, or submit to it.")
    return _add(db, owner_id, owner, name, description)


def describe(db: Connection, project_id: str, description: str) -> None:
    """Change a project's description."""
    db.execute(update(projects).where(projects.c.id == project_id).values(description=description))


def remove(db: Connection, project: ProjectRecord) -> None:
    """Delete a project without jobs; raise Busy otherwise."""
    count = db.execute(select(func.count()).where(jobs.c.project_id == project.id)).scalar_one()
    if count:
        raise Busy(f"{project.name} still has {count} jobs. Delete them first: their logs and artifacts go with them.")
    if not db.execute(delete(projects).where(projects.c.id == project.id)).rowcount:
        raise NotFound(f"There is no project {project.name}.")


def visible(db: Connection, owner_ids: Sequence[str]) -> list[tuple[ProjectRecord, int, int, str | None]]:
    """Return (project, jobs, live jobs, time of the last submit) of these owners, by name."""
    found = (
        db.execute(select(projects).where(projects.c.owner_id.in_(owner_ids)).order_by(projects.c.name, projects.c.id))
        .mappings()
        .all()
    )
    counted = db.execute(
        select(jobs.c.project_id, func.count(), func.sum(jobs.c.state.not_in(FINAL)), func.max(jobs.c.created_at))
        .where(jobs.c.owner_id.in_(owner_ids))
        .group_by(jobs.c.project_id)
    ).all()
    numbers = {row[0]: (int(row[1]), int(row[2] or 0), row[3]) for row in counted}
    return [(ProjectRecord.of(row), *numbers.get(row["id"], (0, 0, None))) for row in found]


def _add(db: Connection, owner_id: str, owner: str, name: str, description: str) -> ProjectRecord:
    project = ProjectRecord(
        id=new_id(), owner_id=owner_id, owner=owner, name=name, description=description, created_at=now_text()
    )
    db.execute(insert(projects).values(**vars(project)))
    return project
