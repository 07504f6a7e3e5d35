"""`himalia doctor`: what is well, and what to do about the rest."""

from __future__ import annotations

from pathlib import Path

import click

from ..doctor import Check, Outcome, all_checks, ask_all
from .output import print_json

MARKS = {True: "ok  ", False: "BAD ", None: "note"}
INDENT = " " * 5


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The operator's file; else found as `himalia-platform` finds it.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show more, such as the packet filter's rules.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def doctor(config: Path | None, verbose: bool, as_json: bool) -> int:
    """Check the connection, and on a platform's own machine everything that it needs.

    The exit code is 1 when something is wrong.
    """
    bad = 0
    for check, outcome in ask_all(all_checks(config)):
        bad += outcome.ok is False
        if as_json:
            print_json([_row(check, outcome)])
        else:
            _say(check, outcome, verbose)
    return 1 if bad else 0


def _row(check: Check, outcome: Outcome) -> dict[str, object]:
    return {
        "check": check.name,
        "ok": outcome.ok,
        "message": outcome.message,
        "advice": outcome.advice,
        "details": list(outcome.details),
    }


def _say(check: Check, outcome: Outcome, verbose: bool) -> None:
    click.echo(f"{MARKS[outcome.ok]} {check.name}: {outcome.message}")
    if outcome.ok is not True and outcome.advice:
        click.echo(f"{INDENT}{outcome.advice}")
    for line in outcome.details if verbose else ():
        click.echo(f"{INDENT}{line}")
