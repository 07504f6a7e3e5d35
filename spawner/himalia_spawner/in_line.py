"""The end of a start that has to wait: the hub is told at once, and the person is led to where the line is shown."""

from __future__ import annotations

from datetime import UTC
from html import escape
from typing import Any

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.spawner import SpawnException

from himalia.models import LeaseView
from himalia.moments import localised

PAGES = "services/jobs/"  #: below the hub's base URL
FIRST_WORDS = "Waiting for a free place; it starts by itself."


class InLine(SpawnException):
    """Nothing is free now. The server waits by itself, and is started when it is its turn: no failure for anybody.

    The hub's API answers 202 with the sentence and the page (also as Location); a browser is sent there.
    """

    def __init__(self, lease: LeaseView, handler: Any, hub_path: str) -> None:
        page = page_of(lease.id, hub_path)
        api = isinstance(handler, APIHandler)
        said = sentence_of(lease)
        address = f"{handler.request.protocol}://{handler.request.host}{page}" if handler is not None else page
        super().__init__(
            f"{said} The server is started by itself when it is its turn. See {address}",
            reason="in_line",
            message_html=leading_to(page, said),
            status_code=202 if api else 303,
        )
        self.headers = {"Location": page}
        self.jupyterhub_message = self.message
        self.jupyterhub_html_message = self.message_html


def page_of(lease_id: str, hub_path: str) -> str:
    """Return where a person sees a wait; `hub_path` is the hub's own, such as `/hub/`."""
    return f"{hub_path.rstrip('/').removesuffix('hub') or '/'}{PAGES}waiting/{lease_id}"


def sentence_of(lease: LeaseView) -> str:
    """Return where in line a lease is, and why it waits."""
    return in_utc(lease.sentence) or FIRST_WORDS


def in_utc(sentence: str) -> str:
    """Return a sentence as the hub's pages show it: they cannot know their reader's zone."""
    return localised(sentence, zone=UTC)


def leading_to(page: str, said: str) -> str:
    """Return HTML that leads to a page, also where scripts are off."""
    return (
        f'<meta http-equiv="refresh" content="0; url={escape(page)}">{escape(said)} '
        f'<a href="{escape(page)}">See where in line it is</a>'
    )


def no_room(lease: LeaseView) -> SpawnException:
    """Return what is told where waiting is no answer."""
    if lease.without_gpus:
        said = "Not even the CPUs and the memory of this profile are free now. Your place in line is kept."
        return SpawnException(said, reason="no_room", status_code=503)
    said = sentence_of(lease) if lease.sentence else "It can never start on this platform as it is now."
    return SpawnException(f"{said} Choose another profile.", reason="cannot_run", status_code=503)
