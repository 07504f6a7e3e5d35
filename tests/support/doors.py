"""All that the service serves, found by walking its routes: a new route is tested as soon as it is there."""

from __future__ import annotations

from tornado.web import RequestHandler

from himalia_jobs.api.routes import ROUTES

OPEN_TO_ALL = {"health", "openapi.json"}
METHODS = ("get", "head", "post", "put", "patch", "delete")


def plain(pattern: str) -> str:
    """Return an address that a route's pattern matches."""
    return pattern.replace("([^/]+)", "abc").replace("(.+)", "dir/file").replace("\\", "")


def served() -> list[tuple[str, str]]:
    """Return (method, pattern) of everything that is served."""
    return [
        (method, pattern)
        for pattern, handler in ROUTES
        for method in METHODS
        if getattr(handler, method) is not getattr(RequestHandler, method)
    ]


DOORS = [(method, plain(pattern)) for method, pattern in served()]
GUARDED = [door for door in DOORS if door[1] not in OPEN_TO_ALL]
CHANGING = [door for door in DOORS if door[0] not in ("get", "head")]
