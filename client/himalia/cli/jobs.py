"""`himalia jobs`, `show`, `wait`, `cancel`, `extend`, `move`, `rerun`, `delete`."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import UTC, datetime
from itertools import islice

import click

from ..errors import LocalError
from ..git.words import source_words
from ..models import JobView
from ..sdk import Job
from ..states import FINAL_STATES
from ..timeline import timeline
from ..units import counted, format_duration, format_size
from .following import follow
from .output import (
    CANCELLED,
    ago,
    exit_code,
    local,
    print_json,
    print_table,
    printable,
    ran_for,
    say,
    sentence_of,
    state_text,
    why,
)
from .session import remember, resolve, session

SHOWN = 20


@click.command()
@click.option("--project", help="Only this project.")
@click.option("--state", help="Only these states, with commas between: running,queued.")
@click.option("--all", "everything", is_flag=True, help=f"All, not only the newest {SHOWN}.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def jobs(project: str | None, state: str | None, everything: bool, as_json: bool) -> None:
    """List your jobs and your teams', newest first."""
    with session() as client:
        found = list(
            islice(
                client.jobs(project=project, state=state, limit=100 if everything else SHOWN),
                None if everything else SHOWN,
            )
        )
    if as_json:
        print_json(found)
    elif not found and (project or state):
        say("No such jobs.")
    elif not found:
        say("No jobs yet. Send this directory off with: himalia submit -- python train.py")
    else:
        columns = ("ID", "STATE", "PROJECT", "NAME", "GPUS", "SUBMITTED", "RAN FOR", "WHY")
        print_table(
            columns,
            (
                (
                    job.id,
                    state_text(job),
                    job.project,
                    job.name[:40],
                    job.gpus,
                    ago(job.created_at),
                    ran_for(job),
                    why(job),
                )
                for job in found
            ),
        )


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(job_id: str, as_json: bool) -> None:
    """Show a job: what it is, and what became of it and when."""
    with session() as client:
        job = client.job(resolve(job_id))
    if as_json:
        print_json([job])
        return
    for label, text in _rows(job):
        if text:
            click.echo(f"{label:<12} {printable(text)}")
    for number, moment in enumerate(timeline(job)):
        took = moment.lasted(None if job.state in FINAL_STATES else datetime.now(UTC))
        shown = f"{printable(moment.what)} ({took})" if took else printable(moment.what)
        click.echo(f"{'' if number else 'timeline':<12} {local(moment.at)}  {shown}")


@click.command()
@click.argument("job_id", metavar="ID")
def wait(job_id: str) -> int:
    """Wait for a job's end, and end with its exit code."""
    with session() as client:
        job = Job(client, client.job(resolve(job_id)))
        try:
            job.wait()
        except KeyboardInterrupt:
            say(f"\nNo longer waiting; {job.id} goes on.")
            return CANCELLED
    say(f"{job.id}: {sentence_of(job.view)}")
    return exit_code(job.view)


@click.command()
@click.argument("job_id", metavar="ID")
def cancel(job_id: str) -> None:
    """End a job; what it had written to /artifacts is kept."""
    with session() as client:
        job = client.cancel(resolve(job_id))
    ending = job.cancel_requested and job.finished_at is None
    say(f"{job.id}: {'is being ended.' if ending else sentence_of(job)}")


@click.command()
@click.argument("job_id", metavar="ID")
@click.argument("by", metavar="TIME")
def extend(job_id: str, by: str) -> None:
    """Give a job that waits or runs more time: `himalia extend last 4h`. Its profile says how much it may have in all."""
    with session() as client:
        job = client.extend(resolve(job_id), by)
    until = f"; it ends before {local(job.ends_before)}" if job.ends_before else ""
    say(f"{job.id}: its time limit is {format_duration(job.timeout_seconds)} now{until}.")


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--first", is_flag=True, help="Before all others of yours.")
@click.option("--last", is_flag=True, help="Behind all others of yours.")
@click.option("--before", metavar="ID", help="Before this one of yours.")
def move(job_id: str, first: bool, last: bool, before: str | None) -> None:
    """Give a job another place among your own in line. Nobody else moves."""
    if [first, last, before is not None].count(True) != 1:
        raise click.UsageError("Say where to: --first, --last or --before ID.")
    with session() as client:
        job = client.move(resolve(job_id), first=first, last=last, before=before and resolve(before))
    say(f"{job.id}: {sentence_of(job)}")


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--detach", "-d", is_flag=True, help="Return at once.")
def rerun(job_id: str, detach: bool) -> int:
    """Run the same files and image once more, and follow it."""
    with session() as client:
        job = Job(client, client.rerun(resolve(job_id)))
        remember(job.id)
        say(f"job {job.id} ({job.view.project}): {job.view.name}")
        return 0 if detach else follow(job)


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def delete(job_id: str, yes: bool) -> None:
    """Delete a job that has ended, with its log and artifacts."""
    with session() as client:
        job = client.job(resolve(job_id))
        if not yes and not sys.stdin.isatty():
            raise LocalError("Nobody is here to be asked. Add --yes.")
        if not yes:
            click.confirm(f"Delete {job.id} ({job.name}) with its log and artifacts?", abort=True, err=True)
        client.delete(job.id)
    say(f"{job.id}: deleted.")


def _notebook(job: JobView) -> str:
    if job.notebook is None:
        return ""
    given = (f"{name}={json.dumps(value)}" for name, value in job.notebook.parameters.items())
    return " ".join((job.notebook.path, *given))


def _asked(job: JobView) -> str:
    disk = f", {format_size(job.disk_bytes)} of disk" if job.disk_bytes else ""
    share = f"{counted(job.cpus, 'CPU')}, {format_size(job.memory_bytes)}{disk}"
    return f"{share}, GPUs {job.gpus}, {format_duration(job.timeout_seconds)}"


def _tried_again(job: JobView) -> str:
    times = "once" if job.retries == 1 else f"{job.retries} times"
    return f"{times} at most, after {job.retry_on.replace(',', ', ')}" if job.retries else ""


def _rows(job: JobView) -> list[tuple[str, str]]:
    attempts = ", ".join(
        f"{attempt.number}: {'exit code ' + str(attempt.exit_code) if attempt.exit_code is not None else attempt.reason or 'running'}"
        for attempt in job.attempts
    )
    return [
        ("job", job.id),
        ("name", job.name),
        ("state", sentence_of(job)),
        ("project", f"{job.owner}/{job.project}"),
        ("experiment", job.experiment or ""),
        ("submitted", f"{local(job.created_at)} by {job.user}"),
        ("started", local(job.started_at)),
        ("tries again", local(job.retry_at)),
        ("ends before", local(job.ends_before)),
        ("ended", local(job.finished_at)),
        ("ran for", ran_for(job)),
        ("exit code", "" if job.exit_code is None else str(job.exit_code)),
        ("label", (job.attempts[-1].label or "") if job.attempts else ""),
        ("source", source_words(job.source) if job.source else ""),
        ("command", "" if job.notebook else shlex.join(job.command)),
        ("notebook", _notebook(job)),
        ("directory", job.workdir),
        ("profile", job.profile),
        ("asked for", _asked(job)),
        ("tried again", _tried_again(job)),
        ("preemptible", "yes: it gives way when others need the GPU, and is run again" if job.preemptible else ""),
        ("image", f"{job.image} ({job.image_id[:19]})"),
        ("environment", " ".join(f"{name}={value}" for name, value in job.env.items())),
        ("attempts", attempts if len(job.attempts) > 1 else ""),
        ("run again of", job.rerun_of or ""),
    ]
