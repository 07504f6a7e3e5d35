"""Sizes and durations as people write them: `8G`, `512M`, `2h`, `90s`; and back."""

from __future__ import annotations

import re

from .errors import FieldError

KiB, MiB, GiB, TiB = 1024, 1024**2, 1024**3, 1024**4
_SIZES = {"": 1, "K": KiB, "M": MiB, "G": GiB, "T": TiB}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", re.IGNORECASE | re.ASCII)
_DURATIONS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])", re.IGNORECASE | re.ASCII)
_PLAIN = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_LARGEST = 2**60
_LONGEST = 40


def parse_size(value: str | int | float, field: str = "memory") -> int:
    """Return bytes; a number alone is bytes, K, M, G, T are powers of 1024."""
    text = str(value)
    match = _SIZE.fullmatch(text) if len(text) <= _LONGEST else None
    number = float(match[1]) if match and "." in match[1] else int(match[1]) if match else 0
    size = int(number * _SIZES[match[2].upper()]) if match else 0
    if not 0 < size <= _LARGEST:
        raise FieldError(field, f"{_shown(value)} is no size. Write it like 512M or 8G.")
    return size


def counted(number: float, thing: str) -> str:
    """Return how many there are of a thing: `1 job`, `2 jobs`, `2.5 CPUs`."""
    shown = f"{number:g}" if isinstance(number, float) else number
    return f"{shown} {thing}" if number == 1 else f"{shown} {thing}s"


def format_size(size_bytes: int) -> str:
    """Return a size for people: `3.2 GB` (powers of 1024)."""
    if size_bytes == 1:
        return "1 byte"
    number, unit = float(size_bytes), "bytes"
    for unit in ("bytes", "KB", "MB", "GB", "TB"):
        if abs(number) < 1024 or unit == "TB":
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "bytes" or number >= 100 else f"{number:.1f} {unit}"


def parse_duration(value: str | int | float, field: str = "timeout") -> int:
    """Return whole seconds; a number alone is seconds, `1h30m` adds up."""
    text = str(value).strip()
    if _PLAIN.fullmatch(text) and len(text) <= _LONGEST:
        seconds = float(text)
    else:
        parts = _DURATION.findall(text) if len(text) <= _LONGEST else []
        if not parts or _DURATION.sub("", text).strip():
            raise FieldError(field, f"{_shown(value)} is no duration. Write it like 90s, 30m, 2h or 1h30m.")
        seconds = sum(float(number) * _DURATIONS[unit.lower()] for number, unit in parts)
    if not 1 <= seconds <= 366 * 86400:
        raise FieldError(field, f"{_shown(value)} is out of range. It must lie between 1 second and 366 days.")
    return int(seconds)


def format_duration(seconds: float) -> str:
    """Return a duration for people: `42 s`, `3 min`, `2 h 40 min`, `3 d 4 h`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min" if whole % 3600 >= 60 else f"{whole // 3600} h"
    return f"{whole // 86400} d {whole % 86400 // 3600} h" if whole % 86400 >= 3600 else f"{whole // 86400} d"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 2 * _LONGEST else f"{text[: 2 * _LONGEST]}…"
