"""`himalia submit`: send the directory in front of you off as a job."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import Any

import click

from ..client import Client
from ..errors import FieldError, HimaliaError, LocalError
from ..sdk import Job
from ..sdk import submit as submit_job
from ..settings import token_from
from ..snapshot import LeftOut, Scan
from ..snapshot.ignore import GIT, HIMALIA
from ..snapshot.private import KINDS, told_of
from ..units import format_size
from .following import follow
from .jobfile import NAME, read_job_file
from .output import print_json, say
from .progress import sending
from .session import remember, session

MOST_LEFT_OUT = 5
COMMAND = "himalia.command"


class CommandAfterDashes(click.Command):
    """A command whose words after `--` are another command, whatever they look like."""

    def parse_args(self, context: click.Context, words: list[str]) -> list[str]:
        """Keep what stands after the two dashes apart from what stands before."""
        at = words.index("--") if "--" in words else len(words)
        context.meta[COMMAND] = words[at + 1 :]
        return super().parse_args(context, words[:at])


def _pairs(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{value!r} is no NAME=VALUE", context, option)
        pairs[name] = text
    return pairs


@click.command(cls=CommandAfterDashes)
@click.argument("directories", nargs=-1, metavar="[DIR] [-- COMMAND...]")
@click.option(
    "--git",
    metavar="URL[@REF]",
    help="Instead of a directory, a repository that the platform fetches: https://github.com/OWNER/NAME, with @BRANCH, @TAG or @COMMIT behind it.",
)
@click.option(
    "--token-from",
    metavar="WHERE",
    help="Token of a private repository: the name of an environment variable, file:PATH, or - for the standard input. It is kept nowhere.",
)
@click.option("--project", help="Project; else the directory's name, or the repository's.")
@click.option("--owner", help="Whose project: user:NAME or team:NAME; else yours.")
@click.option("--experiment", help="Group of jobs inside the project, such as the runs of one sweep.")
@click.option("--name", help="Name of the job; else the command.")
@click.option("--profile", help="Named choice of image, CPUs, memory, GPUs and time; see `himalia profiles`.")
@click.option("--image", help="Image; else the profile's.")
@click.option("--gpu", "gpus", help="GPU request: 1, H200:2, 80GB..:1 …; else the profile's.")
@click.option("--cpus", type=float, help="CPUs; else the profile's.")
@click.option("--memory", help="Memory, such as 8G; else the profile's.")
@click.option("--disk", help="What it may write to the data disk, such as 200G; else the profile's.")
@click.option("--env", multiple=True, callback=_pairs, metavar="K=V", help="Environment variable. Repeat for more.")
@click.option("--workdir", metavar="SUB", help="Directory inside the submitted one to run in; else a notebook's own.")
@click.option("--notebook", metavar="FILE", help="Notebook to run instead of a command.")
@click.option(
    "--param",
    "parameters",
    multiple=True,
    callback=_pairs,
    metavar="K=V",
    help="Parameter of the notebook. Repeat for more.",
)
@click.option("--timeout", help="Time limit, such as 2h; else the profile's.")
@click.option(
    "--warn",
    metavar="TIME",
    help="So long before the time limit, such as 5m, its processes that have a handler for SIGUSR1 are sent that signal.",
)
@click.option("--retries", type=int, help="How often to try again after a failure, with pauses that grow.")
@click.option(
    "--retry-on",
    metavar="CAUSES",
    help="After which ends to try again: oom,lost,exit:75 …; else after exit, signal, oom and lost.",
)
@click.option(
    "--preemptible",
    is_flag=True,
    default=None,
    help="Use what is free, and give way when somebody else needs it: it is stopped and run again. Keep checkpoints.",
)
@click.option("--clean", is_flag=True, default=None, help="Leave out the packages you installed with pip.")
@click.option("--detach", "-d", is_flag=True, help="Return at once.")
@click.option("--json", "as_json", is_flag=True, help="Print the job as a JSON line at each change, and no output.")
def submit(directories: tuple[str, ...], detach: bool, as_json: bool, **given: Any) -> int:
    """Send a directory (the current one) or a repository off as a job, and follow it.

    Prints the job's output on stdout and ends with its exit code (124 timed out, 130 cancelled, 137 out of memory,
    125 Himalia's own fault). Defaults come from himalia-job.toml in the directory. Ctrl-C stops following; the job
    goes on.
    """
    command = list(click.get_current_context().meta[COMMAND])
    directory = _directory(directories)
    if given["git"] and directories:
        raise LocalError("Give either a directory or a repository.")
    defaults = {} if given["git"] else read_job_file(directory)
    options = _chosen(defaults, given, command)
    with session() as client:
        try:
            job = _send(client, directory, options, quiet=as_json)
        except FieldError as error:
            field = error.field.partition(".")[0]
            own = field in defaults and given.get(field) in (None, {})
            raise LocalError(f"{NAME}: {error.message}" if own else error.message) from error
        except KeyboardInterrupt:
            say("\nInterrupted. Nothing was submitted, unless `himalia jobs` shows it.")
            raise
        remember(job.id)
        if not as_json:
            _say_what_is_full(client)
        return _after(job, detach, as_json)


def _directory(given: tuple[str, ...]) -> Path:
    if len(given) > 1:
        raise LocalError(
            f"Only one directory can be submitted, not {' '.join(given)}. Write the command after two dashes: -- {' '.join(given)}"
        )
    return Path(given[0] if given else ".")


def _chosen(defaults: dict[str, Any], given: dict[str, Any], command: list[str]) -> dict[str, Any]:
    """Return what to submit: what was written in the command line, else in the directory's file."""
    asked = {name: value for name, value in given.items() if value is not None and value != {}}
    options = defaults | asked
    where = options.pop("token_from", None)
    if where is not None and not options.get("git"):
        raise LocalError("A token is for a repository: give --git as well.")
    if where is not None:
        options["token"] = token_from(where)
    for table in ("env", "parameters"):
        if table in options:
            options[table] = defaults.get(table, {}) | asked.get(table, {})
    if asked.get("retries") == 0 and "retry_on" not in asked:
        options.pop("retry_on", None)  # the file's says after what, and nothing is tried again
    if command and "notebook" in asked:
        raise LocalError("Give either a command or a notebook.")
    if command:
        options |= {"command": command, "notebook": None}
    elif "notebook" in asked:
        options["command"] = None
    if options.get("command") and options.get("notebook"):
        raise LocalError(f"{NAME} has a command and a notebook. Leave one of them out.")
    if options.get("notebook"):
        options["parameters"] = {name: _value(text) for name, text in options.get("parameters", {}).items()}
    elif not options.get("command"):
        raise LocalError("What is to run? Write it after two dashes: himalia submit -- python train.py")
    elif "parameters" not in asked:
        options.pop("parameters", None)
    return options


