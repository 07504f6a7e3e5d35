"""A person at the platform: what the hub says of a server is believed only where it has looked."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from himalia.errors import LocalError
from himalia_spawner.platform.person import Person

STARTED = httpx.Response(201)
RUNS = httpx.Response(400, json={"status": 400, "message": "ada is already running"})
PROGRESS = {
    "ready": {"progress": 100, "ready": True},
    "failed": {"progress": 100, "failed": True, "message": "no image"},
}


class Hub:
    """Answers starts as it is told, and each look at a start with its end."""

    def __init__(self, *answers: httpx.Response, end: str = "ready") -> None:
        self.answers = list(answers)
        self.end = end
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        what = f"{request.method} {request.url.path.rpartition('/')[2]}"
        self.asked.append(what)
        if what == "POST server":
            assert json.loads(request.content) == {"user_options": {"profile": "cpu"}}
            return self.answers.pop(0)
        if what == "GET progress":
            return httpx.Response(200, text=f"data: {json.dumps(PROGRESS[self.end])}\n\n")
        return httpx.Response(200, json={"name": "ada", "servers": {"": {"ready": True}}})


@pytest.fixture
def ada() -> Iterator[Person]:
    """Somebody who is logged in."""
    with Person("http://hub", "ada") as person:
        yield person


def at(person: Person, hub: Hub) -> Hub:
    """Let a person speak with a hub of the test's."""
    person._http.close()
    person._http = httpx.Client(transport=httpx.MockTransport(hub), base_url="http://hub/")
    return hub


def test_a_server_that_runs_is_left_alone(ada):
    hub = at(ada, Hub(RUNS))

    ada.start_server("cpu")

    assert hub.asked == ["POST server"]


def test_a_server_that_ended_before_it_was_looked_at_is_started_again_and_not_called_ready(ada):
    hub = at(ada, Hub(STARTED, STARTED, RUNS))

    ada.start_server("cpu")

    assert hub.asked == ["POST server", "GET progress"] * 2 + ["POST server"]


def test_one_in_line_is_looked_at_once_it_was_its_turn(ada):
    waits = httpx.Response(202, headers={"Location": "/services/jobs/waiting/x"}, json={"message": "In line."})
    hub = at(ada, Hub(waits, RUNS))

    ada.start_server("cpu")

    assert hub.asked == ["POST server", "GET ada", "POST server"]


def test_a_start_that_fails_is_told_with_the_hubs_words(ada):
    at(ada, Hub(STARTED, end="failed"))

    with pytest.raises(LocalError, match="no image"):
        ada.start_server("cpu")


def test_a_server_that_ends_each_time_is_not_started_for_ever(ada, monkeypatch):
    monkeypatch.setattr("himalia_spawner.platform.person.SERVER_DEADLINE_SECONDS", -1.0)
    at(ada, Hub(STARTED))

    with pytest.raises(LocalError, match="again and again"):
        ada.start_server("cpu")
