"""What the contract suite for engines runs on: scenes for commands to play, and a bench for each kind of machine.

A test asks the engine, and the bench for the truth: whether a container is alive, and how often a command began.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from himalia.ids import new_id
from himalia.units import MiB
from himalia_jobs.engines.base import Engine, Exit, LaunchSpec, Observed, Phase, StorageMount
from himalia_jobs.engines.fake import Program

GRACE_SECONDS = 1.0
OWNER_ID = "a" * 12  #: whose storage and snapshots the attempts use
BROKEN, TOO_LARGE = "b" * 64, "c" * 64  #: snapshots that cannot be laid out


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a command does: as a shell says it, and as a fake plays it."""

    shell: str
    program: Program


PRINTS = Scene(shell="printf 'one\\ntwo\\n'", program=Program(output=b"one\ntwo\n"))
LASTS = Scene(shell="echo ready; exec sleep 600", program=Program(output=b"ready\n", seconds=None))
STUBBORN = Scene(
    shell="trap '' TERM; echo ready; while :; do sleep 1; done",
    program=Program(output=b"ready\n", seconds=None, stubborn=True),
)
FAILS = Scene(shell="exit 3", program=Program(code=3))
KILLED = Scene(shell="kill -9 $$", program=Program(code=137, signal=9))
TOO_BIG = Scene(shell="exec python3 -c 'bytearray(10**9)'", program=Program(code=137, signal=9, oom=True))
CHILD_TOO_BIG = Scene(shell="python3 -c 'bytearray(10**9)'; exit 0", program=Program(oom=True))
WRITES = Scene(
    shell=(
        "head -c 3000000 /dev/zero > /artifacts/zeros; cd /workspace; touch a b c; head -c 2000000 /dev/zero > /tmp/zeros; "
        "echo ready; exec sleep 600"
    ),
    program=Program(output=b"ready\n", seconds=None, writes=(5_000_000, 5)),
)
LEAVES = Scene(
    shell=(
        "cd /artifacts; mkdir -p runs; echo 42 > runs/metric; echo 3 > model; ln -s /etc/hostname host; "
        "ln -s / root; mkfifo pipe; echo ready; exec sleep 600"
    ),
    program=Program(
        output=b"ready\n",
        seconds=None,
        artifacts={
            "runs": "dir",
            "runs/metric": b"42\n",
            "model": b"3\n",
            "host": "symlink",
            "root": "symlink",
            "pipe": "other",
        },
    ),
)


class Bench(Protocol):
    """A machine of one kind, and what a test may do to it behind the engine's back."""

    engine: Engine
    image: str
    image_id: str

    def plays(self, argv: tuple[str, ...], program: Program) -> None:
        """Say what a command does, where commands are played."""

    async def another_service(self, epoch: int) -> Engine:
        """Return the engine of a service that took over on the same machine."""

    async def let_pass(self) -> None:
        """Let a moment pass."""

    def cut_off(self) -> AbstractAsyncContextManager[None]:
        """Keep the engine from reaching its machine for a while."""

    def lose_the_answer_to_a_launch(self) -> None:
        """Let the next launch take effect without an answer."""

    def break_off_after(self, step: str) -> None:
        """Let the next launch break off after `intent`, `create` or `start`."""

    async def change_image(self, reference: str, *, there: bool) -> None:
        """Give the image another name, or take that name away, past the engine."""

    async def remove_by_hand(self, attempt: str) -> None:
        """Remove a container past the engine."""

    async def run_server(self, lease_id: str) -> str:
        """Run a server as the spawner does; return its container's name."""

    async def run_foreign(self) -> str:
        """Run a container that is not ours; return its name."""

    async def alive(self, name: str) -> bool:
        """Tell whether a container (of an attempt, or by its name) runs."""

    def starts(self, attempt: str) -> int:
        """Return how often an attempt's command began."""


def spec_of(bench: Bench, scene: Scene, **changes: Any) -> LaunchSpec:
    """Return the specification of a new attempt."""
    job_id = new_id()
    attempt = f"{job_id}.1"
    spec = LaunchSpec(
        attempt=attempt,
        job_id=job_id,
        owner="user:ada",
        user="ada",
        lease_id=new_id(),
        image_id=bench.image_id,
        argv=("sh", "-c", f"echo begun >> /storage/{attempt}; {scene.shell}"),
        cpus=0.5,
        memory_bytes=64 * MiB,
        mounts=(StorageMount(kind="storage", name=OWNER_ID, target="/storage"),),
        grace_seconds=GRACE_SECONDS,
    )
    spec = replace(spec, **changes)
    bench.plays(spec.argv, scene.program)
    return spec


async def launched(bench: Bench, scene: Scene, **changes: Any) -> LaunchSpec:
    """Launch a new attempt, and return its specification."""
    spec = spec_of(bench, scene, **changes)
    await launch(bench.engine, spec)
    return spec


async def launch(engine: Engine, spec: LaunchSpec) -> Observed:
    """Prepare and launch."""
    await engine.prepare(spec)
    return await engine.launch(spec, timeout_seconds=60)


async def end_of(bench: Bench, spec: LaunchSpec) -> Exit:
    """Return how an attempt ended, once it has."""
    found = await eventually(bench, lambda: _exit(bench.engine, spec.attempt))
    assert isinstance(found, Exit)
    return found


async def printed(bench: Bench, spec: LaunchSpec, text: bytes) -> None:
    """Wait until an attempt has printed something."""

    async def has() -> bool:
        return text in (await bench.engine.read_log(spec.attempt, 0, MiB)).data

    await eventually(bench, has)


async def eventually(bench: Bench, condition: Callable[[], Awaitable[Any]], deadline_seconds: float = 60) -> Any:
    """Return what the condition gives once it is true; fail at the deadline."""
    deadline = time.monotonic() + deadline_seconds
    while not (found := await condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await bench.let_pass()
    return found


async def is_over(bench: Bench, spec: LaunchSpec) -> bool:
    """Tell whether an attempt's command has come to its end, without asking the engine."""
    return bench.starts(spec.attempt) == 1 and not await bench.alive(spec.attempt)


async def listed(engine: Engine) -> dict[str, Observed]:
    """Return a complete listing, by lease."""
    listing = await engine.list()
    assert listing.complete
    return {found.lease_id: found for found in listing.containers}


async def content_of(engine: Engine, attempt: str, path: str) -> bytes:
    """Return the content of an artifact."""
    descriptor, entry = await engine.open_artifact(attempt, path)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read()
    assert (entry.path, entry.size_bytes) == (path, len(content))
    return content


def sha256(content: bytes) -> str:
    """Return a content's SHA-256."""
    return hashlib.sha256(content).hexdigest()


async def _exit(engine: Engine, attempt: str) -> Exit | None:
    observed = await engine.status(attempt)
    return observed.exit if observed.phase is Phase.EXITED else None
