"""The situation after a round: who starts in it holds what it got. Estimates begin there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from .giving_way import without
from .rules import Rules
from .words import Decision, Hold, Room, Situation, Start


def afterwards(situation: Situation, decision: Decision, rules: Rules) -> Situation:
    """Return what is left, who holds what and who still waits, once a decision is carried out."""
    if not decision.starts:
        return situation
    started = {start.waiter.id for start in decision.starts}
    return replace(
        situation,
        rooms=tuple(
            _less(room, [start for start in decision.starts if start.node_id == room.node_id])
            for room in situation.rooms
        ),
        holds=(*situation.holds, *(_hold(start, situation, rules) for start in decision.starts)),
        waiters=tuple(waiter for waiter in situation.waiters if waiter.id not in started),
        last_starts={
            **situation.last_starts,
            **{(start.waiter.user_id, start.waiter.gpus.count > 0): situation.now for start in decision.starts},
        },
    )


def _less(room: Room, starts: list[Start]) -> Room:
    for start in starts:
        room = without(room, start.waiter, start.slots)
    return room


def _hold(start: Start, situation: Situation, rules: Rules) -> Hold:
    waiter = start.waiter
    limit = waiter.limit_seconds
    return Hold(
        lease_id=waiter.id,
        kind=waiter.kind,
        user_id=waiter.user_id,
        user=waiter.user,
        teams=waiter.teams,
        team_ids=waiter.team_ids,
        node_id=start.node_id,
        cpus=waiter.cpus,
        memory_bytes=waiter.memory_bytes,
        since=situation.now,
        slots=start.slots,
        job_id=waiter.id if waiter.kind == "job" else "",
        profile=waiter.profile,
        project_id=waiter.project_id,
        ends_at=None if limit is None else situation.now + timedelta(seconds=limit + rules.ending_seconds),
        preemptible=waiter.preemptible,
    )
