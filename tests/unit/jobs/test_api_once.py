"""A submit that is asked for more than once is one job."""

from __future__ import annotations

import asyncio

import pytest
from service_at_work import AtWork

pytestmark = [pytest.mark.asyncio, pytest.mark.fault(58)]


async def test_a_repeated_idempotency_key_gives_the_first_job(work: AtWork):
    wish = {"project": "work", "command": "true", "idempotency_key": "k"}

    first = await work.ask("POST", "jobs", json=wish)
    again = await work.ask("POST", "jobs", json=wish | {"command": "false"})
    another = await work.ask("POST", "jobs", "bob", json=wish)

    assert (first.status_code, again.status_code, another.status_code) == (201, 200, 201)
    assert first.json()["id"] == again.json()["id"] != another.json()["id"]


async def test_ten_submits_at_once_with_one_key_are_one_job(work: AtWork):
    wish = {"project": "work", "command": "true", "idempotency_key": "k"}

    answers = await asyncio.gather(*[work.ask("POST", "jobs", json=wish) for _ in range(10)])

    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
