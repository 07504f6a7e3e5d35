"""The base of all pages: logging in by the hub, rendering, and errors for people; what a page may load is said once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tornado.web import Finish

from himalia.errors import HimaliaError, Unauthenticated, Unavailable
from himalia.models import Notice
from himalia.version import VERSION

from ..api.base import HimaliaHandler
from ..settings import SERVICE_PREFIX
from .words import FILTERS

HERE = Path(__file__).parent
STATIC = HERE / "static"
ICON = "data:,"  #: none, and none is asked for
#: Nothing but our own files, no frames around or inside, forms to this origin alone.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
AGAIN_SECONDS = 5  #: until a page that the service could not answer asks again by itself


@cache
def templates(base: str) -> Environment:
    """Return the templates for a base URL; what is put into them is escaped."""
    prefix = f"{base.rstrip('/')}{SERVICE_PREFIX}"
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(FILTERS)
    found.globals.update({"asset": partial(asset, prefix), "prefix": prefix, "hub": f"{base}hub/"})
    found.globals.update({"version": VERSION, "icon": ICON})
    return found


@cache
def asset(prefix: str, name: str) -> str:
    """Return the address of a static file, which changes with its content."""
    digest = sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"{prefix}static/{name}?v={digest}"


class PageHandler(HimaliaHandler):
    """Base of the pages. Who is not logged in is sent to the hub and comes back; a POST needs the page's `_xsrf`."""

    def set_default_headers(self) -> None:
        """Say what a page may load, and that no other page may hold it."""
        super().set_default_headers()
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("Referrer-Policy", "same-origin")

    async def prepare(self) -> None:
        """Find out who asks; send who is not logged in to the hub."""
        try:
            await super().prepare()
        except Unauthenticated:
            if not self._is_visit():
                raise
            self.redirect(self.get_login_url())
            raise Finish() from None

    def page(self, template: str, **values: Any) -> None:
        """Answer with a page of the person who asks."""
        self._render(template, 200, values | {"person": self.person, "xsrf": self.xsrf_token.decode()})

    def planned(self) -> tuple[Notice, ...]:
        """Return what everybody should know: maintenance and reservations, under way or soon."""
        return self.service.rulebook.notices(self.service.clock.wall())

    def answer_error(self, error: HimaliaError) -> None:
        """Answer an error as a page; one that will pass asks again by itself.

        It says nothing of who asks, and holds no token: it may be a page that is not ours.
        """
        again = AGAIN_SECONDS if isinstance(error, Unavailable) and self._is_visit() else None
        told = {"message": error.message, "again": again, "status": error.status}
        self._render("error.html", error.status, told | {"person": None, "xsrf": ""})

    def _render(self, template: str, status: int, values: Mapping[str, Any]) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(templates(self.service.settings.base).get_template(template).render({"here": "", **values}))

    def _is_visit(self) -> bool:
        """Tell whether somebody opened the page; else a script of the page asks, or a form is sent."""
        mode = self.request.headers.get("Sec-Fetch-Mode", "navigate")
        return self.request.method in ("GET", "HEAD") and mode == "navigate"
