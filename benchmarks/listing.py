"""How long a page of 50 jobs takes with many in the database, and what a job takes there: G14."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from measuring import Bound, Report, cpu_of, in_turn, main, own_service
from measuring.many_jobs import add_jobs

import himalia
from himalia_jobs.store import Database, jobs

if TYPE_CHECKING:
    from own_service import OwnService

FEW, MANY, MOST = 1_000, 200_000, 1_000_000  #: jobs; the last in a database that only its own queries read
BASE = 10_000
PAGE, LOOKS = 50, 5
RATIO = 2.0
SETTINGS = '[[profiles]]\nname = "small"\ncpus = 0.5\nmemory = "256M"\n'


def measure(rounds: int, scale: float = 1.0) -> Report:
    """Measure the first page, a page in the middle and the command line, with few jobs and with many, in turn."""
    report = Report(title=f"Pages of {PAGE} of many jobs")
    many = round(MANY * scale)
    with own_service(SETTINGS) as small, own_service(SETTINGS) as large:
        before = [fill(small, FEW), fill(large, FEW)]
        after = fill(large, many - FEW)
        report.add("of the database for a job", "bytes", [(after - before[1]) / (many - FEW)])
        ask = {f"{FEW:,} jobs": small, f"{many:,} jobs": large}
        compare(report, rounds, f"page of {PAGE} by the API", "ms", {name: api(one) for name, one in ask.items()})
        compare(report, rounds, "himalia jobs", "s", {name: command_line(one) for name, one in ask.items()})
        grown = round(MOST * scale)
        for one, count in ((small, BASE), (large, grown)):
            have = _count(one)
            one.stop()
            add_jobs(one.data / "himalia.sqlite", max(0, count - have), whole=False)
        with closing(_database(small)) as base, closing(_database(large)) as most:
            stores = {f"{BASE:,} jobs": base, f"{grown:,} jobs": most}
            for what, deep in ((f"newest {PAGE}, by the query", False), (f"{PAGE} in the middle, by the query", True)):
                compare(report, rounds, what, "ms", {name: query(one, deep=deep) for name, one in stores.items()})
    return report


def compare(report: Report, rounds: int, what: str, unit: str, sides: dict[str, Callable[[], float]]) -> None:
    """Measure the same with few jobs and with many, and judge it."""
    few, many = sides
    taken = in_turn(rounds, sides)
    cpu = cpu_of(taken)
    report.judge(
        "G14",
        f"{what}, {many}",
        unit,
        taken[many].samples,
        taken[few].samples,
        bound=Bound(limit=RATIO),
        other_side=f"with {few}",
        cpu_seconds=cpu,
    )


def fill(service: OwnService, count: int) -> int:
    """Give a service so many more jobs, all of one person; return how large its database is."""
    if _count(service) == 0:
        himalia.submit(None, command=["true"], project="bench", client=service.client()).wait(120)
    service.stop()
    file = service.data / "himalia.sqlite"
    add_jobs(file, count)
    service.start()
    return file.stat().st_size


def api(service: OwnService) -> Callable[[], float]:
    """Return what asks for the first page, and says how many milliseconds it took at the best of some looks."""
    headers = {"Authorization": "Bearer ada-token"}

    def ask() -> float:
        with httpx.Client(headers=headers, timeout=60, trust_env=False) as http:
            return 1000 * min(
                _timed(lambda: http.get(f"{service.url}/jobs?limit={PAGE}").raise_for_status()) for _ in range(LOOKS)
            )

    return ask


def command_line(service: OwnService) -> Callable[[], float]:
    """Return what runs `himalia jobs`, and says how many seconds it took."""
    program = [str(Path(sys.executable).with_name("himalia")), "jobs"]
    environment = os.environ | {"HIMALIA_API_URL": service.url, "HIMALIA_TOKEN": "ada-token"}
    return lambda: _timed(lambda: subprocess.run(program, env=environment, check=True, stdout=subprocess.DEVNULL))


def query(database: Database, *, deep: bool) -> Callable[[], float]:
    """Return what reads a page straight from the database, and says how many milliseconds it took at the best of some looks."""
    (newest,) = database.read_now(lambda db: jobs.page(db, owner_ids=None, limit=1))
    before = newest.number // 2 if deep else None

    def read() -> None:
        found = database.read_now(lambda db: jobs.page(db, owner_ids=[newest.owner_id], before=before, limit=PAGE + 1))
        assert len(found) == PAGE + 1

    return lambda: 1000 * min(_timed(read) for _ in range(LOOKS))


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _count(service: OwnService) -> int:
    with closing(_database(service)) as database:
        newest = database.read_now(lambda db: jobs.page(db, owner_ids=None, limit=1))
    return newest[0].number if newest else 0


def _database(service: OwnService) -> Database:
    return Database(service.data / "himalia.sqlite")


if __name__ == "__main__":
    main(measure, rounds=9, sized=True)
