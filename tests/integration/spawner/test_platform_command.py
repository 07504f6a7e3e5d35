"""`himalia-platform` on this machine: up, status, deaths, down, purge, with the real job service."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest

from himalia_spawner.passwords import load_passwords
from himalia_spawner.platform.engine import belongings, remove_belongings, remove_rules
from himalia_spawner.platform.person import Person
from himalia_spawner.platform.place import Place, write_config
from himalia_spawner.platform.programs import programs
from himalia_spawner.platform.starting import answers
from himalia_spawner.platform.supervising import Supervisor
from himalia_spawner.platform.systemd import UNITS
from himalia_spawner.platform.units import unit_texts


class Command:
    """`himalia-platform` for one installation."""

    def __init__(self, folder: Path, ports: list[int]) -> None:
        port, hub_port, service_port, proxy_api_port = ports
        self.config = folder / "data" / "himalia.toml"
        datasets = folder / "datasets"
        datasets.mkdir()
        (datasets / "set.csv").write_text("1,2,3")
        write_config(
            self.config,
            {
                "\n# port = 8000\n": f"\nport = {port}\n",
                "\n# hub_port = 8081\n# service_port = 8082\n# proxy_api_port = 8001\n": (
                    f"\nhub_port = {hub_port}\nservice_port = {service_port}\nproxy_api_port = {proxy_api_port}\n"
                ),
                "\n# simulate = 0\n": "\nsimulate = 2\n",
                'cpus = 1.0\nmemory = "4G"\ngpus = "1"': 'cpus = 0.5\nmemory = "1G"\ngpus = "1"',
                'cpus = 1.0\nmemory = "2G"': 'cpus = 0.5\nmemory = "1G"',
                '\n# vision = ["alice", "bob"]\n': '\nvision = ["alice"]\n',
                '\n# [[mounts]]\n# host = "/srv/datasets"\n# target = "/datasets"\n': (
                    f'\n[[mounts]]\nhost = "{datasets}"\ntarget = "/datasets"\n'
                ),
            },
        )
        self.place = Place.load(self.config)

    def run(self, *words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HIMALIA_")}
        command = [str(Path(sys.executable).parent / "himalia-platform"), "--config", str(self.config), *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, timeout=180, cwd=folder
        )

    def inside(self, user: str, script: str) -> str:
        """Run a script in somebody's server, and return what it prints."""
        client = docker.from_env()
        try:
            ours = [f"himalia={self.place.installation}", f"himalia.owner=user:{user}", "himalia.kind=server"]
            (server,) = client.containers.list(filters={"label": ours})
            return server.exec_run(["sh", "-c", script]).output.decode()
        finally:
            client.close()

    def gpus(self, person: Person) -> dict[str, Any]:
        """Return the ledger as somebody sees it."""
        return person.get("services/jobs/api/gpus").json()

    def pids(self) -> dict[str, int]:
        """Return the processes under the supervisor."""
        supervisor = Supervisor(self.place)
        return {program.name: supervisor.state(program.name).pid for program in programs(self.place)}


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory, free_ports) -> Iterator[Command]:
    """Give a platform that is up."""
    made = Command(tmp_path_factory.mktemp("platform"), free_ports(4))
    installation = made.place.installation
    try:
        done = made.run("up")
        assert done.returncode == 0, done.stdout + done.stderr
        yield made
    finally:
        if made.config.exists():
            made.run("down")
        remove_belongings(installation, belongings(installation))


def test_status_says_that_all_is_well(command):
    done = command.run("status")

    assert done.returncode == 0, done.stdout
    assert done.stdout.count(" answers ") == 3
    assert command.place.proxy_url in done.stdout


def test_up_leaves_alone_what_runs(command):
    before = command.pids()

    assert command.run("up").returncode == 0

    assert command.pids() == before


def test_a_person_gets_a_gpu_and_everybody_sees_who_holds_it(command):
    with Person(command.place.proxy_url, "alice") as alice:
        alice.log_in(load_passwords(command.place.site.data).user)
        alice.start_server("gpu")

        headers = {"Authorization": f"Bearer {alice.token}"}
        address = f"{command.place.proxy_url}/services/jobs/api/gpus"
        held = httpx.get(address, headers=headers, timeout=30).json()
        alice.stop_server()
        after = httpx.get(address, headers=headers, timeout=30).json()

    assert [slot["holder_user"] for slot in held["slots"] if slot["holder_kind"]] == ["alice"]
    assert (held["free"], after["free"]) == (1, 2)


