"""Style sheet and scripts of the pages: the same for everybody, kept by browsers until they change."""

from __future__ import annotations

from tornado.web import StaticFileHandler

KEPT_SECONDS = 365 * 86400


class StaticHandler(StaticFileHandler):
    """`GET static/…`: an address with the content's digest (`asset`) may be kept for a year."""

    def set_extra_headers(self, path: str) -> None:
        """Keep browsers from guessing what it is."""
        self.set_header("X-Content-Type-Options", "nosniff")

    def get_cache_time(self, path: str, modified: object, mime_type: str) -> int:
        """Return for how long it may be kept."""
        return KEPT_SECONDS if self.get_argument("v", "") else 0
