"""`himalia notices`: what the platform tells you, and answering it."""

from __future__ import annotations

import click

from ..errors import LocalError
from ..models import NoticeView
from ..moments import localised
from .output import print_json, printable, say
from .session import session


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_context
def notices(context: click.Context, as_json: bool) -> None:
    """Show what the platform tells you (JupyterLab shows the same, with buttons); or answer it."""
    if context.invoked_subcommand is not None:
        return
    with session() as client:
        found = client.notices()
    if as_json:
        print_json(found)
        return
    for notice in found:
        click.echo(printable(localised(notice.sentence)))
        for answer, words in _answers(notice).items():
            click.echo(f"  himalia notices answer {notice.id} {answer}   ({words})")
    if not found:
        say("There is nothing to tell you.")


@notices.command()
@click.argument("notice")
@click.argument("answer")
def answer(notice: str, answer: str) -> None:
    """Answer a notice, by any beginning of its id that no other has."""
    with session() as client:
        found = [one for one in client.notices() if one.id.startswith(notice)]
        if len(found) != 1:
            raise LocalError(f"No open notice of yours begins with {notice}. `himalia notices` lists them.")
        done = client.answer(found[0].id, answer)
    say(f"Answered: {_answers(done)[answer]}.")


def _answers(notice: NoticeView) -> dict[str, str]:
    return notice.actions or {"seen": "Seen"}