def test_a_server_has_home_storage_team_and_site_mounts_and_they_persist(command):
    with Person(command.place.proxy_url, "alice") as alice:
        alice.log_in(load_passwords(command.place.site.data).user)
        alice.start_server("cpu")
        written = command.inside(
            "alice",
            "cd ~ && echo home > a && echo storage > /storage/b && echo team > /team/vision/c && cat storage/b "
            "team/vision/c /datasets/set.csv && id -u && (sh -c 'echo x > /datasets/no' 2>&1 || true)",
        )
        alice.stop_server()
        alice.start_server("cpu")
        again = command.inside("alice", "cat ~/a /storage/b /team/vision/c")
        alice.stop_server()
    with Person(command.place.proxy_url, "bob") as bob:
        bob.log_in(load_passwords(command.place.site.data).user)
        bob.start_server("cpu")
        others = command.inside("bob", "ls ~ /storage /team; cat /datasets/set.csv")
        bob.stop_server()

    assert written.splitlines()[:3] == ["storage", "team", "1,2,31000"]
    assert "Read-only file system" in written
    assert again.split() == ["home", "storage", "team"]
    assert "vision" not in others
    assert "1,2,3" in others


def test_who_waits_keeps_their_place_when_the_job_service_is_killed(command, eventually):
    with ExitStack() as stack:
        people = [stack.enter_context(Person(command.place.proxy_url, name)) for name in ("alice", "bob", "carol")]
        for person in people:
            person.log_in(load_passwords(command.place.site.data).user)
        alice, bob, carol = people
        alice.start_server("gpu")
        bob.start_server("gpu")
        start = threading.Thread(target=carol.start_server, args=("gpu",))
        start.start()
        eventually(lambda: [waiter["user"] for waiter in command.gpus(carol)["queue"]] == ["carol"])
        before = command.pids()["service"]

        os.kill(before, signal.SIGKILL)
        eventually(lambda: command.pids()["service"] not in (0, before) and _answers_about_gpus(command, carol))
        # The line is shown again once the service has looked at it.
        queue = eventually(lambda: command.gpus(carol)["queue"])
        alice.stop_server()
        start.join(120)
        held = [slot["holder"] for slot in command.gpus(carol)["slots"]]
        for person in people:
            person.stop_server()
        free = command.gpus(carol)["free"]

    assert [waiter["user"] for waiter in queue] == ["carol"]
    assert sorted(held) == ["carol's notebook", "in use"]
    assert free == 2


def test_people_reach_the_proxy_on_one_address_and_the_hub_and_the_service_on_none_of_theirs(command):
    platform = command.place.site.platform
    gateway = command.place.gateway

    assert _listens("127.0.0.1", platform.port)
    assert not _listens(gateway, platform.port)
    assert not _listens(gateway, platform.proxy_api_port)
    assert _listens(gateway, platform.hub_port)
    assert not _listens("127.0.0.1", platform.hub_port)
    assert not _listens("127.0.0.2", platform.service_port)


def test_up_mends_a_platform_whose_supervisor_was_killed(command, eventually):
    before = command.pids()
    os.kill(int((command.place.run_dir / "supervisord.pid").read_text()), signal.SIGKILL)
    eventually(lambda: not Supervisor(command.place).answers())

    done = command.run("up")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "The supervisor was gone" in done.stdout
    assert not set(command.pids().values()) & set(before.values())
    assert command.run("status").returncode == 0


@pytest.mark.parametrize("name", ["service", "proxy", "hub"])
def test_each_process_comes_back_by_itself_when_it_is_killed_and_servers_live_on(command, eventually, name):
    with Person(command.place.proxy_url, "alice") as alice:
        alice.log_in(load_passwords(command.place.site.data).user)
        alice.start_server("cpu")
        before = command.pids()

        os.kill(before[name], signal.SIGKILL)

        ready = {program.name: program.ready_url for program in programs(command.place)}[name]
        eventually(lambda: command.pids()[name] not in (0, before[name]) and answers(ready))
        server = f"{command.place.proxy_url}/user/alice/api"
        eventually(lambda: httpx.get(server, timeout=30).status_code == 200)
        after = command.pids()
        alice.stop_server()

    assert {other: pid for other, pid in after.items() if other != name} == {
        other: pid for other, pid in before.items() if other != name
    }


