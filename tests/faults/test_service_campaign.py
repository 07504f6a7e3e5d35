"""`kill -9` of the job service under a stream of jobs, at any moment and at each step of a container: none is lost, none runs twice.

The service is the real program with its database, its journal and its disk; the Docker Engine is one in memory, so that
hundreds of lives fit into minutes. Real containers are in `test_campaign.py`. `make campaign` runs it long.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter

import pytest
from docker_engine import FakeDockerEngine
from figures_told import tell_figure
from job_stream import JobStream, left_over, untruths
from live_platform import eventually
from own_service import SETTINGS, OwnService

LONG = bool(os.environ.get("HIMALIA_CAMPAIGN"))
KILLS = int(os.environ.get("HIMALIA_CAMPAIGN_SERVICE_KILLS", "240" if LONG else "6"))
SEED = int(os.environ.get("HIMALIA_CAMPAIGN_SEED") or (random.SystemRandom().randrange(10**6) if LONG else 7))
STEPS = tuple(
    f"{when} {what}"
    for what in ("volume", "create", "start", "stop", "removal", "volume removal")
    for when in ("before", "after")
)
STEP_SECONDS = 3.0  #: how long a step is waited for; then it is any moment
FREE, EARLY = "any moment", "while it starts"


class Killer:
    """Kills the service's process, and starts it again; `kills` counts by moment."""

    def __init__(self, seed: int) -> None:
        self.kills: Counter[str] = Counter()
        self.service: OwnService | None = None
        self._draw = random.Random(f"killer {seed}")
        self._armed = ""
        self._lock = threading.Lock()
        self._dead = threading.Event()

    def at_step(self, step: str) -> bool:
        """Hear of a step; kill if this is what was waited for."""
        with self._lock:
            if step != self._armed or self.service is None or self.service.process is None:
                return self._dead.is_set()
            self._armed = ""
            self.service.process.kill()
            self.kills[step] += 1
            self._dead.set()
            return True

    def kill_once(self) -> None:
        """Kill at a moment that is drawn, and start the service again."""
        assert self.service is not None and self.service.process is not None
        moment = self._draw.choice([FREE, FREE, FREE, EARLY, *STEPS])
        if moment in STEPS:
            with self._lock:
                self._armed = moment
            self._dead.wait(STEP_SECONDS)
        else:
            self._dead.wait(self._draw.uniform(0, 1.5))
        with self._lock:
            self._armed = ""
            if not self._dead.is_set():
                self.kills[EARLY if moment == EARLY else FREE] += 1
                self.service.process.kill()
                self._dead.set()
        self.service.process.wait(30)
        self._dead.clear()
        if moment == EARLY:
            self.service.begin()
        else:
            self.service.start()


@pytest.mark.fault(1)
@pytest.mark.fault(3)
@pytest.mark.fault(4)
@pytest.mark.fault(5)
@pytest.mark.timeout(300 + 30 * KILLS)
def test_no_job_is_lost_or_runs_twice_whenever_the_service_is_killed(tmp_path):
    killer = Killer(SEED)
    engine = FakeDockerEngine(killer.at_step)
    service = OwnService(tmp_path, settings=SETTINGS)
    service.environment = {"DOCKER_HOST": engine.host}
    stream = JobStream(service, tmp_path, SEED)
    print(f"\nHIMALIA_CAMPAIGN_SEED={SEED}: {KILLS} kills of the service")
    try:
        service.start()
        killer.service = service
        stream.start()
        for _ in range(KILLS):
            killer.kill_once()
            assert (stream.wrong, engine.wrong) == ([], []), f"seed {SEED}"
        eventually(lambda: service.complaints() == "")
        stream.stop()
        stream.come_to_rest()

        assert (stream.wrong, engine.wrong) == ([], []), f"seed {SEED}"
        assert untruths(stream, engine) == [], f"seed {SEED}"
        eventually(lambda: not left_over(service, engine), 60)
    finally:
        stream.close()
        service.end()
        engine.close()
    tell_figure(
        f"{sum(killer.kills.values())} kills of the service's process, seed {SEED}",
        f"{len(stream.taken)} jobs taken, {sum(engine.starts.values())} containers started: 0 lost, 0 twice, 0 left over",
    )
    for moment, count in sorted(killer.kills.items()):
        tell_figure(f"  killed {moment}", str(count))
