"""The table of `himalia.toml` that says how GPUs are given out."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from .gpus import GPUMode
from .sections import Section

MIG_PROFILE = re.compile(r"([1-7]c\.)?[1-7]g\.[1-9][0-9]{0,3}gb([+-][a-z.]{1,12}){0,3}")


class GPUModeSetting(Section):
    """`[[gpu_modes]]`: how some GPUs are given out; all others: whole. Of several that name one a UUID comes before an index, that before a model, that before `*`."""

    gpu: str = Field(min_length=1, description="Which: a UUID, an index, a model such as H200, or `*` for all.")
    mode: GPUMode = Field(
        description="`exclusive` (whole), `shared` (by seats), `auto` (whole or by seats, as its first lease has it, until it is free again), `mig` (by its MIG devices, as they are) or `off`."
    )
    seats: int = Field(4, ge=1, le=64, description="With `shared` and `auto`: how many may have a seat at once.")
    slices: tuple[str, ...] = Field(
        (),
        max_length=7,
        description='With `mig`, of simulated GPUs alone: the MIG devices, as `["3g.12gb", "1g.6gb"]`; none: seven alike.',
    )

    @field_validator("slices")
    @classmethod
    def _profiles(cls, slices: tuple[str, ...]) -> tuple[str, ...]:
        for profile in slices:
            if MIG_PROFILE.fullmatch(profile) is None:
                raise ValueError(f"{profile!r} is no MIG profile: write it as the driver does, such as 1g.6gb")
        return slices
