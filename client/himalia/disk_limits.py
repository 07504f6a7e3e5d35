"""`[disk]`: what homes, storages and teams may take of the data disk. What a job may write is said by its profile."""

from __future__ import annotations

from pydantic import Field

from .sections import Bytes, Seconds, Section


class Disk(Section):
    """`[disk]`: limits of what people keep, and when they are told."""

    home: Bytes | None = Field(None, description="What a person's home may take; none: as much as there is.")
    home_files: int | None = Field(None, ge=1, description="How many files and directories may be in it.")
    storage: Bytes | None = Field(None, description="What a person's /storage may take; none: as much as there is.")
    storage_files: int | None = Field(None, ge=1, description="How many files and directories may be in it.")
    team: Bytes | None = Field(None, description="What a team's /team/NAME may take; none: as much as there is.")
    team_files: int | None = Field(None, ge=1, description="How many files and directories may be in it.")
    nearly: int = Field(
        90, ge=1, le=100, description="From so many per cent of a limit on people are told; a job, too."
    )
    look: Seconds = Field(
        300,
        description="Time between two looks at what homes, storages and teams take. More often tells sooner, and reads more of the disk.",
    )
