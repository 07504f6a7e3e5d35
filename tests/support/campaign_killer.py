"""Kills service, sampler, hub and containers, as a seed says: at any moment, or at a step of a lease or an attempt."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from collections import Counter

from campaign_platform import CampaignPlatform
from docker.errors import APIError
from engine_gate import Step
from gpu_witness import GPUWitness

from himalia.container import Label

VICTIMS = {"service": 5, "hub": 3, "sampler": 2, "proxy": 0.3}
BY_HAND = {"docker kill": 0.08, "docker start": 0.08, "sampler hangs": 0.03}  #: how often, after a kill
STEP_SECONDS = 4.0  #: how long a step is waited for; then it is any moment
FREE = "any moment"


class Killer:
    """Kills once in a few starts; `kills` counts by victim and moment."""

    def __init__(self, seed: int, kills: int, starts_per_kill: float) -> None:
        self.kills: Counter[tuple[str, str]] = Counter()
        self.by_hand: Counter[str] = Counter()
        self.touched: set[str] = set()  #: jobs whose container somebody killed or started by hand
        self.platform: CampaignPlatform | None = None
        self._draw = random.Random(f"killer {seed}")
        self._left = kills
        self._starts_per_kill = starts_per_kill
        self._armed: tuple[Step, str] | None = None
        self._happened = threading.Event()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.wrong: list[str] = []

    @property
    def total(self) -> int:
        """How often service, hub and sampler were killed."""
        return sum(count for (victim, _), count in self.kills.items() if victim != "proxy")

    @property
    def has_done(self) -> bool:
        """Whether all its kills are done."""
        return self.total >= self._left

    def start(self, platform: CampaignPlatform, witness: GPUWitness) -> None:
        """Begin."""
        self.platform = platform
        self._thread = threading.Thread(target=self._run, args=(witness,), name="killer")
        self._thread.start()

    def stop(self) -> None:
        """Kill nothing more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(60)

    def at_step(self, step: Step, pid: int) -> bool:
        """Hear of a step from the gate; kill if this is what was waited for. Return whether who takes the step is dead."""
        with self._lock:
            if self._armed is None or self._armed[0] is not step or self.platform is None:
                return False
            victim = self._armed[1]
            self._armed = None
            asks = pid in (self.platform.pid("service"), self.platform.pid("hub"))
            dead = asks and pid == self.platform.pid(victim)
            if self.platform.send(victim, signal.SIGKILL):
                self.kills[victim, step] += 1
            self._happened.set()
            return dead

    def _run(self, witness: GPUWitness) -> None:
        try:
            due = float(witness.total)
            while not self.has_done and not self._stop.is_set():
                due += self._draw.uniform(0, 2 * self._starts_per_kill)
                while witness.total < due and not self._stop.is_set():
                    time.sleep(0.02)
                self._kill()
                self._by_hand()
        except Exception as error:
            self.wrong.append(f"the killer ended: {error!r}")

    def _kill(self) -> None:
        assert self.platform is not None
        victim = self._draw.choices(list(VICTIMS), list(VICTIMS.values()))[0]
        moment = self._draw.choice([FREE, FREE, *Step])
        if moment != FREE and victim in ("service", "hub"):
            self._happened.clear()
            with self._lock:
                self._armed = (Step(moment), victim)
            if self._happened.wait(STEP_SECONDS):
                return
            with self._lock:
                if self._armed is None:
                    return
                self._armed = None
        else:
            self._stop.wait(self._draw.uniform(0, 0.5))
        deadline = time.monotonic() + 30
        while not self.platform.send(victim, signal.SIGKILL):
            assert time.monotonic() < deadline, f"the {victim} did not come back within 30 s"
            time.sleep(0.02)
        self.kills[victim, FREE] += 1

    def _by_hand(self) -> None:
        """Let somebody kill a running container, or start one that has ended, past Himalia."""
        assert self.platform is not None
        for what, chance in BY_HAND.items():
            if self._draw.random() > chance:
                continue
            if what == "sampler hangs":
                self.by_hand[what] += self.platform.send("sampler", signal.SIGSTOP)
                continue
            wanted = {"status": "running" if what == "docker kill" else "exited"}
            label = [f"{Label.INSTALLATION}={self.platform.place.installation}"]
            label += [f"{Label.KIND}=job"] if what == "docker start" else []
            found = self.platform.docker.containers.list(
                all=True, sparse=True, ignore_removed=True, filters=wanted | {"label": label}
            )
            if not found:
                continue
            one = self._draw.choice(sorted(found, key=lambda container: str(container.attrs["Names"])))
            self.touched.add(one.attrs["Labels"].get(Label.JOB, ""))
            with contextlib.suppress(APIError):  # it ended, or was removed, in this moment
                one.kill() if what == "docker kill" else one.start()
                self.by_hand[what] += 1
