"""`[git]` of `himalia.toml`: repositories that the platform fetches for jobs."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

from pydantic import Field, field_validator

from ..errors import FieldError
from ..sections import Seconds, Section
from .address import parse_repository


class Git(Section):
    """`[git]`: repositories that the platform fetches for jobs (`himalia submit --git`)."""

    hosts: tuple[str, ...] = Field(
        ("github.com", "gitlab.com", "codeberg.org", "bitbucket.org"),
        description="Hosts that repositories are fetched from, by name, with a port where it is not 443: git.example.org:8443. Empty: none are fetched.",
    )
    networks: tuple[str, ...] = Field(
        (),
        description="Address ranges of your own network in which hosts of the list may lie, such as 10.1.0.0/16. A host with any other address that is not public is refused.",
    )
    certificates: Path | None = Field(
        None,
        description="PEM file of the authorities that sign these hosts' certificates, an absolute path; none: those that the machine trusts.",
    )
    submodules: bool = Field(
        False,
        description="Whether submodules are fetched too, from hosts of the list alone. Without, their directories are empty, as after `git clone`.",
    )
    time_limit: Seconds = Field(300, ge=1, description="Longest time that a fetch may take.")
    at_once: int = Field(4, ge=1, le=64, description="Most fetches at once; others wait for their turn.")

    @field_validator("hosts")
    @classmethod
    def _hosts_by_name(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_site(host) for host in hosts)

    @field_validator("networks")
    @classmethod
    def _ranges(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_network(network)) for network in networks)


def _site(host: str) -> str:
    """Return a host as addresses are compared with it."""
    try:
        return parse_repository(f"https://{host}/x").site
    except FieldError as error:
        raise ValueError(f"{host!r} is no name of a host, such as github.com or git.example.org:8443") from error
