"""The list of faults is whole: each is shown by a test, and the page says how."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def docs(monkeypatch):
    """The generator's own modules."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import faults
    import reading

    yield faults, reading
    for name in ("faults", "reading"):
        sys.modules.pop(name, None)


def test_every_fault_is_shown_by_a_test(docs):
    faults, reading = docs
    assert faults.numbers() == set(range(1, 99))

    shown = set(reading.marked_tests(ROOT / "tests"))

    assert shown == faults.numbers(), f"not shown: {sorted(faults.numbers() - shown)}"


def test_every_number_is_in_the_page_with_what_a_test_says(docs):
    faults, reading = docs
    page = (ROOT / "docs" / "reference" / "faults.md").read_text()
    for number, tests in reading.marked_tests(ROOT / "tests").items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {number} |")]
        assert all(shown.sentence in row and shown.file.name in row for shown in tests)
    assert all(what in page for what in faults.NOT_SHOWN)


def test_marks_are_read_off_tests_classes_modules_and_parameters(docs, tmp_path):
    _, reading = docs
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent(
            '''
            pytestmark = [pytest.mark.asyncio, pytest.mark.fault(1)]

            @pytest.mark.fault(2)
            @pytest.mark.fault(3)
            def test_a_cat_is_a_cat():
                ...

            class TestIt:
                pytestmark = pytest.mark.fault(4)

                @pytest.mark.parametrize("a", [pytest.param(1, marks=pytest.mark.fault(5))])
                async def test_a_dog_barks(self, a):
                    """A dog barks, and

                    bites."""

                def helper(self): ...
            '''
        )
    )

    found = {number: [shown.sentence for shown in tests] for number, tests in reading.marked_tests(tmp_path).items()}

    cat, dog = "A cat is a cat.", "A dog barks, and."
    assert found == {1: [cat, dog], 2: [cat], 3: [cat], 4: [dog], 5: [dog]}
