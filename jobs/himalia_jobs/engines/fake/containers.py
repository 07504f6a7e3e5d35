"""What a machine in memory keeps of each container: what its command does, how it is, what the journal says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..base import Collected, Exit, Observed


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a command does: what it prints and leaves, and how it ends."""

    output: bytes = b""
    artifacts: Mapping[str, bytes | Literal["dir", "symlink", "other"]] = field(default_factory=dict)
    writes: tuple[int, int] = (0, 0)  #: bytes and files that it leaves on the disk, while it runs
    seconds: float | None = 0.0  #: how long it runs; none: until it is stopped, or ended by `finish`
    code: int = 0
    signal: int | None = None
    oom: bool = False
    stubborn: bool = False  #: does not end on SIGTERM
    unkillable: bool = False  #: does not end on SIGKILL either, until `let_die`
    start_error: str = ""  #: what the Engine says when it cannot be started


@dataclass(kw_only=True)
class FakeContainer:
    """A container; one without a specification is a server, or somebody else's."""

    name: str
    seen: Observed
    program: Program
    ours: bool = True
    ends_at: float | None = None
    killed_at: float | None = None
    warned: bool = False


@dataclass(kw_only=True)
class FakeEntry:
    """What the machine's journal knows of an attempt."""

    digest: str = ""
    started: bool = False
    boot_id: str = ""
    stop_why: str | None = None
    exit: Exit | None = None
    collected: Collected | None = None
    forgotten: bool = False
