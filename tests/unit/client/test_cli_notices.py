"""`himalia notices`: what the platform tells, and answering it."""

from __future__ import annotations

import pytest
from job_bodies import NOW

from himalia.models import NoticeView

KEEP = NoticeView(
    id="nnnnnnnnnnnn",
    kind="idle",
    sentence="Your GPU is idle.\x1b[2J",
    actions={"keep": "Keep", "stop": "Stop"},
    at=NOW,
)
TOLD = NoticeView(id="tttttttttttt", kind="ended", sentence="It was stopped.", at=NOW)


@pytest.fixture(autouse=True)
def told(service):
    service.notices += [KEEP, TOLD]


def test_each_notice_is_told_with_the_commands_that_answer_it(himalia):
    out = himalia("notices").out.decode()

    assert "\x1b" not in out
    assert "  himalia notices answer nnnnnnnnnnnn keep   (Keep)" in out
    assert "  himalia notices answer tttttttttttt seen   (Seen)" in out


def test_programs_get_a_line_each(himalia):
    assert [line["kind"] for line in himalia("notices", "--json").lines] == ["idle", "ended"]


def test_an_answer_is_given_by_any_beginning_of_the_id(service, himalia):
    assert "Answered: Keep." in himalia("notices", "answer", "nn", "keep").err
    assert "Answered: Seen." in himalia("notices", "answer", "tttt", "seen").err

    assert service.notices == []
    assert "There is nothing to tell you." in himalia("notices").err


def test_what_is_no_notice_and_no_answer_is_said(himalia):
    assert "No open notice of yours begins with xx." in himalia("notices", "answer", "xx", "keep").err
    assert "Possible: keep, stop." in himalia("notices", "answer", "nn", "sudo").err
