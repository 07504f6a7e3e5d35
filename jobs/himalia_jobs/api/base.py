"""The base of all handlers: who asks, reading a model, answering, and the one shape of error."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubOAuth, HubOAuthenticated
from pydantic import BaseModel
from tornado.iostream import StreamClosedError
from tornado.web import Finish, HTTPError, RequestHandler

from himalia.errors import FieldError, Forbidden, HimaliaError, NotFound, Unauthenticated, Unavailable, Unparsable
from himalia.harmless import harmless
from himalia.models.base import to_rfc3339  # noqa: F401  # re-exported for the handlers beside this file

from ..engines.errors import EngineError
from ..person import READ, Person
from ..strict_json import Model, has_more_values, read_as

if TYPE_CHECKING:
    from ..service import Service

log = logging.getLogger(__name__)
access = logging.getLogger("tornado.access")
ENGINE_SILENT = "The engine that runs containers does not answer. Running jobs go on. Try again in a moment."
ANOTHER_PAGE = "The request came from another page. Reload the page and try again; a script sends X-XSRFToken."
#: of each kind, in a body that is read while others wait; a long text has fewer, whatever is in it
MOST_VALUES = 40_000
ASK_AGAIN_SECONDS = 60.0  #: on a stream that stays open, who reads it is asked for so often
STALLED_SECONDS = 120.0  #: after which somebody who takes nothing of what was sent is let go
STREAM_BYTES = 32 * 1024  #: that the kernel is asked to hold for a reader of events; it takes twice as much


class HimaliaHandler(HubOAuthenticated, RequestHandler):
    """Base of our handlers. `scope` is what a token needs; reading ones need `custom:jobs:read`."""

    scope: ClassVar[str | None] = READ
    largest_body_bytes: ClassVar[int | None] = 256 * 1024  #: more is refused unread; none: what the server takes
    person: Person

    def initialize(self, service: Service) -> None:
        """Take the service that all handlers share."""
        self.service = service

    @property
    def hub_auth(self) -> HubOAuth:
        """JupyterHub's client, which `HubOAuthenticated` asks for cookies and XSRF."""
        return self.service.hub.auth

    def set_default_headers(self) -> None:
        """Keep what is answered out of caches, and browsers from guessing what it is."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")

    async def prepare(self) -> None:
        """Find out who asks, and refuse who may not."""
        self.service.must_work()
        if self.scope is None:
            return
        self.person = await self.service.hub.person(self)
        self.check_xsrf_cookie()
        self.person.need(self.scope)
        self.asked_at = time.monotonic()

    async def may_go_on(self) -> bool:
        """Tell whether a stream may stay open; once a minute the hub is asked anew who reads it."""
        if time.monotonic() - self.asked_at < ASK_AGAIN_SECONDS:
            return True
        self.asked_at = time.monotonic()
        self.__dict__.pop("_cached_hub_user", None)  # JupyterHub's client keeps its answer with the request
        try:
            self.person = await self.service.hub.person(self)
            self.person.need(self.scope or READ)
        except Unavailable:
            return True  # nobody is thrown out because the hub restarts
        except HimaliaError:
            return False
        return True

    async def taken(self) -> None:
        """Send what was written; raise StreamClosedError when the asker has gone, or takes nothing for long.

        So nobody holds more of the service's memory than one block, and that not for ever.
        """
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                await self.flush()
        except TimeoutError as error:
            self._hang_up()
            raise StreamClosedError from error

    def hold_little(self) -> None:
        """Let the kernel hold little for who is slow to read what is sent to many; else it takes megabytes for each."""
        with contextlib.suppress(OSError):
            self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_BYTES)

    def _hang_up(self) -> None:
        """Let go of a connection with what was not taken: a reset tells the asker, and leaves nothing with the kernel."""
        with contextlib.suppress(OSError):
            self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.connection.close()  # type: ignore[union-attr]  # a request that is answered has one

    def _socket(self) -> socket.socket:
        found: socket.socket = self.request.connection.stream.socket  # type: ignore[union-attr]
        return found

    def check_xsrf_cookie(self) -> None:
        """Refuse a page that is not ours; a request with a token in its header needs no cookie.

        Reading is refused as well where a script asks: servers' pages have the same origin.
        """
        if not hasattr(self, "person") or getattr(self, "_token_authenticated", False):
            return  # JupyterHub asks before `prepare`, when nobody is known yet
        if self._is_of_another_origin():
            raise Forbidden(ANOTHER_PAGE)
        try:
            super().check_xsrf_cookie()
        except HTTPError as error:
            raise Forbidden(ANOTHER_PAGE) from error

    def _is_of_another_origin(self) -> bool:
        """Tell whether a browser says that another site's script asks; changes need our page's token besides."""
        headers = self.request.headers
        site, mode = headers.get("Sec-Fetch-Site", ""), headers.get("Sec-Fetch-Mode", "")
        if site in ("same-origin", "none"):
            return False
        # Browsers name the origin of a read only where it is another one.
        strange = self.request.method in ("GET", "HEAD") and urlsplit(headers.get("Origin", "")).netloc != (
            self.request.host if "Origin" in headers else ""
        )
        return strange or (bool(site) and mode != "navigate")

    def get_current_user(self) -> str | None:
        """Return the name of who asks, for tornado's log."""
        return self.person.name if hasattr(self, "person") else None

    def body_as(self, model: type[Model], body: bytes | bytearray | None = None) -> Model:
        """Return the request's body, or another that came with it; raise Unparsable or FieldError with the field's name."""
        body = self.request.body if body is None else body
        if has_more_values(body, MOST_VALUES):
            raise Unparsable(
                f"The body has more than {MOST_VALUES:,} lists, objects or keys: no request here has so many."
            )
        return read_as(model, body)

    def argument(self, name: str, default: str = "") -> str:
        """Return a query argument, stripped."""
        return str(self.get_query_argument(name, default) or "").strip()

    def integer(self, name: str, default: int, *, least: int = 0, most: int = 2**62) -> int:
        """Return a whole number of the query, clamped."""
        text = self.argument(name)
        if not text:
            return default
        try:
            return max(least, min(most, int(text)))
        except ValueError as error:
            raise FieldError(name, f"{text[:100]!r} is no whole number.") from error

    def answer(self, body: BaseModel | dict[str, Any], status: int = 200) -> None:
        """Send a model as JSON."""
        self.answer_text(body.model_dump_json() if isinstance(body, BaseModel) else json.dumps(body), status)

    def answer_text(self, text: str, status: int = 200) -> None:
        """Send what is JSON already."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(text)

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Log bugs with their traceback; what people are told is no bug, and a closed connection is theirs."""
        if isinstance(value, (EngineError, HTTPError)):
            log.warning("%s %s: %s", self.request.method, self.request.path, value)
        elif not isinstance(value, (HimaliaError, StreamClosedError, Finish)):
            log.error("%s %s failed", self.request.method, self.request.path, exc_info=(kind, value, trace))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer an error in the one shape."""
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, HTTPError) and status_code in (404, 405):
            error = NotFound("There is nothing at this address.")
        elif isinstance(error, HTTPError) and status_code == 403:
            error = Forbidden(error.log_message or "This is not allowed.")
        elif isinstance(error, HTTPError) and status_code < 500:
            error = Unparsable(error.log_message or "The request cannot be read.")
        elif isinstance(error, EngineError):
            error = Unavailable(ENGINE_SILENT)
        if not isinstance(error, HimaliaError):
            error = HimaliaError("Something went wrong on our side; it is in the service's log.")
            error.status = status_code if status_code >= 500 else 500
        if isinstance(error, Unauthenticated):
            self.set_header("WWW-Authenticate", "Bearer")
        if error.status == 503:
            self.set_header("Retry-After", "5")
        self.answer_error(error)

    def answer_error(self, error: HimaliaError) -> None:
        """Send an error as JSON."""
        self.set_status(error.status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(error.to_json()))


def log_answer(handler: RequestHandler) -> None:
    """Log what was answered, without the query: somebody may have put a token there."""
    request, status = handler.request, handler.get_status()
    level = logging.INFO if status < 400 else logging.WARNING if status < 500 else logging.ERROR
    seconds = request.request_time()
    path = harmless(request.path[:500])
    access.log(level, "%d %s %s (%s) %.0f ms", status, request.method, path, request.remote_ip, seconds * 1000)


class NotFoundHandler(HimaliaHandler):
    """Every address that is not ours."""

    scope = None

    async def prepare(self) -> None:
        """Say that nothing is here."""
        raise NotFound("There is nothing at this address.")
