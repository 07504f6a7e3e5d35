"""Fixtures for all tests.

`live`           a real platform that runs: proxy, hub, job service, four simulated GPUs (one for the whole run); its
                 jobs end with the test, its servers with the module, so that nobody waits for another test's share
`holders`        jobs of bob there that hold all four GPUs; afterwards nobody's server is left in line
`client`         makes the SDK's client of somebody who is logged in there: `client("ada")`
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from live_platform import LivePlatform

    import himalia

TOLD = Path(__file__).parents[1] / "build" / "told"

# How long one example takes says how busy the machine is, and nothing about the code.
settings.register_profile("himalia", deadline=None)
settings.load_profile("himalia")

SETTINGS = """
[auth]
admins = ["root-admin"]

[limits]
stop_grace = "2s"
disk_reserve = "64M"

[queue]
retry_pause = "1s"

[gpus]
simulate = 4

[idle]
warning = "3m"
keep_for = "10m"
without_gpus_after = "1h"

[teams]
nlp = ["ada", "bob"]

[[profiles]]
name = "cpu"
title = "CPU"
cpus = 0.5
memory = "1G"
max_time_limit = "1d"

[[profiles]]
name = "gpu"
title = "One GPU"
cpus = 0.25
memory = "512M"
gpus = "1"

[[profiles]]
name = "idle"
cpus = 0.25
memory = "512M"
gpus = "1"
idle_after = "185s"
max_age = "1d"

[[profiles]]
name = "tiny"
cpus = 0.1
memory = "64M"

[[profiles]]
name = "for-nlp"
cpus = 0.1
memory = "64M"
teams = ["nlp"]
"""


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share the tests between two processes (`-n 2`)."""
    from two_processes import Shared

    return Shared(config, log)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what long runs of faults came to (`make campaign`), and leave for `make bench` what they judged."""
    from figures_told import table, tell_goals

    tell_goals(TOLD, terminalreporter.stats, campaign=bool(os.environ.get("HIMALIA_CAMPAIGN")))
    if os.environ.get("HIMALIA_CAMPAIGN") and (told := table()):
        terminalreporter.section("what the campaign came to")
        terminalreporter.write_line(told)


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    """The platform of the whole run, for `live`."""
    from live_platform import LivePlatform

    platform = LivePlatform(tmp_path_factory.mktemp("live"), SETTINGS)
    try:
        platform.start()
        yield platform
    finally:
        platform.end()


@pytest.fixture(scope="module")
def live(whole_run: LivePlatform) -> Iterator[LivePlatform]:
    """A real platform that runs."""
    yield whole_run
    whole_run.stop_servers()
    whole_run.see_that_all_is_given_back()


@pytest.fixture(autouse=True)
def _jobs_end_with_their_test(request: pytest.FixtureRequest) -> Iterator[None]:
    platform = request.getfixturevalue("live") if "live" in request.fixturenames else None
    yield
    if platform is not None:
        platform.end_jobs()


@pytest.fixture
def client(live: LivePlatform) -> Iterator[Callable[[str], himalia.Client]]:
    """Makes the client of somebody who is logged in."""
    made: list[himalia.Client] = []

    def make(name: str) -> himalia.Client:
        made.append(live.client(name))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def holders(live: LivePlatform, client: Callable[[str], himalia.Client]) -> Iterator[list[himalia.Job]]:
    """Jobs that hold all GPUs; nobody's server is left in line afterwards."""
    from live_platform import eventually, run

    bob = client("bob")
    jobs = [run(bob, ["sleep", "600"], profile="tiny", gpus="1", wait=False) for _ in range(4)]
    eventually(lambda: all(job.refresh().state == "running" for job in jobs))
    yield jobs
    live.leave_the_line()
    live.stop_servers()
