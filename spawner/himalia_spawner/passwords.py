"""The passwords of a trial: random, made once, kept 0600 under the data directory."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from himalia.credentials import kept

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  #: none that looks like another
USER_LENGTH = 12
ADMIN_LENGTH = 32  #: JupyterHub's least


@dataclass(frozen=True, kw_only=True)
class Passwords:
    """The password that all users share, and that of the administrators."""

    user: str
    admin: str


def load_passwords(data: Path) -> Passwords:
    """Return the installation's passwords; what is missing is made."""
    folder = data / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Passwords(
        user=kept(folder / "login_password", _new(USER_LENGTH)),
        admin=kept(folder / "admin_password", _new(ADMIN_LENGTH)),
    )


def _new(length: int) -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(length))
