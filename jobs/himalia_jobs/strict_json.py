"""A stranger's JSON, read strictly: each key once, numbers that are numbers, and each error in words for people."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from himalia.errors import FieldError, HimaliaError, Unparsable

Model = TypeVar("Model", bound=BaseModel)
Plain = dict[str, Any]
LONGEST_FIELD = 100  #: of a field's name, which may be anything, in what is said of it
PIECE_BYTES = 64 * 1024  #: counted at once: nobody else goes on meanwhile


def has_more_values(body: bytes | bytearray, most: int) -> bool:
    """Tell whether a body has more keys, lists or objects; what is in texts counts as well. It is read no further than needed."""
    marks = 0
    for piece in _pieces(body):
        if not piece.startswith(b":") and not any(mark in piece for mark in (b'"', b"[", b"{")):
            continue  # it lies within a text
        marks += len(piece) - len(piece.translate(None, b":[{"))  # to count each takes three times as long
        if marks > most:
            return _is_one_kind_more(body, most)
    return False


def _is_one_kind_more(body: bytes | bytearray, most: int) -> bool:
    keys = lists = objects = 0
    before: bytes | bytearray = b""
    for piece in _pieces(body):
        keys += piece.count(b'":') + (before == b'"' and piece.startswith(b":"))
        lists += piece.count(b"[")
        objects += piece.count(b"{")
        before = piece[-1:]
        if max(keys, lists, objects) > most:
            return True
    return False


def _pieces(body: bytes | bytearray) -> Iterator[bytes | bytearray]:
    return (body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES))


def read_as(
    model: type[Model], body: bytes | bytearray, read_ahead: Callable[[Plain], Plain] = lambda plain: plain
) -> Model:
    """Return a body as a model; raise Unparsable, or FieldError with the field's name.

    What is long in it `read_ahead` may read before, part by part: a model is read at once, and all wait for that.
    """
    try:
        plain = _loaded(body or b"null")
    except (ValueError, RecursionError) as error:
        raise Unparsable(f"The body is no JSON: {str(error)[:200]}.") from error
    if not isinstance(plain, dict):
        raise Unparsable("The body must be a JSON object.")
    try:
        return model.model_validate(read_ahead(plain))
    except (ValidationError, RecursionError) as error:
        raise _refused(error) from error


def _loaded(body: bytes | bytearray) -> Any:
    """Return what JSON says; texts that are very long are read apart, in a tenth of the time that `json` takes for them."""
    rest, texts = _without_long_texts(body)

    def once(pairs: list[tuple[str, Any]]) -> Plain:
        found = _each_key_once(pairs)
        if texts:
            for key, value in found.items():
                if isinstance(value, list):
                    value[:] = [_put_back(one, texts) for one in value]
                else:
                    found[key] = _put_back(value, texts)
        return found

    if texts:
        try:
            plain = json.loads(rest, parse_constant=_refuse_constant, object_pairs_hook=once)
        except (ValueError, RecursionError):
            pass  # what was taken for a text is none, or it is wrong elsewhere: the places are told as they are in the whole
        else:
            if not texts:
                return plain
    return json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_each_key_once)


def _put_back(value: Any, texts: dict[str, str]) -> Any:
    return texts.pop(value, value) if isinstance(value, str) else value


def _without_long_texts(body: bytes | bytearray) -> tuple[bytes | bytearray, dict[str, str]]:
    """Return a body with marks in the place of what seem to be long texts, and these texts by their marks."""
    kept: list[bytes | bytearray] = []
    texts: dict[str, str] = {}
    done = 0
    for at in range(PIECE_BYTES, len(body) - PIECE_BYTES, PIECE_BYTES):
        if at < done or body.find(b'"', at, at + PIECE_BYTES) >= 0:
            continue
        begin, end = body.rfind(b'"', done, at) + 1, body.find(b'"', at)
        if not begin or end < 0:
            break
        try:
            text = from_json(body[begin - 1 : end + 1])
        except ValueError:
            break  # it has a quote that seems to end it, or is none; to look on might read it again and again
        mark = secrets.token_hex(16)
        kept += [body[done:begin], mark.encode()]
        texts[mark], done = text, end
    return b"".join([*kept, body[done:]]) if texts else body, texts


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _each_key_once(pairs: list[tuple[str, Any]]) -> Plain:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refused(error: ValidationError | RecursionError) -> HimaliaError:
    if isinstance(error, RecursionError):
        return Unparsable("The body is nested too deeply.")
    first = error.errors(include_input=False)[0]
    field = ".".join(str(part)[:LONGEST_FIELD] for part in first["loc"])[:LONGEST_FIELD] or "body"
    known = {"extra_forbidden": "is not known here. Check its name, or upgrade", "missing": "is missing"}
    said = known.get(first["type"])
    return FieldError(field, f"{field} {said}." if said else f"{field}: {first['msg']}.")
