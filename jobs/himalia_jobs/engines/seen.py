"""From what the Docker Engine says of a container to what the contract calls it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from himalia.container import Label

from .base import LOCAL, Exit, ExitReason, Observed, Phase
from .journal import Entry
from .runfiles import ExitRecord, read_record
from .told import Life

PHASES = {
    "created": Phase.CREATED,
    "running": Phase.RUNNING,
    "paused": Phase.RUNNING,
    "restarting": Phase.RUNNING,
    "removing": Phase.EXITED,
    "exited": Phase.EXITED,
    "dead": Phase.EXITED,
}
RUNNING_STATES = frozenset(state for state, phase in PHASES.items() if phase is Phase.RUNNING)
SIGNALLED = 128
NOT_KNOWN = 255  #: what the Engine says of a container that it found dead


def observed_of_inspect(attempt: str, found: Mapping[str, Any]) -> Observed:
    """Return what `inspect` says."""
    state = found["State"]
    labels = found["Config"].get("Labels") or {}
    return _observed(
        attempt,
        labels,
        found["Id"],
        str(found["Name"]).lstrip("/"),
        PHASES.get(state["Status"], Phase.EXITED),
        moment(state.get("StartedAt")),
    )


def observed_of_row(row: Mapping[str, Any]) -> Observed:
    """Return what a line of the listing says."""
    labels = row.get("Labels") or {}
    names = row.get("Names") or [""]
    phase = PHASES.get(row["State"], Phase.EXITED)
    return _observed(labels.get(Label.ATTEMPT, ""), labels, row["Id"], str(names[0]).lstrip("/"), phase, None)


def observed_of_life(attempt: str, life: Life) -> Observed:
    """Return what the Engine's events told."""
    phase = Phase.RUNNING if life.code is None else Phase.EXITED
    return _observed(attempt, life.labels, life.handle, life.name, phase, life.started_at)


def exit_of_life(life: Life, own: Path, entry: Entry, boot_id: str) -> Exit | None:
    """Return how a container ended by what was told of it; none where the Engine has to be asked.

    That is where its word differs from the launcher's, or the launcher may not have come to write its own: it was killed, or
    the Engine was away. One that wrote its end and ended with that code has counted whom a lack of memory killed.
    """
    record = read_record(own)
    if record is None or record.code != life.code or life.code in (SIGNALLED + 9, NOT_KNOWN):
        return None
    exit = exit_of({"ExitCode": life.code, "OOMKilled": life.oom}, own, entry, boot_id)
    return replace(exit, finished_at=life.ended_at)


def exit_of(state: Mapping[str, Any], own: Path, entry: Entry | None, boot_id: str) -> Exit:
    """Return how a container ended.

    The code is the Engine's: the launcher is pid 1 and a job cannot forge it. The record only adds to it; it is believed
    where the Engine was away at the end and does not know the code.
    """
    record = read_record(own)
    code = int(state.get("ExitCode") or 0)
    if code == NOT_KNOWN and record is not None and record.code is not None:
        code = record.code
    finished = moment(state.get("FinishedAt")) or datetime.now(UTC)
    # An Engine may tell of the main process alone; the launcher reads the count of the container.
    oom = bool(state.get("OOMKilled")) or (record is not None and record.oom_kills > 0)
    reason = _reason(code, record, entry, boot_id, oom)
    lost = reason is ExitReason.NODE_REBOOTED
    return Exit(
        code=None if lost else code,
        signal=code - SIGNALLED
        if not lost and SIGNALLED < code < SIGNALLED + 65 and _by_signal(record, code)
        else None,
        oom=oom,
        reason=reason,
        detail=str(state.get("Error") or ""),
        finished_at=finished,
    )


def missed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a container whose end the Engine missed: as if it had been away at it."""
    return {**state, "ExitCode": NOT_KNOWN, "FinishedAt": ""}


def moment(text: str | None) -> datetime | None:
    """Return a moment of the Engine's; it writes nanoseconds, and the year 1 for never."""
    if not text or text.startswith("0001-"):
        return None
    whole, _, rest = text.partition(".")
    fraction = (rest.rstrip("Z")[:6] or "0").ljust(6, "0")
    return datetime.fromisoformat(f"{whole.rstrip('Z')}.{fraction}").replace(tzinfo=UTC)


def _reason(code: int, record: ExitRecord | None, entry: Entry | None, boot_id: str, oom: bool) -> ExitReason:
    if entry is not None and entry.boot_id and entry.boot_id != boot_id and record is None:
        return ExitReason.NODE_REBOOTED
    killed = record is None and code == SIGNALLED + 9 and not oom
    if entry is not None and entry.stop_why is not None and (killed or (record is not None and record.stopped)):
        return ExitReason.STOPPED
    if (record is not None and record.stopped) or (record is None and code == NOT_KNOWN):
        return ExitReason.ENGINE_STOPPED
    return ExitReason.EXITED


def _by_signal(record: ExitRecord | None, code: int) -> bool:
    return record is None or record.signal == code - SIGNALLED


def _observed(
    attempt: str, labels: Mapping[str, str], handle: str, name: str, phase: Phase, started_at: datetime | None
) -> Observed:
    slots = labels.get(Label.SLOTS, "")
    return Observed(
        attempt=attempt,
        kind="server" if labels.get(Label.KIND) == "server" else "job",
        node_id=LOCAL,
        phase=phase,
        handle=handle,
        lease_id=labels.get(Label.LEASE, ""),
        name=name,
        slots=tuple(uuid for uuid in slots.split(",") if uuid),
        owner=labels.get(Label.OWNER, ""),
        user=labels.get(Label.USER, "") or labels.get(Label.OWNER, "").partition(":")[2],
        spec_digest=labels.get(Label.SPEC, ""),
        started_at=started_at,
        cpus=float(labels.get(Label.CPUS) or 0),
        memory_bytes=int(labels.get(Label.MEMORY) or 0),
    )
