"""Servers that wait in line on a whole platform: through the deaths of hub and service, with nobody's browser open."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from live_platform import eventually

if TYPE_CHECKING:
    from live_platform import LivePlatform


@pytest.fixture
def ask_hub(live: LivePlatform) -> Callable[..., httpx.Response]:
    """Asks the hub's API as somebody."""

    def ask(method: str, path: str, who: str = "ada", **options: Any) -> httpx.Response:
        headers = {"Authorization": f"token {live.person(who).token}"}
        return httpx.request(method, f"{live.url}/hub/api/{path}", headers=headers, timeout=60, **options)

    return ask


def in_line(live: LivePlatform, who: str = "ada") -> dict[str, Any]:
    """Return the one wait of somebody's servers."""
    (wait,) = eventually(lambda: live.ask("GET", "waiting", live.person(who).token).json()["waiting"])
    return dict(wait)


def shown(live: LivePlatform, wait_id: str, who: str = "ada") -> dict[str, Any]:
    """Return where a wait stands; nothing while the service is coming back."""
    try:
        answer = live.ask("GET", f"waiting/{wait_id}", live.person(who).token)
    except httpx.TransportError:
        return {}
    return dict(answer.json()) if answer.status_code == 200 else {}


def is_ready(ask_hub: Callable[..., httpx.Response], server: str = "", who: str = "ada") -> bool:
    """Tell whether somebody's server is ready."""
    answer = ask_hub("GET", f"users/{who}", who)
    servers = answer.json()["servers"] if answer.status_code == 200 else {}
    return bool(servers.get(server, {}).get("ready"))


def slots_of(live: LivePlatform, owner: str = "user:ada") -> list[str]:
    """Return the slots that a person's server has, by its container's label."""
    (found,) = [one for one in live.containers("server") if one.attrs["Labels"]["himalia.owner"] == owner]
    return [slot for slot in found.attrs["Labels"]["himalia.slots"].split(",") if slot]


def test_a_server_that_waits_survives_hub_and_service_and_its_turn_is_kept_for_it(live, holders, ask_hub):
    choice = {"user_options": {"profile": "gpu"}}
    answer = ask_hub("POST", "users/ada/servers/second", json=choice)
    wait = in_line(live)
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/services/jobs/waiting/{wait['id']}")
    assert answer.json()["message"].startswith("1st in line. Waiting for 1 of: GPU ")
    assert (wait["server"], wait["position"]) == ("second", 1)

    live.kill("service")
    eventually(lambda: shown(live, wait["id"]).get("position") == 1)
    holders[0].refresh()  # who that is, is known to the service while the hub is away
    with live.stopped("hub"):
        holders[0].cancel()
        eventually(lambda: holders[0].refresh().state == "cancelled")

    eventually(lambda: is_ready(ask_hub, "second"))
    assert shown(live, wait["id"])["state"] == "started"
    assert len(slots_of(live)) == 1
    assert ask_hub("DELETE", "users/ada/servers/second", json={"remove": True}).status_code in (202, 204)
    eventually(lambda: not live.containers("server"))


def gpu_ready(live, token):
    """Return what somebody is told of GPUs that are kept for them."""
    told = live.ask("GET", "notices", token).json()["notices"]
    return [notice for notice in told if notice["kind"] == "gpu_ready"]


def test_a_server_runs_without_its_gpu_and_gets_it_by_a_restart(live, holders, ask_hub):
    ask_hub("POST", "users/ada/server", json={"user_options": {"profile": "gpu"}})
    wait, ada = in_line(live), live.person("ada")

    assert live.ask("POST", f"waiting/{wait['id']}/start", ada.token).status_code == 200
    eventually(lambda: is_ready(ask_hub))
    assert slots_of(live) == []
    holders[0].cancel()
    (told,) = eventually(lambda: gpu_ready(live, ada.token))
    assert shown(live, wait["id"])["state"] == "kept"
    answered = live.ask("POST", f"notices/{told['id']}/answer", ada.token, json={"answer": "restart"})

    assert answered.status_code == 200
    eventually(lambda: shown(live, wait["id"]).get("state") == "started" and is_ready(ask_hub))
    assert len(slots_of(live)) == 1
    assert len(live.containers("server")) == 1


def test_who_cancels_while_the_server_is_being_started_leaves_nothing(live, holders, ask_hub, client):
    ask_hub("POST", "users/ada/server", json={"user_options": {"profile": "gpu"}})
    wait, ada = in_line(live), live.person("ada")

    holders[0].cancel()
    eventually(lambda: shown(live, wait["id"]).get("state") in ("starting", "started"))
    left = live.ask("DELETE", f"waiting/{wait['id']}", ada.token)
    if left.status_code == 409:  # it was faster
        ask_hub("DELETE", "users/ada/server")

    eventually(lambda: not live.containers("server", everything=True))
    bob = client("bob")
    eventually(lambda: bob.gpus().free == 1)
    assert live.ask("GET", "waiting", ada.token).json() == {"waiting": []}
