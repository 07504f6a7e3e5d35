"""What all commands print with: tables, times, progress, JSON lines; and the codes a command ends with."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..harmless import harmless
from ..models import JobSummary, WaiterView
from ..moments import expected, localised
from ..reasons import Reason
from ..states import JobState
from ..units import format_duration

TIMED_OUT = 124
OURS = 125  #: Himalia's own fault, or nothing was run
CANCELLED = 130
OUT_OF_MEMORY = 137
WIDE = 2000
STYLES = {
    JobState.QUEUED: "yellow",
    JobState.STARTING: "cyan",
    JobState.RUNNING: "cyan",
    JobState.COLLECTING: "cyan",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "magenta",
}


def exit_code(job: JobSummary) -> int:
    """Return the code that a command ends with for a job that has ended."""
    if job.state is JobState.SUCCEEDED:
        return 0
    if job.state is JobState.CANCELLED:
        return CANCELLED
    if job.reason is Reason.TIMED_OUT:
        return TIMED_OUT
    if job.reason is Reason.OUT_OF_MEMORY:
        return OUT_OF_MEMORY
    if job.reason in (Reason.EXITED, Reason.COMMAND_NOT_FOUND, Reason.COMMAND_NOT_EXECUTABLE, Reason.KILLED_BY_SIGNAL):
        return job.exit_code if job.exit_code else OURS
    return OURS


def printable(text: str) -> str:
    """Return a text that steers no terminal: names of jobs and files are a stranger's."""
    return harmless(text)


def say(text: str) -> None:
    """Tell the person something on stderr, so that stdout stays the job's own."""
    click.echo(printable(text), err=True)


def print_json(rows: Iterable[BaseModel | dict[str, Any]]) -> None:
    """Print one JSON object a line."""
    for row in rows:
        click.echo(row.model_dump_json() if isinstance(row, BaseModel) else json.dumps(row))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print a plain table; nothing in it is taken for markup."""
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell).replace("\n", " ")) for cell in row))
    # A program that reads it gets one line for each row, however long.
    Console(width=None if sys.stdout.isatty() else WIDE, highlight=False).print(table)


def state_text(job: JobSummary) -> Text:
    """Return a job's state in its colour."""
    return Text(str(job.state), style=STYLES[job.state])


def local(moment: datetime | None) -> str:
    """Return a moment in the reader's own zone."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def ago(moment: datetime | None) -> str:
    """Return how long ago a moment was."""
    return f"{format_duration(max(0.0, (datetime.now(UTC) - moment).total_seconds()))} ago" if moment else ""


def ran_for(job: JobSummary) -> str:
    """Return how long a job has run."""
    if job.started_at is None:
        return ""
    return format_duration(((job.finished_at or datetime.now(UTC)) - job.started_at).total_seconds())


def sentence_of(job: JobSummary) -> str:
    """Return one line about a job: its state, and why."""
    return f"{job.state}. {why(job)}".strip() if job.sentence else f"{job.state}."


def why(waiting: JobSummary | WaiterView) -> str:
    """Return why something waits or ended, and when it is expected to start, in the reader's own zone."""
    return localised(f"{waiting.sentence} {expected(waiting.estimate_at, waiting.sure)}".strip())
