"""Which directories may be submitted: those below the home, below `/storage` and below a `/team/NAME`.

A *contents path* is what Lab's file browser shows: relative to the server's root directory, with `/` between parts.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from himalia.errors import FieldError
from himalia.snapshot import project_name

FIELD = "directory"
WHERE = "Choose a directory in your home, in your storage or in a team's."


@dataclass(frozen=True, kw_only=True)
class Roots:
    """The root that contents paths start from, and the trees that may be submitted from."""

    root: Path
    home: Path
    storage: Path
    team: Path


@dataclass(frozen=True, kw_only=True)
class Directory:
    """A directory that may be submitted, and the project it belongs to by its name."""

    path: Path  #: absolute, without links
    contents_path: str
    project: str
    homes: tuple[Path, ...] = ()  #: where programs keep what is private


def find_directory(contents_path: str, roots: Roots) -> Directory:
    """Return the directory of a contents path; raise FieldError that says what is wrong with it."""
    parts = _parts(contents_path)
    path = _real(roots.root.joinpath(*parts), contents_path)
    if not path.is_dir():
        raise FieldError(FIELD, f"{contents_path!r} is a file. Choose the directory it is in.")
    project = _project(path, roots, contents_path)
    homes = (roots.home, roots.storage)
    return Directory(path=path, contents_path="/".join(parts), project=project, homes=homes)


def _parts(contents_path: str) -> list[str]:
    if "\0" in contents_path:
        raise FieldError(FIELD, "The path has a NUL in it. Choose the directory in the file browser.")
    parts = [part for part in contents_path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise FieldError(FIELD, f"{contents_path!r} goes up with '..'. Write the path from your home.")
    return parts


def _real(path: Path, contents_path: str) -> Path:
    try:
        return Path(os.path.realpath(path, strict=True))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FieldError(FIELD, f"{contents_path!r} is not there (any more). Choose another directory.") from error
    except UnicodeError as error:
        raise FieldError(FIELD, "The path has letters that no file can have. Choose another directory.") from error
    except OSError as error:
        said = {errno.ELOOP: "is a link that leads to itself", errno.ENAMETOOLONG: "is too long a path"}
        what = said.get(error.errno or 0, f"cannot be opened: {error.strerror}")
        raise FieldError(FIELD, f"{contents_path!r} {what}. Choose another directory.") from error


def _project(path: Path, roots: Roots, contents_path: str) -> str:
    """Return the project's name; raise FieldError for a directory outside the trees."""
    home, storage, team = (_resolved(root) for root in (roots.home, roots.storage, roots.team))
    inside_home = home is not None and home != Path("/") and path.is_relative_to(home)
    inside_storage = storage is not None and path.is_relative_to(storage)
    inside_a_team = team is not None and path != team and path.is_relative_to(team)
    if not (inside_home or inside_storage or inside_a_team):
        what = "is where all teams are" if path == team else "lies outside"
        raise FieldError(FIELD, f"{contents_path!r} {what}. {WHERE}")
    return "storage" if path == storage else project_name(path, home)


def _resolved(root: Path) -> Path | None:
    try:
        return Path(os.path.realpath(root, strict=True))
    except OSError:
        return None
