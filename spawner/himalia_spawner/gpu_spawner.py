"""GPUSpawner: DockerSpawner on leases."""

from __future__ import annotations

import asyncio
from typing import Any

import requests
from docker.errors import APIError, DockerException
from jupyterhub.spawner import SpawnException
from traitlets import default

from himalia.container import Label, container_name
from himalia.models import LeaseView

from .containers import (
    merged_host_config,
    server_env,
    server_host_config,
    server_labels,
    server_user,
    spec_digest,
)
from .docker_side import DockerSide, lease_of
from .lease_mixin import LeaseMixin

PORT_POLL_SECONDS = 0.05
ALIVE_POLL_SECONDS = 1.0
VANISHED_SECONDS = 60.0  #: without a process: only the Engine knows why a server ended, and it may yet tell
ENGINE_SILENT = "The Docker Engine does not answer, so no server can be started. Tell an administrator."
#: What the Docker SDK raises when nobody answers: DockerException already where its client is made.
SILENCE = (DockerException, requests.exceptions.ConnectionError, requests.exceptions.Timeout)
OUT_OF_MEMORY = "The server used more memory than its profile gives and was ended. Choose a larger profile."


class GPUSpawner(LeaseMixin, DockerSide):
    """Start notebook servers in containers whose CPUs, memory, GPUs and directories come from a lease."""

    # The Engine.

    @default("remove")
    def _default_remove(self) -> bool:
        # A stopped container would be started again with its old devices and limits.
        return bool(self.service_url)

    @default("pull_policy")
    def _default_pull_policy(self) -> str:
        # The lease names an image by the id it has on this machine.
        return "skip" if self.service_url else "ifnotpresent"

    @default("object_name")
    def _object_name_default(self) -> str:
        if not self.service_url:
            return str(super()._object_name_default())
        server = "server-{username}--{servername}" if self.name else "server-{username}"
        return container_name(self.installation, self._render_templates(server))

    def in_words(self, error: BaseException) -> BaseException:
        """Return what people are told in place of an Engine's error."""
        told: BaseException
        if isinstance(error, APIError):
            said = f"The Docker Engine could not start the server: {error.explanation or error}. Tell an administrator."
            told = SpawnException(said, reason="engine_refused", status_code=500)
        elif isinstance(error, SILENCE):
            told = SpawnException(ENGINE_SILENT, reason="engine_down", status_code=503)
        else:
            told = super().in_words(error)
        return told

    # A start.

    def use_lease(self, lease: LeaseView) -> None:
        """Take image and limits from the lease: the traits were set when the object was made, for another choice."""
        self.image = lease.image
        self.mem_limit = lease.memory_bytes
        self.cpu_limit = lease.cpus

    def get_env(self) -> dict[str, str]:
        """Return the environment; what the contract sets wins."""
        env: dict[str, str] = super().get_env()
        return env | server_env(self.user.name, self.lease, clean=self.clean) if self.lease else env

    async def create_object(self) -> Any:
        """Make the container as the lease says; the administrator's own additions stay below that."""
        lease = self.lease
        if lease is None:
            return await super().create_object()
        extra_create = self._render_templates(await self._evaluated(self.extra_create_kwargs))
        extra_host = self._render_templates(await self._evaluated(self.extra_host_config)) | {"auto_remove": False}
        own = self.client.create_host_config(
            binds=self.volume_binds, mounts=self.mount_binds, links=self.links, **extra_host
        )
        labels = dict(extra_create.get("labels") or {})
        arguments = extra_create | {
            "image": lease.image,
            "name": self.object_name,
            "user": server_user(self.user.name),
            "command": await self.get_command(),
            "environment": dict(extra_create.get("environment") or {}) | self.get_env(),
            "volumes": self.volume_mount_points,
            "ports": [f"{self.port}/tcp"],
            "host_config": merged_host_config(own, server_host_config(lease, self.network_name)),
        }
        labels |= server_labels(self.installation, self.user.name, self.name, lease)
        labels[Label.SPEC] = spec_digest(arguments)
        return await self.docker("create_container", **{**arguments, "labels": labels})

    async def start_object(self) -> None:
        """Start the container, once its lease is bound to it."""
        await self.bind_lease(self.object_name)
        await super().start_object()

    async def wait_until_up(self, where: Any) -> None:
        """Return as soon as the server's port answers: the hub alone would look at growing intervals."""
        ip, port = where
        loop = asyncio.get_running_loop()
        deadline, look_again = loop.time() + self.http_timeout, loop.time() + ALIVE_POLL_SECONDS
        while not await _answers(ip, port):
            if loop.time() > look_again:
                await self._must_run()
                look_again = loop.time() + ALIVE_POLL_SECONDS
            if loop.time() > deadline:
                await self.keep_last_words(self.object_id)
                raise SpawnException(
                    f"The server did not answer within {self.http_timeout} s. Start it again, with a clean start if it "
                    "happens twice.",
                    reason="no_answer",
                    status_code=500,
                )
            await asyncio.sleep(PORT_POLL_SECONDS)

    async def _must_run(self) -> None:
        """Raise SpawnException when the container has ended."""
        found = await self.get_object()
        state = (found or {}).get("State", {})
        if state.get("Running"):
            return
        await self.keep_last_words(self.object_id)
        said = f"The server ended while it was starting (exit code {state.get('ExitCode', 'unknown')})."
        said = (
            OUT_OF_MEMORY
            if state.get("OOMKilled")
            else f"{said} Try a clean start; its last words are in the hub's log."
        )
        raise SpawnException(said, reason="ended", status_code=500)

    # The end.

    async def has_vanished(self) -> bool:
        """Tell whether the container has had no process for some time: an Engine stopped at the wrong moment misses an end."""
        found = await self.inspect(self.object_name)
        if found is None or not found["State"].get("Running"):
            return False
        return await self.seconds_gone(found) >= VANISHED_SECONDS

    async def find_lease(self) -> str:
        """Return the id of the lease that this server's container carries; empty where there is none."""
        found = await self.inspect(self.object_name)
        return lease_of(found) if found is not None else ""

    async def remove_container(self, lease_id: str) -> None:
        """Remove this server's container if it is the one of that lease, and return once it is gone."""
        found = await self.inspect(self.object_name)
        if found is not None and lease_of(found) == lease_id:
            await self.remove_for_good(found)

    async def remove_leftovers(self) -> list[str]:
        """Remove whatever container has this server's name, running or not, and what hubs that died left half made."""
        left = await self.sweep()
        found = await self.inspect(self.object_name)
        if found is not None:
            await self.remove_for_good(found)
            left.append(lease_of(found))
        return [lease_id for lease_id in left if lease_id]

    async def remove_object(self) -> None:
        """Remove the container and return once it is gone."""
        if not self.service_url:
            await super().remove_object()
        elif self.object_id:
            found = await self.inspect(self.object_id)
            if found is not None:
                await self.remove_for_good(found)

    async def rename(self, old_name: str, new_name: str) -> None:
        """Forget the container of the old name; a server that is renamed does not run."""
        if self.service_url:
            await self.remove_leftovers()
            await self.give_back()

    async def _evaluated(self, value: Any) -> dict[str, Any]:
        """Return a setting that may be a function, which may be async."""
        found = self._eval_if_callable(value)
        return dict(await found if asyncio.iscoroutine(found) else found)


async def _answers(ip: str, port: int) -> bool:
    """Tell whether something accepts connections there."""
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(ip, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
