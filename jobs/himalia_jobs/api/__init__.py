"""REST under `/services/jobs/api/`: thin handlers, one file a noun."""

from __future__ import annotations

from .routes import make_application

__all__ = ["make_application"]
