"""`himalia gpus --watch`: the table as it changes, by the service's events, and every few seconds for what no event tells."""

from __future__ import annotations

import sys
import threading
from datetime import datetime

import click
from rich.live import Live
from rich.text import Text

from ..client import Client
from ..errors import HimaliaError, Unavailable
from ..models import EventKind, GPUsView
from .gpu_table import console, print_gpus, screen_of
from .output import print_json, say

EVERY_SECONDS = 5.0  #: a GPU's use changes without an event
PAUSE_SECONDS = 0.3  #: several changes at once are one
TELLING = frozenset({EventKind.LEDGER, EventKind.JOB, EventKind.JOB_DELETED, EventKind.RESYNC})


def watch_gpus(client: Client, *, as_json: bool = False) -> None:
    """Show the GPUs until Ctrl-C: on a terminal in place, else anew with each change."""
    changes = Changes(client)
    try:
        if as_json or not sys.stdout.isatty():
            _print_each(client, changes, as_json)
        else:
            _show_in_place(client, changes)
    except KeyboardInterrupt:
        return
    finally:
        changes.over.set()


class Changes:
    """Wakes when the ledger has changed. A stream of events that breaks off is no end: every few seconds is looked anyway."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.over = threading.Event()
        self._told = threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    def wait(self) -> None:
        """Return when something may have changed."""
        if self._told.wait(EVERY_SECONDS):
            self.over.wait(PAUSE_SECONDS)
        self._told.clear()

    def _follow(self) -> None:
        try:
            for event in self.client.events():
                if self.over.is_set():
                    return
                if event.kind in TELLING:
                    self._told.set()
        except (HimaliaError, RuntimeError):
            return  # whoever asks for the table gets the same, and tells it; or has gone, and closed the client


def _print_each(client: Client, changes: Changes, as_json: bool) -> None:
    """Print the table, or a line of JSON, each time that it is another one."""
    last: GPUsView | None = None
    while True:
        view, trouble = _asked(client)
        if trouble:
            say(trouble)
        if view is not None and view != last:
            if as_json:
                print_json([view])
            else:
                click.echo(f"{datetime.now():%Y-%m-%d %H:%M:%S}")
                print_gpus(view)
                click.echo()
            sys.stdout.flush()
            last = view
        changes.wait()


def _show_in_place(client: Client, changes: Changes) -> None:
    screen, last = console(), None
    with Live(Text(""), console=screen, screen=True, auto_refresh=False) as live:
        while True:
            view, trouble = _asked(client)
            last = view or last
            now = trouble or f"{datetime.now():%H:%M:%S}"
            live.update(screen_of(last, screen.height, screen.width, now) if last else Text(now), refresh=True)
            changes.wait()


def _asked(client: Client) -> tuple[GPUsView | None, str]:
    """Return the GPUs as they are; a sentence while the platform does not answer."""
    try:
        return client.gpus(), ""
    except Unavailable as error:
        return None, f"{error.message} Still trying."
