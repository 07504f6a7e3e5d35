"""Looks at a database without opening it for work: nothing is made, nothing is brought forward."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

import himalia_jobs.migrations


@dataclass(frozen=True, kw_only=True)
class DatabaseState:
    """How a database is."""

    step: str | None  #: the last step of the schema that it has; None: it is empty
    known: bool  #: whether this code knows that step
    newest: bool  #: whether it is this code's last one
    damage: str = ""  #: what is broken; empty when nothing was found


def look_at(file: Path) -> DatabaseState:
    """Return how the database in a file is."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as connection:
            verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            step = _step(connection)
    except sqlite3.DatabaseError as error:
        return DatabaseState(step=None, known=False, newest=False, damage=str(error))
    config = Config()
    config.set_main_option("script_location", str(Path(himalia_jobs.migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    return DatabaseState(
        step=step,
        known=step is None or step in {script.revision for script in scripts.walk_revisions()},
        newest=step == scripts.get_current_head(),
        damage="" if verdict == "ok" else verdict,
    )


def _step(connection: sqlite3.Connection) -> str | None:
    tables = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
    if connection.execute(tables).fetchone() is None:
        return None
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found[0]) if found else None
