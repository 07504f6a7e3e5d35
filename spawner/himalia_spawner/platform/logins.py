"""How people log in, told to whoever starts a platform."""

from __future__ import annotations

from himalia_spawner.configuration import SHARED_PASSWORD
from himalia_spawner.passwords import load_passwords

from .place import Place


def first_login(place: Place) -> str:
    """Return how to log in: the password itself when it is made now, later only where it is kept."""
    auth, file = place.site.auth, place.site.data / "secrets" / "login_password"
    if auth.authenticator != SHARED_PASSWORD:
        return f"Log in by {auth.authenticator}."
    made_now = not file.exists()
    password = load_passwords(place.site.data).user
    if made_now:
        return f"Log in as any name with the password {password} (shown this once; it is kept in {file})."
    return f"Log in as any name with the password in {file}."
