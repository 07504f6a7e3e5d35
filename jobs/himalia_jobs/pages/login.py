"""The way back from the hub's login."""

from __future__ import annotations

from jupyterhub.services.auth import HubOAuthCallbackHandler
from tornado.web import HTTPError

from himalia.errors import Forbidden, HimaliaError, Unavailable

from ..hub import HUB_SILENT
from .base import PageHandler

NOT_COMPLETED = (
    "The login was not completed: it took too long, the service was restarted meanwhile, or the browser keeps no "
    "cookies. Try again."
)


class LoginHandler(PageHandler, HubOAuthCallbackHandler):
    """`GET oauth_callback`: the hub sends people here with a code; they go on to the page that they wanted."""

    scope = None

    async def get(self) -> None:
        """Keep who it is in a cookie, and go on."""
        try:
            await HubOAuthCallbackHandler.get(self)
        except HTTPError as error:
            raise _told(error) from error
        except OSError as error:
            raise Unavailable(HUB_SILENT) from error


def _told(error: HTTPError) -> HimaliaError:
    return Unavailable(HUB_SILENT) if error.status_code >= 500 else Forbidden(NOT_COMPLETED)
