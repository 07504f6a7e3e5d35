"""DockerSpawner with an Engine's side that many servers can share: calls side by side, removals that are final."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

from docker.errors import APIError, DockerException
from dockerspawner import DockerSpawner
from requests.exceptions import RequestException
from traitlets import Unicode, default

from himalia.container import Label
from himalia.processes import Sightings

from .containers import KIND
from .ordering import THREADS, EngineCalls

GONE_POLL_SECONDS = 0.1
GONE_DEADLINE_SECONDS = 60.0
SWEEP_EVERY_SECONDS = 60.0
LEFT_BEHIND_AFTER = timedelta(minutes=5)
LOG_LINES = 40


class DockerSide(DockerSpawner):
    """What GPUSpawner asks of the Engine."""

    installation = Unicode("", help="Id of the installation; it names containers and networks.").tag(config=True)

    calls: ClassVar[EngineCalls | None] = None  #: of each class, as its client is
    _swept: ClassVar[float] = float("-inf")
    sightings: ClassVar[Sightings] = Sightings()  #: none, where the Engine is on another machine than the hub

    @default("client_kwargs")
    def _default_client_kwargs(self) -> dict[str, Any]:
        return {"max_pool_size": THREADS}

    async def docker(self, method: str, *args: Any, **options: Any) -> Any:
        """Call the Engine in a pool of threads; the calls for one server keep their order."""
        return await self._in_turn(self._docker, method, *args, **options)

    async def _in_turn(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        cls = type(self)
        if cls.calls is None:
            cls.calls = EngineCalls()
        key = (self.user.name if self.user else "", self.name)
        return await cls.calls.call(key, function, *args, **options)

    async def seconds_gone(self, found: dict[str, Any]) -> float:
        """Return for how long no process of a container that is said to run has been seen on this machine."""
        return float(await self._in_turn(self.sightings.seconds_gone, found["Id"], int(found["State"].get("Pid") or 0)))

    async def remove_for_good(self, found: dict[str, Any]) -> None:
        """Remove a container, keep its last words in the log if it ended by itself, and wait until it is gone."""
        state, container = found["State"], found["Id"]
        if not state.get("Running") and state.get("Status") != "created" and state.get("ExitCode"):
            self.log.warning(
                "%s ended with exit code %s%s",
                self._log_name,
                state["ExitCode"],
                ": out of memory" if state.get("OOMKilled") else "",
            )
            await self.keep_last_words(container)
        try:
            await self.docker("remove_container", container, v=True, force=True)
        except APIError as error:
            if error.status_code not in (404, 409):  # gone already; being removed by somebody else
                raise
        deadline = time.monotonic() + GONE_DEADLINE_SECONDS
        while await self.inspect(container) is not None:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"The container {container[:12]} is still there {GONE_DEADLINE_SECONDS:g} s after it was removed."
                )
            await asyncio.sleep(GONE_POLL_SECONDS)

    async def sweep(self) -> list[str]:
        """Remove containers that a hub made and never started; at most once a minute."""
        cls = type(self)
        if time.monotonic() - cls._swept < SWEEP_EVERY_SECONDS:
            return []
        cls._swept = time.monotonic()
        filters = {
            "label": [f"{Label.INSTALLATION}={self.installation}", f"{Label.KIND}={KIND}"],
            "status": ["created"],
        }
        leases = []
        for listed in await self.docker("containers", all=True, filters=filters):
            made = datetime.fromtimestamp(listed["Created"], UTC)
            found = await self.inspect(listed["Id"]) if datetime.now(UTC) - made > LEFT_BEHIND_AFTER else None
            if found is not None and found["State"]["Status"] == "created":
                self.log.warning("Removing %s, which was made and never started", found["Name"].lstrip("/"))
                await self.remove_for_good(found)
                leases.append(lease_of(found))
        return leases

    async def inspect(self, container: str) -> dict[str, Any] | None:
        """Return a container as the Engine sees it, or None when there is none."""
        try:
            found: dict[str, Any] = await self.docker("inspect_container", container)
        except APIError as error:
            if error.status_code == 404:
                return None
            raise
        return found

    async def get_url(self) -> str:
        """Return where the running server really is: a hub that died during its start has not written that down."""
        known = str(await super().get_url())
        try:
            ip, port = await self.get_ip_and_port()
        except (DockerException, RequestException) as error:
            self.log.warning("Where %s is cannot be asked: %s", self._log_name, error)
            return known
        if not ip:  # it has ended in this moment; a hub that starts would check it for ever
            return known
        return urlsplit(known)._replace(netloc=f"{ip}:{port}").geturl()

    async def keep_last_words(self, container: str) -> None:
        """Write a container's last lines to the hub's log."""
        try:
            tail = await self.docker("logs", container, tail=LOG_LINES)
        except APIError as error:
            self.log.warning("The log of %s cannot be read: %s", self._log_name, error)
            return
        self.log.warning("Last words of %s:\n%s", self._log_name, tail.decode("utf-8", "replace"))


def lease_of(found: dict[str, Any]) -> str:
    """Return the id of the lease that a container carries."""
    return str((found["Config"].get("Labels") or {}).get(Label.LEASE, ""))
