"""A notebook's command: its parameters reach papermill as the values that they are."""

from __future__ import annotations

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from himalia_jobs.launching import argv_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES)
@example(1e-5)
@example("1e-5")
@example("2026-01-02")
@example("yes")
@example("a\nb\n")
@example("\U0001f600\x7f\x85")
def test_a_parameter_is_read_back_as_it_was_given(value):
    *_, option, text = argv_of({"notebook": {"path": "train.ipynb", "parameters": {"x": value}}, "command": []})

    assert option == "--parameters_yaml"
    assert yaml.safe_load(text) == {"x": value}


def test_a_notebook_is_found_from_wherever_it_runs():
    spec = {"notebook": {"path": "sub/train.ipynb", "parameters": {}}, "command": [], "workdir": "sub"}

    words = argv_of(spec, "/workspace")

    assert words[words.index("papermill") + 1 :][:2] == ["/workspace/sub/train.ipynb", "/artifacts/train.ipynb"]
