"""SQLite: one thread that writes, a few that read; write-ahead log and `synchronous=FULL`, so that a power cut loses nothing acknowledged."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool

from himalia.errors import DiskFull, Unavailable

Result = TypeVar("Result")
READERS = 4
BUSY_SECONDS = 30


class Database:
    """The service's database; `write` and `read` take a function of a connection and run it in their own threads."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.engine = create_engine(
            f"sqlite:///{file}",
            poolclass=QueuePool,
            pool_size=READERS + 1,
            max_overflow=0,
            connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
        )
        event.listen(self.engine, "connect", _set_up)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="db-write")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="db-read")

    async def write(self, change: Callable[[Connection], Result]) -> Result:
        """Run a change in one transaction; it is on disk when this returns."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self.write_now, change)

    async def read(self, query: Callable[[Connection], Result]) -> Result:
        """Run a query against one consistent state."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, query)

    def write_now(self, change: Callable[[Connection], Result]) -> Result:
        """Do as `write`, in the caller's thread."""
        try:
            with self.engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                try:
                    result = change(connection)
                    connection.commit()
                except BaseException:
                    connection.rollback()
                    raise
                return result
        except OperationalError as error:
            raise _for_people(error) from error

    def read_now(self, query: Callable[[Connection], Result]) -> Result:
        """Do as `read`, in the caller's thread."""
        try:
            with self.engine.connect() as connection:
                connection.exec_driver_sql("BEGIN")
                try:
                    return query(connection)
                finally:
                    connection.rollback()
        except OperationalError as error:
            raise _for_people(error) from error

    def close(self) -> None:
        """Finish what is under way and close the file."""
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self.engine.dispose()


def _set_up(connection: Any, _record: object) -> None:
    """Prepare a new connection; transactions are begun by hand, because pysqlite's own way begins them late."""
    connection.isolation_level = None
    connection.text_factory = str
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16000"):
        connection.execute(f"PRAGMA {pragma}")


def _for_people(error: OperationalError) -> Exception:
    cause = str(error.orig)
    if isinstance(error.orig, sqlite3.OperationalError) and ("full" in cause or "disk I/O" in cause):
        return DiskFull(
            "The platform's data disk is full. Nothing is lost. Ask an administrator to make room, then try again."
        )
    if "locked" in cause or "busy" in cause:
        return Unavailable("The platform's database is busy. Try again in a moment.")
    return error
