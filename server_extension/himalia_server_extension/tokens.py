"""Whose token the job service is asked with: that of the person who clicks, never the server's under a hub."""

from __future__ import annotations

import re
from typing import Any

from himalia.errors import Unauthenticated

_BEARER = re.compile(r"^(?:token|bearer)\s+(\S+)$", re.IGNORECASE)


def token_of(handler: Any, server_token: str) -> str:
    """Return the token of who made the request; raise Unauthenticated when there is none.

    On a server that is shared with a visitor, cookie or header belong to the visitor, the server's own token to its
    owner: under a hub the latter is never used.
    """
    hub_auth = getattr(handler.identity_provider, "hub_auth", None)
    if hub_auth is not None:
        token = hub_auth.get_token(handler) or _bearer(handler)
    else:
        token = server_token or _bearer(handler)
    if not token:
        raise Unauthenticated("Nobody is logged in to the job service here. Reload the page to log in again.")
    return str(token)


def _bearer(handler: Any) -> str | None:
    match = _BEARER.match(handler.request.headers.get("Authorization", "").strip())
    return match[1] if match else None
