"""`himalia login`: from your own machine."""

from __future__ import annotations

import sys

import click

from ..client import Client
from ..client.address import base_url, checked_token, is_unprotected
from ..client.compatibility import refuse_if_too_old
from ..errors import Forbidden, LocalError, Unauthenticated
from ..models import Me
from ..settings import Connection, keep_connection
from .output import say

API = "services/jobs/api"


@click.command()
@click.argument("url")
@click.option("--token", help="The token, instead of being asked for it.")
def login(url: str, token: str | None) -> None:
    """Keep the address of a platform and a token, so that `himalia` works from here."""
    base = base_url(url)
    if is_unprotected(base):
        say(f"Note: {base} is plain http, so anybody on the way can read the token.")
    connection = Connection(url=f"{base}/{API}", token=checked_token((token or _asked(base)).strip()))
    me = _me(connection, base)
    refuse_if_too_old(me)
    file = keep_connection(connection)
    say(f"Logged in as {me.name}. The token is kept in {file}, readable by you alone.")


def _asked(base: str) -> str:
    """Return the token that the person pastes, or that a program pipes in."""
    if not sys.stdin.isatty():
        return sys.stdin.readline()
    say(f"Open {base}/hub/token in a browser, press “Request new API token” and copy what it shows.")
    return str(click.prompt("Token", hide_input=True, err=True))


def _me(connection: Connection, base: str) -> Me:
    """Return who the token belongs to; raise LocalError that says what is wrong with it."""
    try:
        with Client(connection.url, connection.token) as client:
            return client.me()
    except (Unauthenticated, Forbidden) as error:
        raise LocalError(f"{error.message} Make a token at {base}/hub/token, then try again.") from error
