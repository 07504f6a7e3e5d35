"""The tokens of a GPU request: each is known by its shape, and refused with what would be right."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from himalia.units import parse_size

MOST = 1024  #: GPUs that one request may name
MOST_MEMORY_BYTES = 2**50
LONGEST = 200  #: characters of a request
ALLOWED = (
    "Write 0 for none, how many (2), a model (H200, or A100,H100 for one of both), "
    "a memory size (80GB.. for at least), shared, 0.5 or mig-1g.18gb; with ':' between, as in H200:2."
)

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
_SIZE = re.compile(r"[0-9]{1,30}(\.[0-9]{1,3})?[MGT](I?B)?", re.IGNORECASE)
_MODEL = re.compile(r"[A-Z][A-Z0-9]*([_.+/-][A-Z0-9]+)*")
_MIG = re.compile(r"(?:mig-)?(([0-9]{1,2}c\.)?[0-9]{1,2}g\.[0-9]{1,4}gb([+-][a-z.]{1,12}){0,3})")
_NO_MODELS = frozenset({"ALL", "ANY", "INF", "INFINITY", "NAN", "NONE", "SHARED"})


class TokenKind(StrEnum):
    """What a token says something about."""

    COUNT = "count"
    MODELS = "models"
    MEMORY = "memory"
    SHARED = "shared"
    FRACTION = "fraction"
    MIG = "mig"


@dataclass(frozen=True, kw_only=True)
class Token:
    """One piece of a request, read; only the fields of its kind are set."""

    kind: TokenKind
    named: str  #: the piece and where it stands, for messages
    count: int = 0
    models: tuple[str, ...] = ()
    low_bytes: int | None = None
    high_bytes: int | None = None
    fraction: Decimal | None = None
    profiles: tuple[str, ...] = ()


class TokenError(ValueError):
    """A piece cannot be read; the message is for people."""


def split(text: str) -> list[tuple[str, int]]:
    """Return the pieces of a request and the position of each, counted from 1."""
    if len(text) > LONGEST:
        raise TokenError(f"The GPU request has {len(text)} characters; {LONGEST} are the most. {ALLOWED}")
    if not text.strip():
        raise TokenError(f"The GPU request is empty. {ALLOWED}")
    pieces, start = [], 0
    for part in text.split(":"):
        piece = part.strip()
        position = start + len(part) - len(part.lstrip()) + 1
        if not piece:
            raise TokenError(f"There is nothing at position {start + 1} of {text!r}, beside a ':'. {ALLOWED}")
        pieces.append((piece, position))
        start += len(part) + 1
    return pieces


def read_token(piece: str, where: str) -> Token:
    """Read one piece; `where` says where it stands: `at position 3`."""
    named = f"{_shortened(piece)} {where}"
    if piece.lower() == "none":
        return Token(kind=TokenKind.COUNT, named=named)
    if piece.lower() == "shared":
        return Token(kind=TokenKind.SHARED, named=named)
    if _NUMBER.fullmatch(piece):
        return _number(piece, named)
    if ".." in piece or _SIZE.fullmatch(piece):
        return _memory(piece, named)
    if piece.lower().startswith("mig"):
        return _mig(piece, named)
    return _models(piece, named)


def _number(piece: str, named: str) -> Token:
    number = Decimal(piece)
    if number < 0:
        raise TokenError(f"{named} is no number of GPUs: it is 0 or more.")
    if number > MOST:
        raise TokenError(f"{named} is too many GPUs: {MOST} are the most that one request may name.")
    if piece.isdigit():
        return Token(kind=TokenKind.COUNT, named=named, count=int(piece))
    if number == int(number):
        raise TokenError(f"{named} is no number of GPUs: write {int(number)}.")
    if number > 1:
        whole = int(number)
        raise TokenError(f"{named}: GPUs are counted in whole. Write {whole} or {whole + 1}; 0.5 is half of one.")
    if -int(number.normalize().as_tuple().exponent) > 3:
        raise TokenError(f"{named} is too fine: a part of a GPU has three decimals at most, such as 0.125.")
    return Token(kind=TokenKind.FRACTION, named=named, fraction=number.normalize())


def _memory(piece: str, named: str) -> Token:
    low, dots, high = piece.partition("..")
    if not dots:
        size = _size(piece, named)
        return Token(kind=TokenKind.MEMORY, named=named, low_bytes=size, high_bytes=size)
    if not (low or high):
        raise TokenError(f"{named} names no size. Write 80GB.. for at least, 40GB..80GB for between.")
    low_bytes = _size(low, named) if low else None
    high_bytes = _size(high, named) if high else None
    if low_bytes is not None and high_bytes is not None and low_bytes > high_bytes:
        raise TokenError(f"{named} is the wrong way round: the smaller size comes first, as in 40GB..80GB.")
    return Token(kind=TokenKind.MEMORY, named=named, low_bytes=low_bytes, high_bytes=high_bytes)


def _size(text: str, named: str) -> int:
    if not _SIZE.fullmatch(text.strip()):
        raise TokenError(f"{named} is no memory size. Write 80GB, 80GB.. for at least, 40GB..80GB for between.")
    # Whole megabytes, so that a size written again is the same size.
    size_bytes = int(Decimal(text.strip().rstrip("iIbBmMgGtT")) * _unit(text)) // 2**20 * 2**20
    if not 0 < size_bytes <= MOST_MEMORY_BYTES:
        raise TokenError(f"{named} is out of range: the memory of a GPU lies between 1MB and 1024TB.")
    return size_bytes


def _unit(text: str) -> int:
    """Return the bytes of the unit that a size ends with."""
    return parse_size("1" + text.strip().lstrip("0123456789."))


def _mig(piece: str, named: str) -> Token:
    found = [_MIG.fullmatch(name.strip().lower()) for name in piece.split(",")]
    profiles = {match[1] for match in found if match is not None}
    if None in found:
        raise TokenError(
            f"{named} is no MIG profile. Write it as the driver names it, such as mig-1g.18gb, or "
            "mig-1g.18gb,mig-2g.35gb for one of both."
        )
    return Token(kind=TokenKind.MIG, named=named, profiles=tuple(sorted(profiles)))


def _models(piece: str, named: str) -> Token:
    names = {"-".join(name.split()).upper() for name in piece.split(",")}
    if names & {"ALL", "ANY"}:
        raise TokenError(f"{named} is no number of GPUs: say how many, such as 2. Others wait for the rest.")
    if names & _NO_MODELS or not all(_MODEL.fullmatch(name) for name in names):
        raise TokenError(f"{named} is not understood. {ALLOWED}")
    return Token(kind=TokenKind.MODELS, named=named, models=tuple(sorted(names)))


def _shortened(piece: str) -> str:
    return repr(piece if len(piece) <= 40 else f"{piece[:39]}…")
