"""A page of artifacts is written by hand, many times faster, and is what the models would write."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from himalia.models import Artifact, ArtifactList
from himalia_jobs.api.artifacts import page_text
from himalia_jobs.engines.base import ArtifactEntry
from himalia_jobs.engines.listing import LATEST_MS, page

ENTRIES = st.builds(
    ArtifactEntry,
    path=st.text(),
    type=st.sampled_from(["file", "dir", "symlink", "other"]),
    size_bytes=st.integers(0, 2**63),
    modified_ms=st.integers(0, LATEST_MS),
)


@given(entries=st.lists(ENTRIES, max_size=5), cursor=st.none() | st.text("abc=_-", min_size=1), live=st.booleans())
def test_a_page_written_by_hand_is_what_the_models_write(entries, cursor, live):
    head = ArtifactList(attempt="a-1", live=live, truncated=cursor is not None, cursor=cursor, artifacts=())
    listed = tuple(
        Artifact(path=one.path, type=one.type, size_bytes=one.size_bytes, modified_at=one.modified_at)
        for one in entries
    )

    text = page_text(head, entries)

    assert ArtifactList.model_validate_json(text) == head.model_copy(update={"artifacts": listed})
    assert json.loads(text) == json.loads(head.model_copy(update={"artifacts": listed}).model_dump_json())


@pytest.mark.fault(48)
@pytest.mark.parametrize(("seconds", "told"), [(-5.5, "1970-01-01T00:00:00"), (1e13, "2096-10-02T07:06:40")])
def test_a_time_that_cannot_be_is_told_as_one_that_can(tmp_path, seconds, told):
    (tmp_path / "odd").touch()
    os.utime(tmp_path / "odd", (seconds, seconds))
    entries, _ = page(tmp_path, 10)

    assert f'"modified_at":"{told}.' in page_text(
        ArtifactList(attempt="a", live=False, truncated=False, artifacts=()), entries
    )
