"""Where the notebook servers of this machine listen, and the token that each of them knows itself by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from docker.errors import APIError

from .base import Door, Observed, Phase
from .calls import DockerCalls, is_missing, said
from .errors import EngineError

PORT = 8888


class Doors:
    """Remembers what the Engine says of servers: neither address nor token of a running one changes."""

    def __init__(self, docker: DockerCalls, network: str) -> None:
        self._docker = docker
        self._network = network
        self._known: dict[str, Door] = {}

    async def of(self, containers: Iterable[Observed]) -> tuple[Door, ...]:
        """Return the doors of the servers among these containers that run."""
        running = [found for found in containers if found.kind == "server" and found.phase is Phase.RUNNING]
        self._known = {found.handle: door for found in running if (door := await self._door(found)) is not None}
        return tuple(self._known.values())

    async def _door(self, found: Observed) -> Door | None:
        if found.handle in self._known:
            return self._known[found.handle]
        try:
            return door_of(found.lease_id, await self._docker("inspect_container", found.handle), self._network)
        except APIError as error:
            if not is_missing(error):
                raise EngineError(said(error)) from error
            return None


def door_of(lease_id: str, inspected: Mapping[str, Any], network: str) -> Door | None:
    """Return a server's door from what the Engine says of its container; none while it has no address."""
    environment = dict(entry.partition("=")[::2] for entry in inspected["Config"].get("Env") or ())
    address = ((inspected.get("NetworkSettings") or {}).get("Networks") or {}).get(network, {}).get("IPAddress")
    if not address:
        return None
    listens = urlsplit(environment.get("JUPYTERHUB_SERVICE_URL", ""))
    prefix = environment.get("JUPYTERHUB_SERVICE_PREFIX", listens.path) or "/"
    return Door(
        lease_id=lease_id,
        url=f"http://{address}:{listens.port or PORT}{prefix}",
        token=environment.get("JUPYTERHUB_API_TOKEN", ""),
    )
