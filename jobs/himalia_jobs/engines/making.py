"""Making, starting, ending and removing an attempt's container in the Docker Engine. What may be done when, the journal decides."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from docker.errors import APIError

from himalia.container import container_name, network_name
from himalia.errors import HimaliaError

from ..layout import DataLayout
from .base import Exit, ExitReason, LaunchSpec, Observed, Phase
from .calls import DockerCalls, is_conflict, is_full, is_gone, is_missing, said
from .containers import create_body
from .disk_use.meter import Container
from .errors import (
    BrokenOff,
    EngineError,
    ImageMissing,
    NetworkMissing,
    NoSpace,
    StartFailed,
    StartLost,
    Unknown,
    WorkspaceCorrupt,
)
from .leftovers import end_processes, lift_cpu_limit
from .runfiles import has_begun
from .seen import observed_of_inspect
from .workspace import Trees, copy_tree, prepare_directories, volume_mount, volume_name

QUICK_SECONDS = 10.0
LAUNCHED_MORE_SECONDS = 2  #: beyond the grace; then it was launched with a longer one, and is killed by this one
LAUNCHER_SECONDS = 8  #: beyond the grace, in which the launcher itself ends what is left and writes its record
KILLS = 20
FULL = (errno.ENOSPC, errno.EDQUOT)


class Maker:
    """The hands of the engine; every call is one step that may be repeated."""

    def __init__(
        self,
        docker: DockerCalls,
        installation: str,
        layout: DataLayout,
        trees: Trees,
        in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self.docker = docker
        self.installation = installation
        self.layout = layout
        self.trees = trees
        self.overlay = False  #: whether a workspace can be an overlay on this disk
        self._in_thread = in_thread

    def prepare(self, spec: LaunchSpec) -> None:
        """Make the attempt's directories and the workspace's tree; raise NoSpace or WorkspaceCorrupt."""
        try:
            own = prepare_directories(self.layout, spec)
            if not spec.workspace_digest:
                return
            tree = self.trees.materialize(spec.workspace_owner, spec.workspace_digest)
            if not self.overlay:
                copy_tree(tree, own, spec.user)
        except OSError as error:
            if error.errno in FULL:
                raise NoSpace("the data disk is full") from error
            raise WorkspaceCorrupt(f"the submitted files cannot be laid out: {error}") from error
        except HimaliaError as error:
            raise (NoSpace if error.status == 507 else WorkspaceCorrupt)(error.message) from error

    async def create(
        self,
        spec: LaunchSpec,
        *,
        devices: Sequence[Mapping[str, Any]],
        ulimits: Sequence[Mapping[str, object]],
        timeout_seconds: float,
    ) -> bool:
        """Create the container; return False when one of its name is there already: the name is the lock."""
        try:
            body = await self._in_thread(self._body, spec, devices, ulimits)
            await self.docker("create_container_from_config", body, self._name(spec.attempt), timeout=timeout_seconds)
        except APIError as error:
            if is_full(error):
                raise NoSpace(said(error)) from error
            if not is_conflict(error):
                raise (ImageMissing if is_missing(error) else StartFailed)(said(error)) from error
            return False
        return True

    async def start(self, attempt: str, *, timeout_seconds: float) -> None:
        """Start the container; raise StartFailed when it never runs, NetworkMissing when somebody removed its network.

        A command never begins twice: one that an Engine began that was stopped in the middle of it is ended (BrokenOff).
        """
        if await self._in_thread(has_begun, self.layout.attempt(attempt)):
            return await self._break_off(attempt)
        try:
            await self.docker("start", self._name(attempt), timeout=timeout_seconds)
        except APIError as error:
            if is_gone(error):  # it is still being created, or somebody removed it: the next look tells
                raise Unknown(said(error)) from error
            lost = is_missing(error) and network_name(self.installation, "job") in said(error)
            raise (NetworkMissing if lost else StartFailed)(said(error)) from error

    async def _break_off(self, attempt: str) -> None:
        """End what runs past the Engine; one that the Engine knows of by now has been started, and is left alone."""
        if (await self.observe(attempt)).phase is not Phase.CREATED:
            return
        await self._end_leftovers(attempt)
        raise BrokenOff("The Docker Engine was stopped while it started this.")

    async def end_of_start(self, attempt: str, error: EngineError, *, again: bool) -> Exit:
        """Return how an attempt ends whose start failed; raise StartLost where that is due to an earlier one, broken off."""
        if isinstance(error, BrokenOff):
            return Exit(code=None, reason=ExitReason.ENGINE_STOPPED)
        if again:
            await self._end_leftovers(attempt)
            raise StartLost("The Docker Engine was stopped while it started this.") from error
        return Exit(code=None, reason=ExitReason.START_FAILED, detail=str(error))

    async def _end_leftovers(self, attempt: str) -> None:
        """End what an Engine left of a start that it was stopped in the middle of, and knows nothing of."""
        handle = (await self.observe(attempt)).handle
        if handle:
            await self._in_thread(end_processes, handle)

    async def observe(self, attempt: str) -> Observed:
        """Return the container as the Engine sees it."""
        return (await self.look(attempt))[0]

    async def look(self, attempt: str) -> tuple[Observed, Mapping[str, Any]]:
        """Return the container as the Engine sees it, and its state in the Engine's own words."""
        try:
            found = await self.docker("inspect_container", self._name(attempt))
        except APIError as error:
            if is_missing(error):
                return Observed(attempt=attempt, phase=Phase.ABSENT), {}
            raise EngineError(said(error)) from error
        return observed_of_inspect(attempt, found), found["State"]

    async def warn(self, attempt: str) -> None:
        """Send the launcher SIGUSR1; one that has ended meanwhile needs none."""
        try:
            await self.docker("kill", self._name(attempt), "SIGUSR1", timeout=QUICK_SECONDS)
        except APIError as error:
            if not is_missing(error) and not is_conflict(error):
                raise EngineError(said(error)) from error

    async def container(self, attempt: str) -> Container | None:
        """Return a running attempt's container, and where the Engine keeps what it writes beside its mounts."""
        try:
            found = await self.docker("inspect_container", self._name(attempt), timeout=QUICK_SECONDS)
        except APIError as error:
            if is_missing(error):
                return None
            raise EngineError(said(error)) from error
        layer = ((found.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir")
        running = found["State"].get("Running")
        return Container(handle=str(found["Id"]), layer=Path(layer) if layer else None) if running else None

    async def kill(self, attempt: str, grace_seconds: float) -> None:
        """SIGTERM, grace, SIGKILL; return when it has ended. Without a grace all but the launcher is killed at once."""
        if grace_seconds <= 0:
            await self._kill_at_once(attempt)
        async with asyncio.TaskGroup() as tasks:
            stop = tasks.create_task(self._stop(attempt, grace_seconds))
            await asyncio.wait({stop}, timeout=max(grace_seconds, 0))
            if not stop.done():  # the launcher kills now
                await self._let_die(attempt)
            await asyncio.wait({stop}, timeout=LAUNCHED_MORE_SECONDS)
            if not stop.done() and grace_seconds > 0:
                await self._kill_at_once(attempt)

    async def _stop(self, attempt: str, grace_seconds: float) -> None:
        with contextlib.suppress(APIError, EngineError):  # it ended by itself, or the service asks again
            await self.docker(
                "stop", self._name(attempt), int(grace_seconds) + LAUNCHER_SECONDS, timeout=grace_seconds + 60
            )

    async def _let_die(self, attempt: str) -> None:
        """Give those who are killed the CPU that they need to die."""
        with contextlib.suppress(APIError, EngineError):
            _, state = await self.look(attempt)
            await self._in_thread(lift_cpu_limit, int(state.get("Pid") or 0))

    async def _kill_at_once(self, attempt: str) -> None:
        """Kill what the launcher started: it has its own grace, and is left to bring the log home and to record the end.

        It hears of the stop first, so that it knows why its command ended.
        """
        with contextlib.suppress(APIError, EngineError):
            observed, state = await self.look(attempt)
            if observed.phase is not Phase.RUNNING or not observed.handle:
                return
            await self.docker("kill", self._name(attempt), "SIGTERM", timeout=QUICK_SECONDS)
            launcher = int(state.get("Pid") or 0)
            for number in range(KILLS):  # what forks meanwhile is found the next time
                if not await self._in_thread(partial(end_processes, observed.handle, but=launcher)):
                    return
                if number == 0:
                    await self._in_thread(lift_cpu_limit, launcher)

    async def remove(self, attempt: str) -> None:
        """Remove container and volume, whether they are there or not; what is in use stays."""
        await self._gone("remove_container", self._name(attempt), force=True)
        await self._gone("remove_volume", volume_name(self.installation, attempt))

    async def remove_container(self, attempt: str) -> None:
        """Remove the container, whether it is there or not; raise Unknown while the Engine is at it already."""
        if not await self._gone("remove_container", self._name(attempt), force=True):
            raise Unknown("the Docker Engine is removing the container already")

    async def remove_volume(self, attempt: str) -> None:
        """Remove the volume of one whose container is gone, whether it is there or not; raise EngineError while it is in use."""
        if not await self._gone("remove_volume", volume_name(self.installation, attempt)):
            raise EngineError("the volume is still in use")

    async def _gone(self, method: str, name: str, **options: Any) -> bool:
        """Remove something; return False where it is in use."""
        try:
            await self.docker(method, name, **options)
        except APIError as error:
            if not is_missing(error) and not is_conflict(error):
                raise EngineError(said(error)) from error
            return is_missing(error)
        return True

    def _body(
        self, spec: LaunchSpec, devices: Sequence[Mapping[str, Any]], ulimits: Sequence[Mapping[str, object]]
    ) -> dict[str, Any]:
        """Return what the Engine needs to make the container, and its workspace with it."""
        own = self.layout.attempt(spec.attempt)
        workspace: dict[str, Any] = {"Type": "bind", "Source": str(own / "upper"), "Target": spec.workspace_path}
        if spec.workspace_digest and self.overlay:
            tree = self.trees.materialize(spec.workspace_owner, spec.workspace_digest)
            workspace = volume_mount(self.installation, spec.attempt, spec.workspace_path, tree, own)
        return create_body(
            spec,
            installation=self.installation,
            layout=self.layout,
            workspace=workspace,
            devices=devices,
            ulimits=ulimits,
        )

    def _name(self, attempt: str) -> str:
        return container_name(self.installation, attempt)
