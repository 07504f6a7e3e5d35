"""Where things lie under the data directory. Directories are named by internal ids, so that a path never holds a ':' or ','."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from himalia.container import identity_of
from himalia.ids import split_attempt


@dataclass(frozen=True, kw_only=True)
class DataLayout:
    """The paths of one installation."""

    data: Path

    @property
    def database(self) -> Path:
        """The service's database."""
        return self.data / "himalia.sqlite"

    @property
    def owners(self) -> Path:
        """Says whose each directory under `homes`, `storage` and `teams` is."""
        return self.data / "owners.txt"

    @property
    def simulated_load(self) -> Path:
        """Says what simulated GPUs pretend to do; nobody but a test or a demonstration writes it."""
        return self.data / "simulated_load.json"

    @property
    def disk_use(self) -> Path:
        """Says what homes, storages and teams took when they were looked at last."""
        return self.data / "disk_use.json"

    @property
    def engine(self) -> Path:
        """The engine's own directory: its journal."""
        return self.data / "engine"

    @property
    def launcher(self) -> Path:
        """The launcher's directory as containers mount it."""
        return self.data / "engine" / "launcher"

    @property
    def fetches(self) -> Path:
        """Repositories that are fetched now; empty between two lives of the service."""
        return self.data / "fetches"

    def home(self, user_id: str) -> Path:
        """A person's home."""
        return self.data / "homes" / user_id

    def storage(self, user_id: str) -> Path:
        """A person's storage."""
        return self.data / "storage" / user_id

    def team(self, team_id: str) -> Path:
        """A team's storage."""
        return self.data / "teams" / team_id

    def job(self, job_id: str) -> Path:
        """All that a job's attempts left."""
        return self.data / "jobs" / job_id

    def attempt(self, attempt: str) -> Path:
        """An attempt's directory: `upper`, `work`, `artifacts`, `run`, `home`."""
        job_id, number = split_attempt(attempt)
        return self.job(job_id) / str(number)


def make_owned(path: Path, user: str) -> Path:
    """Make a directory that containers of a person mount: 0700, owned by what they run as."""
    if not path.is_dir():
        path.mkdir(parents=True, mode=0o700, exist_ok=True)
    identity = identity_of(user)
    state = path.stat()
    if (state.st_uid, state.st_gid) != (identity.uid, identity.gid):
        os.chown(path, identity.uid, identity.gid)
    return path
