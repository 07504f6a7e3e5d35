"""The GPU request: what a person asks for, in one short text.

Tokens with `:` between them, in any order, told apart by their shape:

    0, none          no GPU
    2                how many; 1 where nothing is said
    H200, A100,H100  the model, or one of several: a whole token of the name that NVML gives
    80GB             the memory of the GPU; `80GB..` at least, `..24GB` at most, `40GB..80GB` between
    shared           one seat of a shared GPU; a size beside it is the seat's budget: `shared:16GB`
    0.5              one seat with that part of a GPU's memory
    mig-1g.18gb      one MIG device of that profile; mig-1g.18gb,mig-2g.35gb one of either
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

from himalia.errors import FieldError
from himalia.gpus import SlotKind
from himalia.units import counted

from .tokens import ALLOWED, MOST, Token, TokenError, TokenKind, read_token, split


class GPURequestError(FieldError):
    """A GPU request cannot be read."""


@dataclass(frozen=True, kw_only=True)
class GPURequest:
    """What is asked for; `str()` gives the canonical text, which parses to an equal request."""

    count: int = 0
    kind: SlotKind = SlotKind.GPU
    models: tuple[str, ...] = ()  #: one of these, in upper case and sorted; none: any
    memory_min_bytes: int | None = None
    memory_max_bytes: int | None = None
    seat_memory_bytes: int | None = None  #: budget of a seat
    seat_fraction: Decimal | None = None  #: the part of a GPU's memory that a seat has
    mig_profiles: tuple[str, ...] = ()  #: one of these, sorted

    def __hash__(self) -> int:
        """Return the hash, computed once: a long line is looked up by what each asks for."""
        found = self.__dict__.get("_hash")
        if found is None:
            found = hash(tuple(getattr(self, one.name) for one in fields(self)))
            object.__setattr__(self, "_hash", found)
        return int(found)

    def __str__(self) -> str:
        """Return the canonical text."""
        if self.count == 0:
            return "0"
        kind = {SlotKind.GPU: "", SlotKind.SEAT: "shared", SlotKind.MIG: self._mig_text}[self.kind]
        share = kind if self.seat_fraction is None else str(self.seat_fraction)
        tokens = [token for token in (",".join(self.models), share, self.memory_text) if token]
        return ":".join(tokens if tokens and self.count == 1 else [*tokens, str(self.count)])

    @property
    def special(self) -> str:
        """The canonical text where it says more than how many of what; else empty."""
        return "" if str(self) in (str(self.count), "shared") else str(self)

    @property
    def in_words(self) -> str:
        """What is asked for, for people: `2 GPUs`, `1 seat of a shared GPU (shared:16GB)`."""
        things = {SlotKind.GPU: "GPU", SlotKind.SEAT: "seat of a shared GPU", SlotKind.MIG: "slice"}
        words = counted(self.count, things[self.kind]) if self.count else "no GPU"
        return f"{words} ({self.special})" if self.special else words

    @property
    def _mig_text(self) -> str:
        return ",".join(f"mig-{profile}" for profile in self.mig_profiles)

    @property
    def memory_text(self) -> str:
        """The memory as requests write it; empty where nothing is said about it."""
        if self.seat_memory_bytes is not None:
            return size_text(self.seat_memory_bytes)
        low, high = self.memory_min_bytes, self.memory_max_bytes
        if low is not None and low == high:
            return size_text(low)
        ends = ["" if size is None else size_text(size) for size in (low, high)]
        return "..".join(ends) if any(ends) else ""


def parse_request(value: object, field: str = "gpus") -> GPURequest:
    """Read a request from a text, a number or an object; raise GPURequestError that points at the token."""
    try:
        if isinstance(value, Mapping):
            return _combined(_tokens_of_object(value))
        return _combined([read_token(piece, f"at position {position}") for piece, position in split(_text(value))])
    except TokenError as error:
        raise GPURequestError(field, str(error)) from error


def size_text(size_bytes: int) -> str:
    """Return a size as requests write it: whole, in the largest unit that keeps it whole."""
    for unit, size in (("TB", 2**40), ("GB", 2**30)):
        if size_bytes % size == 0:
            return f"{size_bytes // size}{unit}"
    return f"{size_bytes // 2**20}MB"


def _text(value: object) -> str:
    if value is None:
        return "0"
    # A bool is an int to Python, but `true` says nothing about how many.
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TokenError(f"A GPU request is a text, a number or an object, not {type(value).__name__}. {ALLOWED}")
    if isinstance(value, int) and abs(value) > 10**18:  # Python itself refuses to print the largest
        raise TokenError(f"That is no number of GPUs: it lies between 0 and {MOST}.")
    return str(value)


def _tokens_of_object(plain: Mapping[str, Any]) -> list[Token]:
    kinds = {str(kind): kind for kind in TokenKind}
    tokens = []
    for key, value in plain.items():
        if key not in kinds:
            raise TokenError(f"{key!r} is no part of a GPU request. The parts are {', '.join(kinds)}.")
        text = _piece_of(kinds[key], value)
        if not text:
            continue
        token = read_token(text, f"in {key!r}")
        if token.kind is not kinds[key]:
            raise TokenError(f"{token.named} does not belong there. {ALLOWED}")
        tokens.append(token)
    return tokens


def _piece_of(kind: TokenKind, value: object) -> str:
    """Return the token that stands for a part of an object; empty where nothing is said."""
    if value is None or (kind is TokenKind.SHARED and value is False):
        return ""
    if kind is TokenKind.SHARED and value is True:
        return "shared"
    if kind is TokenKind.MODELS and isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(_text(name) for name in value)
    if kind is not TokenKind.MIG:
        return _text(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(f"mig-{_text(profile)}" for profile in value)
    return f"mig-{_text(value)}"


def _combined(tokens: Sequence[Token]) -> GPURequest:
    by_kind: dict[TokenKind, Token] = {}
    for token in tokens:
        if token.kind in by_kind:
            first = by_kind[token.kind].named
            raise TokenError(f"{token.named} says a second time what {first} says. Leave one of them out.")
        by_kind[token.kind] = token
    if not by_kind:
        raise TokenError(f"The GPU request is empty. {ALLOWED}")
    counted = by_kind.pop(TokenKind.COUNT, None)
    count = counted.count if counted else 1
    if counted and count == 0 and by_kind:
        raise TokenError(f"{counted.named} means no GPU, so nothing may stand beside it.")
    if count == 0:
        return GPURequest()
    share = _share(by_kind)
    if share is None:
        return _whole(count, by_kind)
    if counted and count > 1:
        raise TokenError(f"{counted.named} does not go with {share.named}: there is one seat or slice in a request.")
    return _part(share, by_kind)


def _share(by_kind: Mapping[TokenKind, Token]) -> Token | None:
    """Return the token that asks for a part of a GPU; `shared` beside a fraction adds nothing."""
    kinds = [kind for kind in (TokenKind.MIG, TokenKind.FRACTION, TokenKind.SHARED) if kind in by_kind]
    if TokenKind.MIG in kinds and len(kinds) > 1:
        first, second = (by_kind[kind].named for kind in kinds[:2])
        raise TokenError(f"{first} does not go with {second}: ask for a slice or for a seat.")
    return by_kind[kinds[0]] if kinds else None


def _whole(count: int, by_kind: Mapping[TokenKind, Token]) -> GPURequest:
    memory = by_kind.get(TokenKind.MEMORY)
    return GPURequest(
        count=count,
        models=_models(by_kind),
        memory_min_bytes=memory.low_bytes if memory else None,
        memory_max_bytes=memory.high_bytes if memory else None,
    )


def _part(share: Token, by_kind: Mapping[TokenKind, Token]) -> GPURequest:
    memory = by_kind.get(TokenKind.MEMORY)
    if memory and share.kind is not TokenKind.SHARED:
        raise TokenError(f"{memory.named} does not go with {share.named}, which says how much memory by itself.")
    if memory and memory.low_bytes != memory.high_bytes:
        raise TokenError(f"{memory.named} is a range. Beside 'shared' stands one size, such as shared:16GB.")
    return GPURequest(
        count=1,
        kind=SlotKind.MIG if share.kind is TokenKind.MIG else SlotKind.SEAT,
        models=_models(by_kind),
        seat_memory_bytes=memory.low_bytes if memory else None,
        seat_fraction=share.fraction,
        mig_profiles=share.profiles,
    )


def _models(by_kind: Mapping[TokenKind, Token]) -> tuple[str, ...]:
    return by_kind[TokenKind.MODELS].models if TokenKind.MODELS in by_kind else ()
