"""Bringing a platform up and down."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx

from himalia.errors import LocalError
from himalia.units import counted

from .engine import stop_containers
from .orphans import end_orphans
from .place import Place, write_config, write_hub_config
from .programs import Program, check_ports, check_programs, programs
from .supervising import Supervisor
from .systemd import UNITS, has_units, systemctl, unit_state

READY_DEADLINE_SECONDS = 90.0
FAILING_DEADLINE_SECONDS = 10.0  #: for a process that ends again and again
AGAIN_SECONDS = 0.1
LOG_LINES = 30
Say = Callable[[str], None]


def prepare(config: Path, say: Say, changes: dict[str, str] | None = None) -> Place:
    """Return the installation; write a first himalia.toml where there is none."""
    if not config.exists():
        write_config(config, changes)
        say(f"Wrote {config}. Edit it, then run this again to change what is offered; it works as it is.")
    return Place.load(config)


def bring_up(place: Place, say: Say) -> None:
    """Start job service, proxy and hub, in this order, each once the one before is up."""
    check_programs()
    write_hub_config(place)
    if has_units(place):
        systemctl("start", *UNITS)
        for program in programs(place):
            _wait_until_answers(place, program)
        say("Job service, proxy and hub are up, under systemd.")
    else:
        _bring_up_supervised(place, say)
    for sentence in health(place):
        say(f"The job service says: {sentence}")


def bring_down(place: Place, say: Say, *, everything: bool) -> None:
    """Stop the three processes; with `everything` also the servers and jobs, which live on otherwise."""
    supervisor = Supervisor(place)
    if has_units(place):
        systemctl("stop", *UNITS)
        say("Proxy, hub and job service are stopped; they start again with the machine.")
    elif supervisor.answers():
        supervisor.end()
        say("Proxy, hub and job service are stopped.")
    elif end_orphans(place):
        say("Proxy, hub and job service had lost their supervisor; they are stopped.")
    else:
        say("Proxy, hub and job service were not running (as far as `himalia-platform up` started them).")
    if everything:
        servers, jobs = stop_containers(place.installation)
        say(f"Ended {counted(servers, 'notebook server')} and {counted(jobs, 'job')}.")


def health(place: Place) -> list[str]:
    """Return what the job service says about itself; a sentence also when it does not answer."""
    try:
        answer = httpx.get(f"{place.service_url}/health", timeout=10.0, trust_env=False)
        return [str(sentence) for sentence in answer.json().get("sentences", [])]
    except (httpx.TransportError, ValueError, AttributeError):
        return [f"It does not answer. Its log: {place.log_dir / 'service.log'}."]


def answers(url: str) -> bool:
    """Tell whether something answers there, whatever it says about itself."""
    try:
        # The certificate is not looked at: this asks this very machine whether it listens.
        status = httpx.get(url, timeout=5.0, trust_env=False, verify=False).status_code
    except httpx.TransportError:
        return False
    return status < 500 or status == 503


def _bring_up_supervised(place: Place, say: Say) -> None:
    supervisor, wanted = Supervisor(place), programs(place)
    if not supervisor.answers():
        if end_orphans(place):
            say("The supervisor was gone; what it had started is started anew.")
        check_ports(place)
        supervisor.begin(wanted)
    for program in wanted:
        begun = time.monotonic()
        supervisor.start(program.name)
        _wait_until_ready(place, supervisor, program)
        say(f"The {program.title} is up ({time.monotonic() - begun:.1f} s).")


def _wait_until_answers(place: Place, program: Program) -> None:
    deadline = time.monotonic() + READY_DEADLINE_SECONDS
    while not answers(program.ready_url):
        if time.monotonic() > deadline:
            raise LocalError(
                f"The {program.title} does not answer ({unit_state(program.name)}). Look at `journalctl -u 'himalia-*'`."
            )
        time.sleep(AGAIN_SECONDS)


def _wait_until_ready(place: Place, supervisor: Supervisor, program: Program) -> None:
    begun = time.monotonic()
    while not answers(program.ready_url):
        state = supervisor.state(program.name)
        deadline = begun + (FAILING_DEADLINE_SECONDS if state.failing else READY_DEADLINE_SECONDS)
        if not state.running or time.monotonic() > deadline:
            log = place.log_dir / f"{program.name}.log"
            raise LocalError(f"The {program.title} did not start ({state.words}). The end of {log}:\n{_tail(log)}")
        time.sleep(AGAIN_SECONDS)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:]) if log.exists() else "(empty)"
