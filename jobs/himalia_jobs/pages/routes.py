"""All pages, by their addresses below `/services/jobs/`."""

from __future__ import annotations

from typing import Any

from tornado.web import RedirectHandler

from ..settings import SERVICE_PREFIX
from .base import STATIC
from .gpus import ActPage, GPUsPage, ModePage
from .login import LoginHandler
from .missing import MissingPage
from .static_files import StaticHandler
from .usage import UsagePage
from .waiting import LeavePage, RestartPage, StartPage, WaitPage, WaitsPage

PAGES: list[tuple[str, type[Any]]] = [
    (r"", GPUsPage),
    (r"gpus/([^/]+)/(drain|quarantine|return|release)", ActPage),
    (r"gpus/([^/]+)/mode", ModePage),
    (r"usage", UsagePage),
    (r"waiting", WaitsPage),
    (r"waiting/([^/]+)", WaitPage),
    (r"waiting/([^/]+)/leave", LeavePage),
    (r"waiting/([^/]+)/start", StartPage),
    (r"waiting/([^/]+)/restart", RestartPage),
]


def page_routes(shared: dict[str, Any], prefix: str) -> list[tuple[str, type[Any], dict[str, Any]]]:
    """Return the pages, the way back from the login, and the files that pages load."""
    return [
        (SERVICE_PREFIX.rstrip("/"), RedirectHandler, {"url": prefix}),
        (f"{SERVICE_PREFIX}oauth_callback", LoginHandler, shared),
        (rf"{SERVICE_PREFIX}static/(.+)", StaticHandler, {"path": str(STATIC)}),
        *((f"{SERVICE_PREFIX}{path}", handler, shared) for path, handler in PAGES),
        (rf"{SERVICE_PREFIX}(?!api/).+", MissingPage, shared),
    ]
