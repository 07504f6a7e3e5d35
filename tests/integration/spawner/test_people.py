"""A person whom the hub forgot gets their directories and jobs back, by the operator's command on a platform that runs."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
from live_platform import LivePlatform, run

import himalia
from himalia.states import JobState
from himalia_spawner.platform.person import Person

NAME = "penelope"  #: nobody else's: the hub forgets this person, and what others hold of theirs


def command(live: LivePlatform, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the operator's command."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HIMALIA_")}
    program = str(Path(sys.executable).with_name("himalia-platform"))
    return subprocess.run(
        [program, "--config", str(live.place.config), *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=120,
    )


def known(live: LivePlatform) -> dict[str, list[str]]:
    """Return the lines about the person in what `people` says, by internal id."""
    done = command(live, "people", "--sizes")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0][:2] == ["ID", "NAME"]
    return {row[0]: row for row in rows if row[1] == NAME}


def in_server(live: LivePlatform, script: str) -> str:
    """Run a script in the person's server."""
    (server,) = [
        found for found in live.containers("server") if found.attrs["Labels"]["himalia.owner"] == f"user:{NAME}"
    ]
    return live.docker.containers.get(server.id).exec_run(["sh", "-c", script]).output.decode()


def test_a_person_whom_the_hub_forgot_gets_home_storage_and_jobs_back(live):
    with Person(live.url, NAME) as penelope:
        penelope.log_in(live.password)
        penelope.start_server("cpu")
        in_server(live, "echo mine > ~/here; echo mine > /storage/there")
        penelope.stop_server()
        with closing(himalia.Client(live.service_url, penelope.token)) as client:
            job = run(client, "echo kept")
        assert job.state is JobState.SUCCEEDED
    ((old, row),) = known(live).items()
    assert row[2] == "yes"
    headers = {"Authorization": f"Bearer {live.person('root-admin').token}"}
    assert httpx.delete(f"{live.url}/hub/api/users/{NAME}", headers=headers, timeout=30).status_code == 204

    with Person(live.url, NAME) as penelope:
        penelope.log_in(live.password)
        penelope.start_server("cpu")
        assert "mine" not in in_server(live, "cat ~/here /storage/there")
        early = command(live, "reattach", NAME, old)
        penelope.stop_server()
        (new,) = known(live).keys() - {old}
        assert (known(live)[old][2], known(live)[new][2]) == ("no", "yes")

        done = command(live, "reattach", NAME, old)

        assert (early.returncode, done.returncode) == (1, 0), early.stderr + done.stderr
        assert f"{NAME} has 1 server and 0 jobs" in early.stderr
        assert f"{NAME} is {old} now" in done.stdout
        assert f"`himalia-platform reattach {NAME} {new}` brings it back" in done.stdout
        penelope.start_server("cpu")
        assert in_server(live, "cat ~/here /storage/there").split() == ["mine", "mine"]
        penelope.stop_server()
        with closing(himalia.Client(live.service_url, penelope.token)) as client:
            assert [found.id for found in client.jobs()] == [job.id]
    assert (known(live)[old][2], known(live)[new][2]) == ("yes", "no")
    assert f"AUDIT: by the operator's command {NAME}" in live.log("service")


def test_ids_and_names_that_are_not_there_are_told(live):
    refused = command(live, "reattach", "root-admin", "a" * 12), command(live, "reattach", "nobody-yet", "a" * 12)

    assert [done.returncode for done in refused] == [1, 1]
    assert "`himalia-platform people` lists the ids" in refused[0].stderr
    assert "Let them log in once" in refused[1].stderr
    assert "Traceback" not in refused[0].stderr + refused[1].stderr
