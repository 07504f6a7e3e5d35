"""The commands, gathered; and how errors end a command."""

from __future__ import annotations

import sys

import click

from ..errors import HimaliaError, Unauthenticated
from ..settings import token_is_of_server
from ..version import VERSION
from .doctor import doctor
from .gpus import gpus
from .jobs import cancel, delete, extend, jobs, move, rerun, show, wait
from .login import login
from .logs import logs
from .notices import notices
from .output import OURS, say
from .profiles import profiles
from .projects import projects
from .results import artifacts, download, packages
from .sources import checkout, diff
from .submit import submit
from .usage import usage


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="himalia")
def cli() -> None:
    """Send directories off as jobs, and see what became of them.

    In a notebook's terminal this needs no set-up. On your own machine run `himalia login URL` once.
    An ID may be shortened to any beginning that only one job has; `last` is the last one you submitted.
    """


for command in (
    submit,
    jobs,
    show,
    logs,
    wait,
    cancel,
    extend,
    move,
    rerun,
    delete,
    artifacts,
    download,
    packages,
    checkout,
    diff,
    gpus,
    usage,
    notices,
    projects,
    profiles,
    login,
    doctor,
):
    cli.add_command(command)


def main() -> None:
    """Run the command; an error is one sentence on stderr."""
    try:
        code = cli(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except HimaliaError as error:
        say(f"himalia: {_told(error)}")
        sys.exit(OURS)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(OURS)  # 2 could be taken for a job's own


def _told(error: HimaliaError) -> str:
    """Return an error's sentence; the words for a token that no longer counts depend on where it came from."""
    if not isinstance(error, Unauthenticated):
        return error.message
    if token_is_of_server():
        return "This server's token is not known (any more). Restart your server from the hub's home page."
    return "The token is not known to the platform (any more). Make a new one and run: himalia login URL"
