"""A stranger's body is looked through before it is read as JSON, and no further than needed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from himalia_jobs import strict_json
from himalia_jobs.strict_json import has_more_values


@given(body=st.text('":[{a', max_size=60).map(str.encode), most=st.integers(0, 12), piece=st.integers(1, 9))
def test_keys_lists_and_objects_are_counted_wherever_the_body_is_cut(body, most, piece):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "PIECE_BYTES", piece)

        assert has_more_values(body, most) == (max(body.count(b'":'), body.count(b"["), body.count(b"{")) > most)


def plainly(body: bytes) -> object:
    """Return what `json` itself makes of a body, or that it is wrong, and how."""
    try:
        return json.loads(
            body, parse_constant=strict_json._refuse_constant, object_pairs_hook=strict_json._each_key_once
        )
    except (ValueError, RecursionError) as error:
        return f"{error}"


TEXTS = st.text('ab\\"\n\x00ä☃:,[{ ', max_size=30)
VALUES = st.recursive(
    TEXTS | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(
    value=st.dictionaries(TEXTS, VALUES, max_size=4),
    ascii_only=st.booleans(),
    cut=st.tuples(st.integers(0, 200), st.integers(0, 3), st.binary(max_size=3)),
    piece=st.integers(1, 6),
)
def test_long_texts_that_are_read_apart_change_nothing_in_what_is_read_or_refused(value, ascii_only, cut, piece):
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    at, length, other = cut
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "PIECE_BYTES", piece)
        for one in (body, body[:at] + other + body[at + length :]):
            try:
                found: object = strict_json._loaded(one or b"null")
            except (ValueError, RecursionError) as error:
                found = f"{error}"

            assert found == plainly(one or b"null")


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "' + b"x" * 300_000 + b'", "b": ["' + b"y" * 300_000 + b'", 1], "c": {"d": "' + b"z" * 300_000 + b'"}}',
        b'{"a": "' + b"x" * 300_000 + b'\\"' + b"y" * 300_000 + b'"}',
        b'{"a": [["' + b"x" * 300_000 + b'"]]}',
        b'{"' + b"x" * 300_000 + b'": 1}',
        b'{"a": 1,' + b" " * 300_000 + b'"b": 2}',
        b'{"a": "' + b"x" * 300_000 + b'", "a": 1}',
        b'{"a": "' + b"x" * 300_000 + b"\n" + b'"}',
        b'{"a": "' + b"x" * 300_000 + b'", "b": NaN}',
        b'{"a": "' + b"x" * 300_000,
    ],
    ids=["some", "a quote in it", "deep", "a key", "no text", "twice", "a line's end in it", "no number", "no end"],
)
def test_a_very_long_text_is_read_as_it_stands_wherever_it_stands(body):
    try:
        found: object = strict_json._loaded(body)
    except ValueError as error:
        found = f"{error}"

    assert found == plainly(body)


@pytest.mark.fault(94)
@pytest.mark.parametrize("end", [b'\\"', b"\n", b"\xed\xa0\x80"], ids=["a quote", "a line's end", "half a letter"])
def test_a_long_text_that_cannot_be_read_apart_is_not_tried_again_and_again(end, monkeypatch):
    tried: list[int] = []

    def counted(text: bytes) -> object:
        tried.append(len(text))
        return from_json(text)

    monkeypatch.setattr(strict_json, "from_json", counted)
    body = b'{"a": "' + b"x" * 2_000_000 + end + b'"}'

    strict_json._without_long_texts(body)

    assert sum(tried) <= len(body)
