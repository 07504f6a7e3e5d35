"""A stranger's body is looked through before it is read as JSON, and no further than needed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from himalia_jobs import strict_json
from himalia_jobs.strict_json import has_more_values


@given(body=st.text('":[{a', max_size=60).map(str.encode), most=st.integers(0, 12), piece=st.integers(1, 9))
def test_keys_lists_and_objects_are_counted_wherever_the_body_is_cut(body, most, piece):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "PIECE_BYTES", piece)

        assert has_more_values(body, most) == (max(body.count(b'":'), body.count(b"["), body.count(b"{")) > most)