def _value(text: Any) -> Any:
    """Return what a parameter means: JSON where it is JSON, else the text itself."""
    if not isinstance(text, str):
        return text
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(value, float) and not math.isfinite(value) else value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _send(client: Client, directory: Path, options: dict[str, Any], *, quiet: bool) -> Job:
    with sending(quiet=quiet) as progress:
        said = None if quiet else _say_what_is_sent
        told = None if quiet else say
        return submit_job(directory, client=client, progress=progress, before_sending=said, told=told, **options)


def _say_what_is_sent(scanned: Scan) -> None:
    files = "1 file" if scanned.file_count == 1 else f"{scanned.file_count} files"
    say(f"sending {scanned.root}: {files}, {format_size(scanned.size_bytes)}")
    private = [left for left in scanned.left_out if left.rule in KINDS]
    _say_what_is_private(private)
    others = [left for left in scanned.left_out if left.rule not in KINDS]
    for left in sorted(others, key=lambda left: -left.size_bytes)[:MOST_LEFT_OUT]:
        size = f"more than {format_size(left.size_bytes)}" if left.at_least else format_size(left.size_bytes)
        rule = f"by {left.rule}" if left.rule.endswith((GIT, HIMALIA)) else f"({left.rule})"
        say(f"left out: {left.path}{'/' if left.is_dir else ''} {size} {rule}")
    more = len(others) - MOST_LEFT_OUT
    if more > 0:
        say(f"left out: {more} more")
    if found := scanned.suspects():
        say(told_of(found))


def _say_what_is_private(private: list[LeftOut]) -> None:
    for kind in KINDS:
        if names := [left.path for left in private if left.rule == kind]:
            say(f"left out: {', '.join(names)} ({kind})")
    if private:
        say(f"Such things stay in a home, unless the ignore rules keep them by name, as `!{private[0].path}` does.")


def _say_what_is_full(client: Client) -> None:
    """Say which storages are nearly full; the job is submitted, whatever comes of the question."""
    with contextlib.suppress(HimaliaError):
        for place in client.me().disk:
            if place.sentence:
                say(place.sentence)


def _after(job: Job, detach: bool, as_json: bool) -> int:
    if not as_json:
        say(f"job {job.id} ({job.view.project}): {job.view.name}")
    if not detach:
        return follow(job, as_json=as_json)
    if as_json:
        print_json([job.view])
    else:
        say(f"follow it: himalia logs {job.id} -f")
    return 0
