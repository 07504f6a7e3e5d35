"""Notices: a person is told something once, answers it once, and the answer and what it does are one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from event_listener import listener
from service_at_work import AtWork

from himalia.errors import Busy, Forbidden
from himalia_jobs.store import notices, people

pytestmark = pytest.mark.asyncio

ACTIONS = {"keep": "Keep", "stop": "Stop now"}


async def tell(work: AtWork, who: str = "ada", **changes: Any) -> str:
    """Tell somebody something, and return its id."""
    assert (await work.ask("GET", "me", who)).status_code == 200  # who was never here has no id
    values: dict[str, Any] = {"kind": "question", "sentence": "Your GPU is idle.", "actions": ACTIONS} | changes
    known = await work.service.db.read(people.everybody)
    user_id = next(person.id for person in known if person.name == who)
    return (await work.service.db.write(lambda db: notices.tell(db, user_id=user_id, **values))).id


async def told(work: AtWork, who: str = "ada") -> list[str]:
    """Return what somebody is told."""
    answer = await work.ask("GET", "notices", who)
    assert answer.status_code == 200
    return [notice["sentence"] for notice in answer.json()["notices"]]


async def answer(work: AtWork, notice_id: str, key: str, who: str = "ada") -> int:
    """Answer a notice, and return the status."""
    return (await work.ask("POST", f"notices/{notice_id}/answer", who, json={"answer": key})).status_code


async def test_a_notice_is_its_persons_alone(work: AtWork):
    notice = await tell(work)

    assert await told(work) == ["Your GPU is idle."]
    assert [await told(work, who) for who in ("bob", "root")] == [[], []]
    assert [await answer(work, notice, "keep", who) for who in ("bob", "root")] == [404, 404]


async def test_an_answer_closes_a_notice_and_says_what_was_answered(work: AtWork):
    notice = await tell(work)

    answered = await work.ask("POST", f"notices/{notice}/answer", json={"answer": "keep"})

    assert answered.json()["answer"] == "keep"
    assert await told(work) == []


async def test_the_same_answer_again_is_the_same_answer_and_another_one_comes_too_late(work: AtWork):
    notice = await tell(work)
    done: list[str] = []
    work.service.notices.answered_by("question", lambda db, one, key: done.append(key))

    assert [await answer(work, notice, key) for key in ("keep", "keep", "stop")] == [200, 200, 409]
    assert done == ["keep"]


async def test_only_the_answers_that_were_offered_are_taken(work: AtWork):
    question, told_only = await tell(work), await tell(work, kind="ended", actions={}, key="ended")

    assert [await answer(work, question, key) for key in ("seen", "sudo", "")] == [422, 422, 422]
    assert [await answer(work, told_only, key) for key in ("keep", "seen")] == [422, 200]


async def test_an_answer_that_cannot_be_made_true_is_not_taken(work: AtWork):
    notice = await tell(work)

    def refuse(db: object, one: object, key: str) -> None:
        raise Busy("It is over.")

    work.service.notices.answered_by("question", refuse)

    assert await answer(work, notice, "keep") == 409
    assert await told(work) == ["Your GPU is idle."]


async def test_what_has_a_key_is_told_once_answered_or_not(work: AtWork):
    first = await tell(work, key="idle:lease:1")
    await answer(work, first, "keep")

    again = await tell(work, key="idle:lease:1", sentence="Once more.")
    other = await tell(work, key="idle:lease:2")

    assert again == first != other
    assert await told(work) == ["Your GPU is idle."]


async def test_what_is_taken_back_or_past_its_time_is_not_told_and_not_answered(work: AtWork):
    back = await tell(work, key="back")
    late = await tell(work, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    assert await work.service.db.write(lambda db: notices.withdraw(db, "back"))
    assert not await work.service.db.write(lambda db: notices.withdraw(db, "back"))

    assert await told(work) == []
    assert [await answer(work, one, "keep") for one in (back, late)] == [409, 409]


async def test_every_change_of_ones_notices_is_an_event_for_oneself_alone(work: AtWork):
    async with listener(work) as ada, listener(work, "root") as root:
        assert {(await anext(ada))["kind"], (await anext(root))["kind"]} == {"resync"}
        notice = await tell(work)
        await work.service.wake()
        first = await anext(ada)
        await answer(work, notice, "keep")
        second = await anext(ada)
        job = await work.submit()
        await work.service.wake()
        other = await anext(root)

    assert [first["kind"], second["kind"]] == ["notice", "notice"]
    assert (other["kind"], other["job_id"]) == ("job", job["id"])


async def test_one_that_is_over_for_long_is_forgotten_and_an_open_one_never(work: AtWork):
    answered, standing = await tell(work), await tell(work, sentence="Still open.")
    await answer(work, answered, "keep")

    await work.service.db.write(lambda db: notices.trim(db, datetime.now(UTC) + notices.KEPT + timedelta(days=1)))

    kept = await work.service.db.read(lambda db: db.exec_driver_sql("SELECT id FROM notices").scalars().all())
    assert kept == [standing]


async def test_of_two_answers_at_once_one_is_taken(work: AtWork):
    notice = await tell(work)

    both = await asyncio.gather(answer(work, notice, "keep"), answer(work, notice, "stop"))

    assert sorted(both) == [200, 409]


async def test_a_token_that_only_reads_answers_nothing(work: AtWork):
    work.hub.knows("reader", scopes=("access:services!service=jobs", "custom:jobs:read"))
    notice = await tell(work, who="reader")

    assert await answer(work, notice, "keep", "reader") == Forbidden.status
