"""`himalia-platform demo`: the platform on this machine, and the main thing done once for real.

What all of it will change is said before by `tools/announce.sh`; here each step says what it does.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from himalia.errors import LocalError
from himalia.models import JobRequest, ProfileView
from himalia.site import Gpus
from himalia_gpus.inventory import inventory_for
from himalia_spawner.configuration import SHARED_PASSWORD, public_address
from himalia_spawner.passwords import load_passwords
from himalia_spawner.settings import caller, repository

from .person import Person
from .place import Place
from .queue_scene import show_the_queue
from .starting import Say, bring_up, prepare

USER = "demo"
EXAMPLE = Path("examples") / "digits"
ARTIFACTS = Path("demo-artifacts")
COMMAND = ["python3", "train.py"]
SIMULATED = 4
SIMULATE_LINE = "\n# simulate = 0\n"
PORT_LINE = "\n# port = 8000\n"


def run_demo(config: Path, say: Say, *, port: int | None = None) -> None:
    """Bring the platform up, run the example from inside a server, and say how to get in."""
    changes = {} if config.exists() else what_differs(port)
    example = repository() / EXAMPLE
    if not example.is_dir():
        raise LocalError(
            f"{example} is not there. Run this from the directory that was checked out, or set HIMALIA_ROOT."
        )
    place = prepare(config, say, changes)
    if port and place.site.platform.port != port:
        raise LocalError(f"{config} is there already. Change `port` under [platform] in it to {port}.")
    if place.site.auth.authenticator != SHARED_PASSWORD:
        raise LocalError(
            f"{config} has an authenticator of its own, so the demo cannot log in. Set HIMALIA_DATA to a new directory for it."
        )
    if place.site.gpus.simulate:
        say(
            f"The GPUs are simulated ({place.site.gpus.simulate}): leased and queued like real ones, with no device in the container."
        )
    bring_up(place, say)
    _main_thing(place, example, say)
    say(_how_to_get_in(place))


def job_of(directory: Path) -> dict[str, Any]:
    """Return the job that a directory's himalia-job.toml describes, or the usual one."""
    settings = directory / "himalia-job.toml"
    said = tomllib.loads(settings.read_text()) if settings.exists() else {}
    known = {name: value for name, value in said.items() if name in JobRequest.model_fields}
    return {"project": directory.name, "command": COMMAND} | known


def what_differs(port: int | None = None) -> dict[str, str]:
    """Return what the demo's himalia.toml has beside the defaults: a port that was asked for, simulated GPUs where there are none."""
    changes = {PORT_LINE: f"\nport = {port}\n"} if port else {}
    if not inventory_for(Gpus(), "demo").read().gpus:
        changes[SIMULATE_LINE] = f"\nsimulate = {SIMULATED}\n"
    return changes


def _main_thing(place: Place, example: Path, say: Say) -> None:
    """Start a server, submit the example from inside it, follow its log, download its artifacts; then let somebody wait."""
    password = load_passwords(place.site.data).user
    with Person(place.proxy_url, USER) as person:
        person.log_in(password)
        profile = best_profile(person.profiles())
        say(f"{USER} is logged in. Starting a notebook server with the profile {profile}.")
        person.start_server(profile)
        for gpu in person.gpus():
            say(f"It holds GPU {gpu.index} ({gpu.model}).")
        if person.has(example.name):
            say(f"~/{example.name} is there from an earlier run: it is submitted as it is, and finds its checkpoint.")
        else:
            person.upload(example, example.name)
        job = person.submit(example.name, job_of(example))
        say(f"Submitted {example.name} from inside the server: job {job.id}, {job.state}. Its log:")
        for part in person.follow(job.id):
            sys.stdout.buffer.write(part)
            sys.stdout.flush()
        ended = person.ended(job.id)
        files = person.download(job.id, ARTIFACTS)
        give_to_caller(ARTIFACTS)
        said = f"The job {ended.id} ended: {ended.state}. {ended.sentence}".rstrip()
        if ended.exit_code != 0:
            raise LocalError(said)
        say(f"{said}\nIts artifacts: {', '.join(str(file) for file in files) or 'none'}")
        show_the_queue(place, person, password, say)


def best_profile(offered: Sequence[ProfileView]) -> str:
    """Return the first profile with a GPU that is free now; else the first."""
    if not offered:
        raise LocalError("No profile is offered for notebook servers. Add one to himalia.toml.")
    return next((found.name for found in offered if found.gpus != "0" and found.free_now), offered[0].name)


def give_to_caller(directory: Path) -> None:
    """Give a directory to the person who ran this with sudo: they asked for it."""
    owner = caller()
    if owner is not None:
        for path in (directory, *directory.rglob("*")):
            os.chown(path, *owner, follow_symlinks=False)


def _how_to_get_in(place: Place) -> str:
    """Return the address, the login, and the way in for a machine without a screen."""
    platform = place.site.platform
    password = load_passwords(place.site.data).user
    return (
        f"\nThe platform is running:  {public_address(place.site) or place.proxy_url}\n"
        f"Log in as:                any name, such as {USER}, with the password {password}\n"
        f"                          (kept in {place.site.data / 'secrets' / 'login_password'})\n"
        f"From your own computer:   ssh -L {platform.port}:127.0.0.1:{platform.port} YOU@THIS-MACHINE, then http://127.0.0.1:{platform.port}/\n"
        "Stop it:                  make down        Remove it all: make purge"
    )
