"""How long from a submit to the first line of output, beside `docker run` of the same image and command."""

from __future__ import annotations

import subprocess
import time

from measuring import Report, main, one_person

import himalia

IMAGE = "himalia/server:dev"
COMMAND = ["echo", "hello"]
SETTINGS = '[[profiles]]\nname = "small"\ncpus = 1\nmemory = "1G"\n'


def measure(rounds: int) -> Report:
    """Measure submit to first line through the whole service, and `docker run`, in turn."""
    report = Report(title="From submit to the first line of output")
    service, engine = [], []
    with one_person(SETTINGS) as (client, folder):
        submitted(client, folder)
        docker_run()
        for _ in range(rounds):
            service.append(submitted(client, folder))
            engine.append(docker_run())
    report.add("docker run", "s", engine)
    report.add("himalia submit", "s", service, beside="docker run")
    report.notes.append(
        "himalia submit: an unchanged directory with one file, by the SDK, log followed from the first byte"
    )
    return report


def submitted(client: himalia.Client, folder: str) -> float:
    """Return seconds from the call of submit to the first bytes of the log."""
    begun = time.monotonic()
    job = himalia.submit(folder, command=COMMAND, project="bench", client=client)
    first = next(iter(job.log(follow=True)))
    seconds = time.monotonic() - begun
    assert first.startswith(b"hello"), first
    # The next round must not share the machine with the end of this one.
    job.wait(60)
    return seconds


def docker_run() -> float:
    """Return seconds from the call of `docker run` to the first line."""
    begun = time.monotonic()
    with subprocess.Popen(["docker", "run", "--rm", IMAGE, *COMMAND], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        seconds = time.monotonic() - begun
        process.wait(60)
    assert first == b"hello\n", first
    return seconds


if __name__ == "__main__":
    main(measure, rounds=9)
