"""Checks of the connection to a platform: its address, the token, the versions."""

from __future__ import annotations

from ..client import Client
from ..client.compatibility import refuse_if_too_old
from ..errors import HimaliaError, LocalError, Unauthenticated
from ..models import DiskView
from ..settings import Connection, find_connection
from ..units import format_size
from ..version import VERSION
from .check import Check, Outcome

LOG_IN_AGAIN = "Run `himalia login` again; in a notebook's terminal, restart the server."


def is_connected() -> bool:
    """Tell whether somebody is logged in here."""
    try:
        find_connection()
    except LocalError:
        return False
    return True


def connection_checks(*, machine: bool = False) -> list[Check]:
    """Return the checks; on a platform's own machine nobody needs to be logged in."""
    try:
        connection = find_connection()
    except LocalError as error:
        if machine:
            return []
        message = error.message
        return [Check(name="login", run=lambda: Outcome(ok=False, message=message))]
    return [
        Check(name="address", run=lambda: _address(connection)),
        Check(name="token", run=lambda: _token(connection)),
        Check(name="version", run=lambda: _version(connection)),
        Check(name="your disk", run=lambda: _disk(connection)),
    ]


def _address(connection: Connection) -> Outcome:
    with Client(connection.url, connection.token) as client:
        try:
            health = client.health()
        except HimaliaError as error:
            return Outcome(ok=False, message=error.message, advice="Check the address, or tell an administrator.")
    if health.ok:
        return Outcome(ok=True, message=f"{connection.url} answers")
    return Outcome(ok=False, message=" ".join(health.sentences), advice="Tell an administrator.")


def _token(connection: Connection) -> Outcome:
    with Client(connection.url, connection.token) as client:
        try:
            me = client.me()
        except Unauthenticated as error:
            return Outcome(ok=False, message=error.message, advice=LOG_IN_AGAIN)
    return Outcome(ok=True, message=f"logged in as {me.name}")


def _disk(connection: Connection) -> Outcome:
    with Client(connection.url, connection.token) as client:
        places = client.me().disk
    told = [place.sentence for place in places if place.sentence]
    full = any(place.level == "full" for place in places)
    if told:
        return Outcome(ok=False if full else None, message=" ".join(told))
    if not places:
        return Outcome(ok=True, message="homes and storages have no limits here")
    return Outcome(ok=True, message=", ".join(map(_taken, places)))


def _taken(place: DiskView) -> str:
    """Return what a place takes of what it may: `/storage 3.1 GB of 50.0 GB`."""
    sizes = f" {format_size(place.used_bytes)} of {format_size(place.limit_bytes)}" if place.limit_bytes else ""
    files = f" {place.files:,} of {place.limit_files:,} files" if place.limit_files else ""
    return f"{place.place}{sizes}{' and' if sizes and files else ''}{files}"


def _version(connection: Connection) -> Outcome:
    with Client(connection.url, connection.token) as client:
        me = client.me()
    refuse_if_too_old(me)
    if me.version != VERSION:
        return Outcome(ok=None, message=f"the platform is version {me.version}, this is {VERSION}; they go together")
    return Outcome(ok=True, message=f"version {VERSION}, as the platform")
