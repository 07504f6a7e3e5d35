"""Servers that wait in line: where each stands, and how a wait has ended."""

from __future__ import annotations

from enum import StrEnum

from ..reasons import Reason, Sure
from .base import Answer, Moment
from .ledger import WaitingFor


class WaitState(StrEnum):
    """Where a server that waits is."""

    WAITING = "waiting"  #: in line
    STARTING = "starting"  #: it is its turn, and it is being started
    KEPT = "kept"  #: its GPUs are kept for it: the server runs without them, and a restart gives them to it
    STARTED = "started"  #: the server has what it waited for
    OVER = "over"  #: the wait has ended without that; `outcome` says how


class Outcome(StrEnum):
    """How a wait has ended that did not end in a server."""

    CANCELLED = "cancelled"  #: its person left the line
    REPLACED = "replaced"  #: its person asked for something else
    TOO_LONG = "too_long"  #: it waited for `longest_wait`
    PASSED_ON = "passed_on"  #: its turn was not taken within `kept_for`
    NOT_STARTED = "not_started"  #: it was its turn, and the start failed
    NOT_ALLOWED = "not_allowed"  #: its profile is not open to its person any more
    CANNOT_RUN = "cannot_run"  #: only a change of the platform could let it start
    GONE = "gone"  #: the server or its user was deleted


OUTCOME_SENTENCES: dict[Outcome, str] = {
    Outcome.CANCELLED: "The wait was cancelled.",
    Outcome.REPLACED: "You asked for something else instead.",
    Outcome.TOO_LONG: "It waited for as long as a notebook may wait here. Ask again, or choose another profile.",
    Outcome.PASSED_ON: "It was your turn and it was not taken in time, so it went to the next in line. Ask again.",
    Outcome.NOT_STARTED: "It was your turn, but the server could not be started.",
    Outcome.NOT_ALLOWED: "Its profile is not open to you any more. Choose another, or ask an administrator.",
    Outcome.CANNOT_RUN: "It can never start on this platform as it is now. Choose another profile.",
    Outcome.GONE: "The server or its user was deleted.",
}


class WaitingView(Answer):
    """A server that waits in line, for the person whose it is."""

    id: str
    user: str
    server: str = ""  #: its name; the default server has none
    profile: str
    title: str = ""  #: of the profile
    gpus: str = "0"
    state: WaitState
    outcome: Outcome | None = None
    reason: Reason | None = None
    sentence: str  #: what it waits for, or what became of it; times in it are UTC stamps
    position: int | None = None
    estimate_at: Moment | None = None  #: when it is expected to start
    sure: Sure | None = None  #: how sure that is
    waiting_for: tuple[WaitingFor, ...] = ()
    since: Moment
    leaves_at: Moment | None = None  #: when it leaves the line if its turn has not come
    kept_until: Moment | None = None  #: when what is kept for it goes to the next in line
    meanwhile: bool = False  #: its server runs without GPUs, or is to
    page: str  #: where a person sees it, below the platform's address
    url: str  #: where the server is, once it runs
