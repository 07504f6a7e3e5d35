"""What an attempt is now, and how it ended: an end is in the journal before anybody hears of it, and the first word counts."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from himalia.container import container_name

from ..layout import DataLayout
from .base import Exit, ExitReason, LaunchSpec, Observed, Phase
from .containers import labels
from .errors import Refused
from .journal import Entry, Journal
from .making import Maker
from .pulse import Pulse
from .runfiles import read_record
from .seen import exit_of, exit_of_life, missed, observed_of_life
from .told import Life, Lives

log = logging.getLogger(__name__)

InThread = Callable[..., Awaitable[Any]]


class Ends:
    """Brings together what the Engine shows of an attempt, what the attempt wrote, and what the journal knows."""

    def __init__(
        self,
        maker: Maker,
        journal: Journal,
        layout: DataLayout,
        pulse: Pulse,
        lives: Lives,
        boot_id: str,
        in_thread: InThread,
    ) -> None:
        self._maker = maker
        self._journal = journal
        self._layout = layout
        self._pulse = pulse
        self._lives = lives
        self._boot_id = boot_id
        self._in_thread = in_thread
        self._looked = False  #: whether one that was started now was looked at, in the life of this service

    async def now(self, attempt: str) -> Observed:
        """Return an attempt as it is; an end that is seen for the first time is journalled first (I9)."""
        return await self._told(attempt) or await self._asked(attempt)

    async def _asked(self, attempt: str) -> Observed:
        observed, state = await self._maker.look(attempt)
        entry = await self._in_thread(self._journal.find, attempt)
        if entry is not None and entry.boot_id == self._boot_id:
            observed = replace(observed, started_clock=entry.started_clock)
        if entry is not None and entry.exit is not None:
            return replace(observed, phase=Phase.EXITED, exit=entry.exit)
        if observed.phase is Phase.RUNNING and await self._in_thread(
            self._is_gone, observed, int(state.get("Pid") or 0)
        ):
            log.error("the Docker Engine calls %s running, and nothing of it is there: it missed its end", attempt)
            observed, state = replace(observed, phase=Phase.EXITED), missed(state)
        if observed.phase is Phase.EXITED:
            self._pulse.forget(observed.handle)
            exit = await self._in_thread(exit_of, state, self._layout.attempt(attempt), entry, self._boot_id)
            return replace(observed, exit=await self.first(attempt, exit))
        if observed.phase is Phase.ABSENT and entry is not None and entry.started:
            return replace(observed, phase=Phase.EXITED, exit=await self._vanished(entry))
        return observed

    async def after_start(self, spec: LaunchSpec) -> Observed:
        """Return an attempt that was started now; while events are heard its end is told."""
        installation = self._maker.installation
        self._lives.begun(spec.attempt, labels(spec, installation), container_name(installation, spec.attempt))
        if not self._looked and not await self._in_thread(self._pulse.sees):
            self._looked = True
            # While it runs: an end that is missed is only found where processes are seen.
            return await self._asked(spec.attempt)
        return await self.now(spec.attempt)

    async def must_be_over(self, attempt: str, entry: Entry | None) -> None:
        """Raise Refused while an attempt runs; of one whose end is in the journal the Engine has nothing to add."""
        if entry is not None and entry.exit is not None:
            return
        if (await self.now(attempt)).phase is Phase.RUNNING:
            raise Refused(f"{attempt} still runs; stop it first")

    async def stopped(self, attempt: str) -> None:
        """Journal that an attempt was stopped before it ran."""
        await self.first(attempt, Exit(code=None, reason=ExitReason.STOPPED, finished_at=datetime.now(UTC)))

    async def first(self, attempt: str, exit: Exit) -> Exit:
        """Journal an end, and return the one that counts: the first."""
        counts: Exit = await self._in_thread(self._journal.ended, attempt, exit)
        return counts

    async def _told(self, attempt: str) -> Observed | None:
        """Return an attempt by what the Engine's events told; none where it has to be asked."""
        life = self._lives.of(attempt)
        if life is None or (life.code is None and not life.is_new):
            return None
        observed = observed_of_life(attempt, life)
        if life.code is None:
            return observed
        exit = await self._in_thread(self._end_told, attempt, life)
        return replace(observed, exit=exit) if exit is not None else None

    def _end_told(self, attempt: str, life: Life) -> Exit | None:
        entry = self._journal.find(attempt)
        if entry is None or entry.exit is not None:
            return entry.exit if entry is not None else None
        exit = exit_of_life(life, self._layout.attempt(attempt), entry, self._boot_id)
        if exit is None:
            return None
        self._pulse.forget(life.handle)
        return self._journal.ended(attempt, exit)

    def _is_gone(self, observed: Observed, pid: int) -> bool:
        record = read_record(self._layout.attempt(observed.attempt))
        return self._pulse.is_gone(observed.handle, pid, wrote_record=record is not None)

    async def _vanished(self, entry: Entry) -> Exit:
        rebooted = entry.boot_id != self._boot_id
        reason = ExitReason.NODE_REBOOTED if rebooted else ExitReason.VANISHED
        return await self.first(entry.id, Exit(code=None, reason=reason, finished_at=datetime.now(UTC)))
