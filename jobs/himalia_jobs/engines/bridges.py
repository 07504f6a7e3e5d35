"""The two bridges, one for servers and one for jobs, with their rules; made, and made again where somebody removed them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

from himalia.container import network_name, network_options
from himalia.site import Site

from .calls import DockerCalls, is_conflict, is_missing, said
from .errors import EngineError
from .firewall import Firewall, policy_of

log = logging.getLogger(__name__)

KINDS = ("server", "job")


class Bridges:
    """The networks of an installation on this machine."""

    def __init__(
        self, docker: DockerCalls, site: Site, installation: str, in_thread: Callable[..., Awaitable[Any]]
    ) -> None:
        self.gateway = ""  #: this machine's address on the servers' network
        self._docker = docker
        self._site = site
        self._installation = installation
        self._in_thread = in_thread
        self._firewall: Firewall | None = None
        self._pools: dict[str, IPAMConfig] = {}  #: what each bridge had: one that is made again gets the same addresses
        self._moved = ""

    async def open(self) -> None:
        """Make networks and rules."""
        self.gateway = gateway_of(await self.ensure("server"))
        self._firewall = Firewall(policy_of(self._site, self._installation, self.gateway))
        await self._in_thread(self._firewall.look_after)
        await self.ensure("job")

    async def tend(self) -> None:
        """Put back what somebody took away; rules hold also while the Engine does not answer."""
        if self._firewall is None:
            return
        try:
            await self.ensure("job")
            now = gateway_of(await self.ensure("server"))
            self._moved = "" if now == self.gateway else _moved(self.gateway, now)
        except EngineError as error:
            log.warning("the networks cannot be looked at now: %s", str(error))
        await self._in_thread(self._firewall.look_after)

    @property
    def complaints(self) -> tuple[str, ...]:
        """What is wrong, in words for the operator."""
        rules = self._firewall.complaint if self._firewall is not None else ""
        return tuple(words for words in (self._moved, rules) if words)

    async def ensure(self, kind: str) -> dict[str, Any]:
        """Return the Engine's description of a bridge; whoever comes first makes it."""
        try:
            found = await self._inspect(kind)
            if found is None:
                await self._make(kind)
                found = await self._docker("inspect_network", network_name(self._installation, kind))
        except APIError as error:
            raise EngineError(said(error)) from error
        if kind not in self._pools:
            self._pools[kind] = _pool_of(found)
        return dict(found)

    async def _inspect(self, kind: str) -> dict[str, Any] | None:
        try:
            return dict(await self._docker("inspect_network", network_name(self._installation, kind)))
        except APIError as error:
            if is_missing(error):
                return None
            raise

    async def _make(self, kind: str) -> None:
        if kind in self._pools:
            log.warning("the network of the %ss was removed; it is made again", kind)
            try:
                await self._create(kind, ipam=self._pools[kind])
            except APIError as error:
                log.warning("its addresses are taken, it gets others: %s", said(error))
            else:
                return
        await self._create(kind)

    async def _create(self, kind: str, **options: Any) -> None:
        wanted = network_options(self._installation, kind) | options
        try:
            await self._docker("create_network", network_name(self._installation, kind), check_duplicate=True, **wanted)
        except APIError as error:
            if not is_conflict(error):
                raise


def gateway_of(network: dict[str, Any]) -> str:
    """Return the host's address on a bridge."""
    return str(network["IPAM"]["Config"][0]["Gateway"])


async def find_gateway(docker_host: str | None, installation: str) -> str | None:
    """Return the host's address on the servers' network, if there is one; none is made."""
    docker = DockerCalls(docker_host)
    try:
        return gateway_of(await docker("inspect_network", network_name(installation, "server")))
    except (APIError, EngineError):
        return None
    finally:
        docker.close()


def _pool_of(network: dict[str, Any]) -> IPAMConfig:
    pools = [IPAMPool(subnet=found["Subnet"], gateway=found["Gateway"]) for found in network["IPAM"]["Config"]]
    return IPAMConfig(pool_configs=pools)


def _moved(before: str, now: str) -> str:
    return (
        f"The servers' network was removed, and made again with another address: {now}, not {before}. Servers do not reach "
        "hub and job service there. Run `himalia-platform down`, then `himalia-platform up`."
    )
