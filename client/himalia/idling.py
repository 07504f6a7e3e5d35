"""`[idle]` of `himalia.toml`: when GPUs that nobody uses come back."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from .sections import Seconds, SecondsOrNever, Section

Then = Literal["stop", "restart"]


class Idle(Section):
    """`[idle]`: servers whose GPUs nobody uses, jobs that do not use theirs, and servers without GPUs."""

    after: SecondsOrNever = Field(
        2 * 3600,
        description='A server whose GPUs have done nothing for so long, with no kernel at work, gives them back; "never": it keeps them. Open tabs and held memory do not count as use.',
    )
    warning: Seconds = Field(
        600, description="Before that, and before a server reaches its largest age, its owner is told in Lab."
    )
    then: Then = Field(
        "stop", description="What happens: `stop` the server, or `restart` it with a profile without GPUs."
    )
    restart_profile: str = Field(
        "", description="With `restart`: that profile; none: the first one without GPUs that the person may use."
    )
    keep_for: Seconds = Field(3600, description="For how long *Keep* keeps them.")
    keeps: int = Field(3, ge=0, description="How often in a row *Keep* is offered; use of the GPUs begins anew.")
    busy_percent: int = Field(1, ge=1, le=100, description="A GPU that is busy to less than this is not used.")
    ask_every: Seconds = Field(
        1800, description="Who waits may ask the same holder once in this time to give a GPU back."
    )
    jobs_after: SecondsOrNever = Field(
        3600, description='A job whose GPUs have done nothing for so long is told; "never": it is not.'
    )
    jobs_then: Literal["tell", "end"] = Field(
        "tell", description="`end`: a job that was told is ended after `warning` if its GPUs still do nothing."
    )
    without_gpus_after: SecondsOrNever = Field(
        86400, description='A server without GPUs that nobody has used for so long is stopped; "never": it is not.'
    )

    @model_validator(mode="after")
    def _warned_in_time(self) -> Self:
        if self.after is not None and self.after <= self.warning:
            raise ValueError("after must be longer than warning: nobody loses a GPU without a word before")
        if self.keep_for <= self.warning:
            raise ValueError("keep_for must be longer than warning")
        return self
