"""The passwords of a trial: random, made once, kept 0600 under the data directory."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

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
        user=_keep(folder / "login_password", USER_LENGTH), admin=_keep(folder / "admin_password", ADMIN_LENGTH)
    )


def _keep(file: Path, length: int) -> str:
    """Return the file's content; a new password first where there is none."""
    draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    if not file.exists():
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write("".join(secrets.choice(LETTERS) for _ in range(length)) + "\n")
        try:
            os.link(draft, file)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return file.read_text().strip()
