"""What may be written to a node's disk, and what was: words of the engine contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PlaceKind = Literal["attempt", "home", "storage", "team"]


@dataclass(frozen=True, kw_only=True)
class DiskLimit:
    """What a place may take of the disk; 0: as much as there is."""

    size_bytes: int = 0
    files: int = 0  #: and directories, links, all that has a name


NO_LIMIT = DiskLimit()


@dataclass(frozen=True, kw_only=True)
class DiskPlace:
    """An attempt's own directories together, or the home or storage of a person or team, with its limit."""

    kind: PlaceKind
    name: str  #: the attempt, or the internal id of the user or team
    limit: DiskLimit = NO_LIMIT


@dataclass(frozen=True, kw_only=True)
class DiskUse:
    """What a place takes of the disk: blocks, not the sizes that files pretend to have; a file with two names once."""

    place: DiskPlace
    used_bytes: int
    files: int
    mostly: str = ""  #: where most of an attempt's bytes lie: `/artifacts`, the workspace …
    fenced: bool = False  #: the file system itself takes no more than the limit (project quota)

    @property
    def over(self) -> bool:
        """Whether it is more than the limit; where the file system fences all of it, it never is."""
        limit = self.place.limit
        too_large = bool(limit.size_bytes) and self.used_bytes > limit.size_bytes
        return too_large or (bool(limit.files) and self.files > limit.files)

    @property
    def part(self) -> float:
        """How much of its limit it takes, the nearer of the two: 1.0 is full."""
        limit = self.place.limit
        of_bytes = self.used_bytes / limit.size_bytes if limit.size_bytes else 0.0
        return max(of_bytes, self.files / limit.files if limit.files else 0.0)
