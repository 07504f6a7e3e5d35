"""NativeAuthenticator (people sign up by themselves) on JupyterHub 6.

Its version 1.3 calls what JupyterHub 6 has no more: the timers of statsd, and a login page without further arguments.
"""

from __future__ import annotations

from typing import Any

from nativeauthenticator import NativeAuthenticator
from nativeauthenticator.handlers import LoginHandler


class NoTimers:
    """Stands for statsd: measures nothing."""

    def timer(self, _: str) -> NoTimers:
        """Return a timer."""
        return self

    def start(self) -> NoTimers:
        """Begin."""
        return self

    def stop(self, *, send: bool = True) -> None:
        """End."""


class NativeLoginHandler(LoginHandler):
    """The login page, as JupyterHub 6 calls it."""

    statsd = NoTimers()

    def _render(self, login_error: str | None = None, username: str | None = None, **_: Any) -> Any:
        return super()._render(login_error=login_error, username=username)


class NativeLogin(NativeAuthenticator):
    """What `authenticator = "native"` stands for; its settings are those of NativeAuthenticator."""

    def get_handlers(self, app: Any) -> list[tuple[str, type]]:
        """Return its pages, with our login page."""
        pages = super().get_handlers(app)
        return [(path, NativeLoginHandler if page is LoginHandler else page) for path, page in pages]
