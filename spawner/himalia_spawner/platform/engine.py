"""What an installation has in the Docker Engine, and in the packet filter: all of it carries the installation's id."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import docker
import requests
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env

from himalia.container import Label
from himalia.errors import LocalError
from himalia_spawner.network import ENGINE_SILENT

STOP_SECONDS = 10
LEGACY_TABLES = Path("/proc/net/ip_tables_names")  #: which tables of the older packet filter are in use


@dataclass(frozen=True, kw_only=True)
class Belongings:
    """What of an installation is in the Engine."""

    servers: tuple[str, ...]
    jobs: tuple[str, ...]
    networks: tuple[str, ...]
    volumes: tuple[str, ...]


def belongings(installation: str) -> Belongings:
    """Return what the installation has in the Engine, by its label."""
    try:
        client = _client()
        filters = {"label": f"{Label.INSTALLATION}={installation}"}
        containers = client.containers(all=True, filters=filters)
        networks = client.networks(filters=filters)
        volumes = client.volumes(filters=filters)["Volumes"] or []
    except (DockerException, requests.exceptions.RequestException) as error:
        raise LocalError(f"{ENGINE_SILENT} It says: {error}") from error
    kinds = {found["Id"]: (found.get("Labels") or {}).get(Label.KIND) for found in containers}
    return Belongings(
        servers=tuple(found for found, kind in kinds.items() if kind == "server"),
        jobs=tuple(found for found, kind in kinds.items() if kind != "server"),
        networks=tuple(found["Id"] for found in networks),
        volumes=tuple(found["Name"] for found in volumes),
    )


def running(installation: str) -> tuple[int, int]:
    """Return how many servers and how many jobs run."""
    filters = {"label": f"{Label.INSTALLATION}={installation}"}
    found = [(listed.get("Labels") or {}).get(Label.KIND) for listed in _client().containers(filters=filters)]
    return found.count("server"), len(found) - found.count("server")


def stop_containers(installation: str) -> tuple[int, int]:
    """End all servers and jobs; servers are removed, jobs stay for the service to collect. Return how many there were."""
    client, servers_and_jobs = _client(), running(installation)
    for listed in client.containers(filters={"label": f"{Label.INSTALLATION}={installation}"}):
        _unless_gone(client.stop, listed["Id"], timeout=STOP_SECONDS)
        if (listed.get("Labels") or {}).get(Label.KIND) == "server":
            _unless_gone(client.remove_container, listed["Id"], v=True, force=True)
    return servers_and_jobs


def remove_belongings(installation: str, found: Belongings) -> None:
    """Remove containers, volumes and networks of an installation, and its rules."""
    client = _client()
    asking = client.containers(all=True, quiet=True, filters={"label": f"{Label.ASKS}={installation}"})
    for container in (*found.servers, *found.jobs, *(one["Id"] for one in asking)):
        _unless_gone(client.remove_container, container, v=True, force=True)
    for volume in found.volumes:
        _unless_gone(client.remove_volume, volume, force=True)
    for network in found.networks:
        _unless_gone(client.remove_network, network)
    remove_rules(installation)


def remove_rules(installation: str) -> None:
    """Remove the chains of an installation and every rule that leads to them; Docker's own rules are Docker's."""
    for program in _filter_programs():
        listed = subprocess.run([program, "-w", "-S"], capture_output=True, text=True, check=False)
        rows = [line.split() for line in listed.stdout.splitlines()]
        chains = [words[1] for words in rows if words[0] == "-N" and installation in words[1]]
        jumps = [words for words in rows if words[0] == "-A" and words[1] not in chains and _target(words) in chains]
        deletions = [["-D", *words[1:]] for words in jumps]
        for change in (*deletions, *(["-F", chain] for chain in chains), *(["-X", chain] for chain in chains)):
            subprocess.run([program, "-w", *change], capture_output=True, check=False)


def _filter_programs() -> list[str]:
    """Return the programs that may know our chains; the legacy ones only where their tables are in use."""
    try:
        legacy = "filter" in LEGACY_TABLES.read_text().split()
    except OSError:
        legacy = False
    kinds = ("", "-nft", *(["-legacy"] if legacy else []))
    programs = (f"{base}{kind}" for kind in kinds for base in ("iptables", "ip6tables"))
    return [program for program in programs if shutil.which(program)]


def _target(words: list[str]) -> str:
    """Return the chain that a rule leads to; empty when it leads to none."""
    return next((words[place + 1] for place, word in enumerate(words[:-1]) if word in ("-j", "-g")), "")


def _client() -> docker.APIClient:
    return docker.APIClient(version="auto", **kwargs_from_env())


def _unless_gone(call: Callable[..., object], name: str, **options: object) -> None:
    """Do something to a thing of the Engine; one that is gone, or going, is as good."""
    try:
        call(name, **options)
    except APIError as error:
        if error.status_code not in (404, 409):
            raise
