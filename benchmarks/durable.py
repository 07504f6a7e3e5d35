"""How many moves of jobs a second are on the disk, beside how many containers a second the Engine runs: G15."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from measuring import Bound, Report, cpu_of, in_turn, main
from measuring.bare import BareEngine, bare_engine

from himalia.ids import new_id
from himalia.states import JobState
from himalia.units import MiB
from himalia_jobs.store import Database, jobs, projects
from himalia_jobs.store.moves import move
from himalia_jobs.store.schema import open_database

IMAGE = "himalia/server:dev"
LIVES, CONTAINERS = 30, 3
LIFE = (JobState.STARTING, JobState.RUNNING, JobState.COLLECTING, JobState.SUCCEEDED)
LEAST = 30.0
LIKE = {
    "owner_id": "o" * 12,
    "owner": "user:ada",
    "user_id": "o" * 12,
    "user": "ada",
    "project": "bench",
    "name": "train",
    "profile": "small",
    "image": IMAGE,
    "image_id": f"sha256:{'0' * 64}",
    "cpus": 1.0,
    "memory_bytes": 1 << 30,
    "gpus": "0",
    "timeout_seconds": 3600,
    "retries": 0,
    "spec": {"command": ["python3", "train.py"], "env": {}},
    "teams": {},
}


def measure(rounds: int) -> Report:
    """Measure moves a second, each in a transaction that is on the disk before the next, and containers a second, in turn."""
    report = Report(title="Moves of jobs that survive a power cut")
    with (
        tempfile.TemporaryDirectory(prefix="himalia-bench-") as folder,
        closing(open_database(Path(folder) / "himalia.sqlite")) as database,
        bare_engine(IMAGE, "none", cpus=1, memory_bytes=256 * MiB) as engine,
    ):
        taken = in_turn(rounds, {"himalia": moves(database), "SDK": lambda: containers(engine)})
    report.judge(
        "G15",
        "moves of jobs a second, each on the disk",
        "1/s",
        taken["himalia"].samples,
        taken["SDK"].samples,
        bound=Bound(limit=LEAST, at_least=True),
        other_side="containers/s, SDK",
        cpu_seconds=cpu_of(taken),
    )
    return report


def moves(database: Database) -> Callable[[], float]:
    """Return what takes jobs through their lives, one move a transaction, and says how many moves a second that were."""
    project = database.write_now(lambda db: projects.ensure(db, "o" * 12, "user:ada", "bench"))

    def add() -> str:
        values = {"id": new_id(), "project_id": project.id, **LIKE}
        return database.write_now(lambda db: jobs.add(db, values)).id

    async def live(ids: list[str]) -> None:
        for job_id in ids:
            for state in LIFE:
                assert await database.write(partial(move, job_id=job_id, state=state))

    def measured() -> float:
        ids = [add() for _ in range(LIVES)]
        begun = time.monotonic()
        asyncio.run(live(ids))
        return LIVES * len(LIFE) / (time.monotonic() - begun)

    return measured


def containers(engine: BareEngine) -> float:
    """Return how many containers a second the Engine makes, runs and removes."""
    begun = time.monotonic()
    for _ in range(CONTAINERS):
        engine.run(["true"])
    return CONTAINERS / (time.monotonic() - begun)


if __name__ == "__main__":
    main(measure, rounds=9)
