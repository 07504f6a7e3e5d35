"""`himalia-platform people` and `reattach`: who was here, and giving back to a person what is kept of them.

Both ask the job service with its own token, which root alone can read: the service knows whom the hub has now and what
runs, and nobody else writes its database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from himalia.errors import HimaliaError, LocalError, from_json
from himalia.models import Attached, KnownPerson
from himalia.units import format_size

from .place import Place

TIMEOUT_SECONDS = 60.0
SILENT = "The job service does not answer. Start the platform (`himalia-platform up`), then try again."
COLUMNS = ("ID", "NAME", "IN THE HUB", "CREATED", "LAST SEEN", "JOBS")


def people(place: Place) -> list[KnownPerson]:
    """Return all who were ever here."""
    return [KnownPerson.model_validate(person) for person in _ask(place, "GET", "people")["people"]]


def reattach(place: Place, name: str, key: str, *, force: bool) -> list[str]:
    """Give a user of the hub what is kept under an internal id; return what that means, in sentences."""
    body = {"name": name, "force": force}
    attached = Attached.model_validate(_ask(place, "POST", f"people/{quote(key, safe='')}/attach", json=body))
    person, before = attached.person, attached.before
    said = [f"{name} is {person.id} now: its home, its storage and its jobs ({person.job_count}) are theirs."]
    if before is not None:
        said.append(
            f"What {name} had until now (jobs: {before.job_count}) stays under {before.id}; `himalia-platform reattach {name} {before.id}` "
            "brings it back."
        )
    return said


def table(found: Sequence[KnownPerson], *, sizes: bool) -> list[str]:
    """Return the lines of a table; with sizes, each person's files are counted, which may take minutes."""
    rows = [COLUMNS + (("SIZE",) if sizes else ()), *(_row(person, sizes=sizes) for person in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(person: KnownPerson, *, sizes: bool) -> tuple[str, ...]:
    seen = f"{person.last_seen:%Y-%m-%d %H:%M}" if person.last_seen else "-"
    row = (
        person.id,
        person.name or "-",
        "yes" if person.present else "no",
        person.created[:16].replace("T", " ") or "-",
        seen,
        str(person.job_count),
    )
    return (*row, format_size(sum(map(_size, map(Path, person.directories))))) if sizes else row


def _size(folder: Path) -> int:
    """Return what a directory takes of the disk, as `du` counts it; links are not followed."""
    return sum(_blocks(folder)) * 512


def _blocks(folder: Path) -> Iterator[int]:
    several: set[tuple[int, int]] = set()  #: files with several names, which count once
    for path, _, files in os.walk(folder):
        for entry in (path, *(os.path.join(path, name) for name in files)):
            try:
                state = os.lstat(entry)
            except OSError:
                continue  # it has gone meanwhile
            if state.st_nlink > 1 and entry != path:
                if (state.st_dev, state.st_ino) in several:
                    continue
                several.add((state.st_dev, state.st_ino))
            yield state.st_blocks


def _ask(place: Place, method: str, path: str, **options: Any) -> Any:
    """Return the service's answer; raise its own error, or LocalError when it is not there."""
    headers = {"Authorization": f"Bearer {place.credentials.service_token}"}
    try:
        answer = httpx.request(
            method, f"{place.service_url}/{path}", headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False, **options
        )
        body = answer.json()
    except (httpx.TransportError, ValueError) as error:
        raise LocalError(SILENT) from error
    if answer.is_success:
        return body
    refused: HimaliaError = from_json(answer.status_code, body)
    raise refused
