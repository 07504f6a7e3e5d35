"""`himalia usage`: GPU hours on the command line."""

from __future__ import annotations

from himalia.models import UsageRow


def row(**changes) -> UsageRow:
    """Return the hours of one month."""
    values = {"month": "2030-01", "name": "ada", "gpu_hours": 12.26, "job_hours": 10.0, "server_hours": 2.26}
    return UsageRow(**(values | {"measured_hours": 12.0, "idle_share": 0.254} | changes))


def test_hours_are_a_table_with_the_idle_share_where_it_is_known(service, himalia):
    service.usage = [row(), row(name="bob", idle_share=None)]

    outcome = himalia("usage", "--by", "team")

    lines = [line.split() for line in outcome.out.decode().splitlines()]
    assert lines[0] == ["MONTH", "TEAM", "GPU", "HOURS", "JOBS", "NOTEBOOKS", "IDLE"]
    assert lines[1:] == [["2030-01", "ada", "12.3", "10.0", "2.3", "25%"], ["2030-01", "bob", "12.3", "10.0", "2.3"]]
    assert "GPU hours together." in outcome.err


def test_hours_are_json_or_a_table_for_spreadsheets(service, himalia):
    service.usage = [row()]

    assert himalia("usage", "--json").lines[0]["rows"][0]["name"] == "ada"
    assert himalia("usage", "--csv", "--from", "2030-01").out == b"month,name\n2030-01,ada\n"


def test_no_hours_are_said(service, himalia):
    assert himalia("usage").err == "No GPU hours in this time.\n"