def test_the_demo_runs_a_job_from_inside_a_server_and_brings_its_artifacts(command, tmp_path):
    done = command.run("demo", folder=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "with the profile gpu" in done.stdout
    assert "It holds GPU 0 (Simulated)" in done.stdout
    assert "Submitted digits from inside the server" in done.stdout
    assert "epoch" in done.stdout
    assert "ended: succeeded" in done.stdout
    assert f"ssh -L {command.place.site.platform.port}:" in done.stdout
    assert load_passwords(command.place.site.data).user in done.stdout
    assert (tmp_path / "demo-artifacts" / "metrics.json").read_text()
    queue = done.stdout.partition("A second person, guest, has a job on the one GPU that was free")[2]
    assert re.search(r"guest's next job, \w+, is queued\. 1st in line\. Waiting for 1 of: GPU \d", queue)
    assert re.search(r"\d s later \w+ has run\. It says: I have GPU-", queue)


def test_a_second_platform_on_the_same_ports_is_told_which_setting_to_change(command, tmp_path):
    other = tmp_path / "himalia.toml"
    other.write_text(command.config.read_text())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HIMALIA_")}
    try:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "himalia-platform"), "--config", str(other), "up"],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=60,
        )
    finally:
        installation = Place.load(other).installation
        remove_belongings(installation, belongings(installation))

    assert done.returncode == 1
    assert f"Port {command.place.site.platform.port} " in done.stderr
    assert "`port`" in done.stderr


def test_servers_live_on_when_the_platform_goes_down_and_end_with_all(command):
    with Person(command.place.proxy_url, "bob") as bob:
        bob.log_in(load_passwords(command.place.site.data).user)
        bob.start_server("cpu")

    assert command.run("down").returncode == 0
    assert not Supervisor(command.place).answers()
    client = docker.from_env()
    try:
        ours = f"himalia={command.place.installation}"
        (server,) = client.containers.list(filters={"label": [ours, "himalia.owner=user:bob"]})
        assert server.status == "running"
        done = command.run("down", "--all")
        assert "Ended 1 notebook server and 0 jobs." in done.stdout
        assert not client.containers.list(filters={"label": ours})
        assert not client.containers.list(all=True, filters={"label": [ours, "himalia.kind=server"]})
    finally:
        client.close()


def test_purge_leaves_nothing(command):
    assert command.run("up").returncode == 0

    done = command.run("purge", "--yes")

    assert done.returncode == 0, done.stderr
    assert not command.place.site.data.exists()
    left = belongings(command.place.installation)
    assert (left.servers, left.jobs, left.networks, left.volumes) == ((), (), (), ())
    for program in ("iptables", "ip6tables"):
        rules = subprocess.run([program, "-w", "-S"], capture_output=True, text=True, check=False).stdout
        assert command.place.installation[:11] not in rules
    assert not any(answers(program.ready_url) for program in programs(command.place) if program.name != "hub")


def test_rules_of_one_installation_are_removed_and_those_of_others_stay():
    ours, theirs = "HMA-abcdefghijkl", "HMA-mnopqrstuvwx"
    for chain in (ours, theirs):
        _iptables("-N", chain)
        _iptables("-A", chain, "-j", "RETURN")
        _iptables("-I", "INPUT", "-i", f"hms-{chain[4:15]}", "-j", chain)
    try:
        remove_rules("abcdefghijkl")

        left = _iptables("-S")
        assert ours not in left
        assert left.count(theirs) == 3
    finally:
        remove_rules("mnopqrstuvwx")
    assert theirs not in _iptables("-S")


def test_systemd_takes_the_units(tmp_path):
    config = tmp_path / "himalia.toml"
    write_config(config)
    for unit, text in unit_texts(Place.load(config)).items():
        (tmp_path / unit).write_text(text)
    (tmp_path / "docker.service").write_text("[Service]\nExecStart=/bin/true\n")

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit) for unit in UNITS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )

    assert [line for line in (done.stdout + done.stderr).splitlines() if "himalia-" in line] == []


def test_the_units_drop_what_they_do_not_need(tmp_path):
    config = tmp_path / "himalia.toml"
    write_config(config)
    exposure = {}
    for unit, text in unit_texts(Place.load(config)).items():
        (tmp_path / unit).write_text(text)
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--no-pager", str(tmp_path / unit)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        exposure[unit] = float(re.findall(r"exposure level for \S+: ([0-9.]+)", done.stdout)[0])

    assert exposure["himalia-hub.service"] <= 5  # of 10, which is a unit that drops nothing
    assert exposure["himalia-proxy.service"] <= 5
    assert exposure["himalia-jobs.service"] <= 8  # it mounts, owns others' files and writes packet filter rules


def _answers_about_gpus(command, person) -> bool:
    return bool(person.get("services/jobs/api/gpus").status_code == 200)


def _listens(address: str, port: int) -> bool:
    """Tell whether something accepts connections there."""
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex((address, port)) == 0


def _iptables(*words: str) -> str:
    done = subprocess.run(["iptables", "-w", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
