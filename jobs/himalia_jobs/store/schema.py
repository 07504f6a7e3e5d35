"""Opening the database: it is made, brought forward, or refused with a sentence."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import himalia_jobs.migrations
from himalia.errors import Unavailable

from .database import Database


def open_database(file: Path) -> Database:
    """Return the database, of this code's version; raise Unavailable with what to do when it must not be used."""
    if file.exists():
        _check_integrity(file)
    database = Database(file)
    try:
        _bring_forward(database)
    except BaseException:
        database.close()
        raise
    return database


def _check_integrity(file: Path) -> None:
    try:
        with sqlite3.connect(file, timeout=30) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        connection.close()
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        raise Unavailable(
            f"The database {file} is damaged ({verdict}). Nothing was changed. Put a backup in its place, or move it "
            "away and start with --adopt to take the running containers over."
        )


def _bring_forward(database: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(himalia_jobs.migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    with database.engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        connection.rollback()
        if current == scripts.get_current_head():
            return
        if current is not None:
            if current not in {script.revision for script in scripts.walk_revisions()}:
                raise Unavailable(
                    f"The database {database.file} was written by a newer Himalia (step {current}). Nothing was "
                    "changed. Start the newer version, or put the backup of this version in its place."
                )
            shutil.copy2(database.file, database.file.with_suffix(f".before-{scripts.get_current_head()}.sqlite"))
        config.attributes["connection"] = connection
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        command.upgrade(config, "head")
        connection.commit()
