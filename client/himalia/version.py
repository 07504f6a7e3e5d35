"""The version of Himalia and of its API."""

from __future__ import annotations

VERSION = "0.1.0"
API_VERSION = 1  #: grows when an older client could no longer work
OLDEST_CLIENT = "0.1.0"
