"""What the log of a failed attempt says about it (`himalia.log_policies`): looked for at its end alone, in bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from himalia.log_policies import SHIPPED, LogPolicy, policy_for
from himalia.reasons import Reason
from himalia.states import JobState

from .endings import Ending
from .engines.base import Engine
from .engines.errors import OffsetPastEnd

LOOKED_AT_BYTES = 256 * 1024
NOT_AGAIN = "It is not tried again: that would end the same way."
#: Ends of which the platform itself does not know the cause.
OPEN = (Reason.EXITED, Reason.KILLED_BY_SIGNAL)


async def label_of(
    engine: Engine, attempt: str, end: Ending, log_bytes: int, policies: Sequence[LogPolicy]
) -> LogPolicy | None:
    """Return the policy that the end of a failed attempt's log speaks of."""
    if end.state is not JobState.FAILED or end.reason not in OPEN or not log_bytes:
        return None
    try:
        chunk = await engine.read_log(attempt, max(0, log_bytes - LOOKED_AT_BYTES), LOOKED_AT_BYTES)
    except OffsetPastEnd:
        return None
    return await asyncio.to_thread(policy_for, chunk.data, policies)


def labelled(end: Ending, policy: LogPolicy | None) -> Ending:
    """Return an ending with what its log says about it."""
    return replace(end, detail=f"{end.detail} {policy.sentence}".strip()) if policy else end


def helps(policy: LogPolicy | None, *, named: bool) -> bool:
    """Tell whether another try can help. Who names the very end (`exit:75`) knows better than what is shipped, not than their site."""
    return policy is None or policy.retry or (named and policy in SHIPPED)
