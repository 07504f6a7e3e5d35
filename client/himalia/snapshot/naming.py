"""The name of a project, from the directory a job is submitted from."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from ..errors import LocalError


def project_name(directory: Path | str, home: Path | str | None = None) -> str:
    """Return the directory's name, made legal (`Café ß` is `Cafe`); the home directory is `home`, the root is refused."""
    try:
        path = Path(directory).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise LocalError(f"{directory} is not there. Write the directory that you want to submit.") from error
    if path == Path("/"):
        raise LocalError("The root directory cannot be submitted. Go to the directory of your code first.")
    if home is not None and path == Path(home).resolve():
        return "home"
    return legal_name(path.name)


def legal_name(text: str) -> str:
    """Return a project's name made of any text."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")[:100]
    return name or "project"
