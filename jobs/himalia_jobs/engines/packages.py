"""Which Python packages an attempt could import when it began, as `pip freeze` would write them.

Nothing runs in the attempt's own container. What an image has is asked once, in a container of its own without a
network; what the person has added to it is read off the names of the directories in their storage. Both happen beside
the start: it waits for neither, and an attempt without a list runs as well.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from docker.errors import APIError

from himalia.container import NO_GPU, Label, container_name, host_config

from ..hostile import folder_names
from ..layout import DataLayout
from .base import LaunchSpec, StorageMount
from .calls import DockerCalls, is_gone
from .errors import EngineError

log = logging.getLogger(__name__)

NAME = "packages.txt"  #: in the attempt's own directory, which no container mounts
ASK = """
import importlib.metadata, json, os, sys
found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions() if d.metadata["Name"]}
site = "lib/python%d.%d/site-packages" % sys.version_info[:2]
print(json.dumps({"packages": found, "base": os.environ.get("PYTHONUSERBASE", ""), "site": site}))
"""
NO_SUCH_COMMAND = (400, 404)  #: how the Engine answers the start of what is not there
ASK_SECONDS = 60.0
ASK_BYTES = 512 * 1024 * 1024
MOST_NAMES = 5000
DISTRIBUTION = re.compile(r"([A-Za-z0-9][\w.]*)-([\w.!+]+)\.(?:dist|egg)-info")
InThread = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class ImagePackages:
    """What an image's own Python has, and where it looks for a person's packages."""

    packages: Mapping[str, str]
    base: str = ""
    site: str = ""


class Packages:
    """Writes the list of each attempt; knows what the images have."""

    def __init__(self, docker: DockerCalls, installation: str, layout: DataLayout, in_thread: InThread) -> None:
        self._docker = docker
        self._installation = installation
        self._layout = layout
        self._in_thread = in_thread
        self._asking = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, spec: LaunchSpec) -> None:
        """Write the list of an attempt that begins, beside its start."""
        task = asyncio.create_task(self._write(spec), name=f"packages {spec.attempt}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def read(self, attempt: str) -> str | None:
        """Return the list of an attempt; None where there is none (yet)."""
        return await self._in_thread(_text_of, self._layout.attempt(attempt) / NAME)  # type: ignore[no-any-return]

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self, spec: LaunchSpec) -> None:
        try:
            image = await self._of_image(spec.image_id)
            await self._in_thread(write_list, self._layout, spec, image)
        except Exception:
            log.warning("the packages of %s are not listed", spec.attempt, exc_info=True)

    async def _of_image(self, image_id: str) -> ImagePackages:
        """Return what an image has; it is asked once, and never changes."""
        kept = self._layout.engine / "packages" / f"{image_id.rpartition(':')[2]}.json"
        async with self._asking:
            text = await self._in_thread(_text_of, kept)
            if text is None:
                text = await self._ask(image_id)
                await self._in_thread(_keep, kept, text)
        return ImagePackages(**json.loads(text))

    async def _ask(self, image_id: str) -> str:
        """Return what the image's Python says; nothing where it has none."""
        name = container_name(self._installation, f"packages-{image_id.rpartition(':')[2][:12]}")
        await self._gone(name)  # one that was asked when the service was killed
        await self._docker("create_container_from_config", self._asker(image_id), name)
        try:
            await self._docker("start", name)
            await self._docker("wait", name, timeout=ASK_SECONDS)
            said = await self._docker("logs", name, stdout=True, stderr=False)
            return json.dumps(json.loads(said)) if said.strip() else json.dumps({"packages": {}})
        except APIError as error:
            if is_gone(error) or error.status_code not in NO_SUCH_COMMAND:
                raise  # the Engine's own trouble says nothing of the image: it is asked again
            return json.dumps({"packages": {}})  # there is no python3 in it
        finally:
            await self._gone(name)

    def _asker(self, image_id: str) -> dict[str, Any]:
        return {
            "Image": image_id,
            "Entrypoint": ["python3", "-s", "-c", ASK],
            "Cmd": [],
            "User": "65534:65534",
            "Env": [*(f"{variable}={value}" for variable, value in NO_GPU.items()), "HOME=/tmp"],
            "Labels": {Label.ASKS: self._installation},
            "HostConfig": host_config(cpus=1.0, memory_bytes=ASK_BYTES)
            | {"NetworkMode": "none", "LogConfig": {"Type": "json-file", "Config": {}}},
        }

    async def _gone(self, container: str) -> None:
        try:
            await self._docker("remove_container", container, force=True)
        except (APIError, EngineError):
            pass  # there is none, or it goes before the next one is made


def write_list(layout: DataLayout, spec: LaunchSpec, image: ImagePackages) -> None:
    """Write what an attempt can import: the image's packages, and the person's own before them."""
    own = {} if spec.env.get("PYTHONNOUSERSITE") else _added(layout, spec, image)
    known = {_plain(name): (name, version) for name, version in image.packages.items()} | own
    lines = [f"# image {spec.image_id}", f"# of these, added by {spec.user}: {len(own)}"]
    lines += [f"{name}=={version}" for _, (name, version) in sorted(known.items())]
    file = layout.attempt(spec.attempt) / NAME
    draft = file.with_suffix(".part")
    draft.write_text("\n".join(lines) + "\n")  # no directory is made: a job that was deleted meanwhile stays so
    draft.rename(file)


def _added(layout: DataLayout, spec: LaunchSpec, image: ImagePackages) -> dict[str, tuple[str, str]]:
    """Return the packages that the person has put into their storage for this image."""
    base = PurePosixPath(spec.env.get("PYTHONUSERBASE") or image.base)
    for mount in spec.mounts:
        if image.site and base.is_relative_to(mount.target):
            inner = f"{base.relative_to(mount.target)}/{image.site}"
            names = folder_names(_directory(layout, mount), inner, MOST_NAMES)
            found = [match for name in names if (match := DISTRIBUTION.fullmatch(name))]
            return {_plain(match[1]): (match[1].replace("_", "-"), match[2]) for match in found}
    return {}


def _directory(layout: DataLayout, mount: StorageMount) -> Path:
    if mount.kind == "site":
        return Path(mount.name)
    return layout.storage(mount.name) if mount.kind == "storage" else layout.team(mount.name)


def _plain(name: str) -> str:
    """Return a name as all ways to write it are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _text_of(file: Path) -> str | None:
    try:
        return file.read_text()
    except FileNotFoundError:
        return None


def _keep(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_text(text)
    draft.rename(file)
