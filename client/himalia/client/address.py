"""The address and the token that people give: checked before anything is sent."""

from __future__ import annotations

import re

import httpx

from ..errors import LocalError

TOKEN = re.compile(r"[!-~]+")  #: what a header can carry
PAGES = re.compile(r"/(hub|user|services)(/.*)?$")


def checked_url(url: str) -> str:
    """Return an address without a slash at its end; raise LocalError when it is none."""
    _parsed(url)
    return url.rstrip("/")


def checked_token(token: str) -> str:
    """Return a token; raise LocalError when it cannot be one."""
    if not TOKEN.fullmatch(token):
        raise LocalError(
            "This is no token: it is empty, or has spaces or odd letters. Copy it from the hub's token page."
        )
    return token


def base_url(pasted: str) -> str:
    """Return a platform's address, whatever page of it was pasted."""
    url = _parsed(pasted if "://" in pasted else f"https://{pasted}")
    path = PAGES.sub("", url.path.rstrip("/"))
    return str(url.copy_with(path=path or "/", query=None, fragment=None)).rstrip("/")


def is_unprotected(url: str) -> bool:
    """Tell whether a token sent there could be read on the way."""
    parsed = _parsed(url)
    return parsed.scheme == "http" and parsed.host not in ("localhost", "127.0.0.1", "::1")


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError, TypeError):
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise LocalError(f"{url!r} is no address. Write it like https://gpu.example.org.")
    return parsed
