"""Git: addresses of repositories, what git knows of a directory, and getting a job's files back."""

from __future__ import annotations

from .address import Repository, parse_repository
from .setting import Git

__all__ = ["Git", "Repository", "parse_repository"]
