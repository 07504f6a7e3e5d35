"""The page on isolation shows the table that the tests measure."""

from __future__ import annotations

from pathlib import Path

from isolation import table

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "isolation.md"


def test_the_page_has_the_table_that_is_measured():
    shown = PAGE.read_text().split("<!-- measured: make isolation -->")[1].split("<!-- end -->")[0]

    assert shown.strip() == table(lambda row, path: row.expected(path)).strip()
