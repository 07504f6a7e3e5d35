"""How long until a notebook server can be used, beside the stock DockerSpawner with the same image and limits."""

from __future__ import annotations

import time

from measuring import Report, main, own_platform
from measuring.stock_hub import stock_person

from himalia_spawner.platform.person import Person

IMAGE = "himalia/server:dev"
CPUS, MEMORY = 2.0, "2G"
SETTINGS = f'[gpus]\nsimulate = 1\n[[profiles]]\nname = "lab"\ncpus = {CPUS:g}\nmemory = "{MEMORY}"\ngpus = "1"\n'
POLL_SECONDS = 0.02


def measure(rounds: int) -> Report:
    """Measure a press on Start until /lab is served: our spawner with a GPU's lease, and DockerSpawner, in turn."""
    report = Report(title="From a press on Start to a usable Lab")
    ours, stock = [], []
    with (
        own_platform(SETTINGS) as platform,
        stock_person("ada", image=IMAGE, cpus=CPUS, memory=MEMORY) as at_stock,
    ):
        at_ours = platform.person("ada")
        spawned(at_ours)
        spawned(at_stock)
        for _ in range(rounds):
            ours.append(spawned(at_ours))
            stock.append(spawned(at_stock))
    report.add("DockerSpawner", "s", stock)
    report.add("himalia, with a lease", "s", ours, beside="DockerSpawner")
    return report


def spawned(person: Person) -> float:
    """Return seconds from the request to a Lab that is served through the proxy; the server is stopped afterwards."""
    begun = time.monotonic()
    person.start_server("lab")
    while person.get(f"user/{person.name}/lab").status_code != 200:
        time.sleep(POLL_SECONDS)
    seconds = time.monotonic() - begun
    person.stop_server()
    return seconds


if __name__ == "__main__":
    main(measure, rounds=9)
