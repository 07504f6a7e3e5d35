"""Starts that are interrupted on a real hub: by its death, by a time limit, by an administrator; and what people then see."""

from __future__ import annotations

import threading
import time

import httpx
import pytest

from himalia.errors import HimaliaError
from himalia.states import LeaseState
from himalia_spawner.passwords import load_passwords
from himalia_spawner.platform.person import Person

TIMEOUT_SECONDS = 5  #: of the service in the hub's configuration


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """Give an administrator."""
    return {"\n# admins = []\n": '\nadmins = ["chief"]\n'}


@pytest.fixture
def chief(platform):
    """Give the administrator, logged in."""
    with Person(platform.place.proxy_url, "chief") as person:
        person.log_in(load_passwords(platform.place.site.data).admin)
        yield person


@pytest.fixture
def no_gpus(platform):
    """Let nobody have a GPU."""
    platform.service.gpus = 0
    yield
    platform.service.gpus = 2
    platform.thread.call(platform.service.wake)


def begun(person, profile: str) -> threading.Thread:
    """Begin a start that the test does not wait for; its answer does not matter, as the hub may be dead by then."""

    def start() -> None:
        try:
            person.post(f"hub/api/users/{person.name}/server", {"user_options": {"profile": profile}})
        except httpx.HTTPError:
            pass

    thread = threading.Thread(target=start)
    thread.start()
    return thread


def everything_of(platform) -> list:
    """Return the installation's containers, running or not."""
    ours = {"label": f"himalia={platform.place.installation}"}
    return platform.docker.containers.list(all=True, filters=ours, ignore_removed=True)


def restarted_after_death(platform) -> None:
    """Kill the hub, and start it again."""
    platform.stop("hub", kill=True)
    platform.start("hub")


def settled(platform, person) -> bool:
    """Tell whether the hub has made up its mind about somebody's server: one that has just started looks at it first."""
    user = platform.hub("GET", f"users/{person.name}", person.token).json()
    return not (user["servers"].get("", {}).get("pending") or user["pending"])


def asked(platform, person, profile: str = "gpu") -> httpx.Response:
    """Ask the hub for a server."""
    choice = {"user_options": {"profile": profile}}
    return platform.hub("POST", f"users/{person.name}/server", person.token, json=choice)


def test_a_hub_that_dies_while_a_server_waits_forgets_nothing(platform, person, no_gpus):
    alice = person("alice")
    assert asked(platform, alice).status_code == 202

    restarted_after_death(platform)
    (lease,) = platform.service.live()
    assert (lease.state, lease.lasting) == (LeaseState.WAITING, True)
    platform.service.gpus = 1
    platform.thread.call(platform.service.wake)
    alice.start_server("gpu")  # as the job service does

    assert [(one.id, one.state) for one in platform.service.live()] == [(lease.id, LeaseState.HELD)]
    alice.stop_server()
    assert platform.service.live() == []


def test_who_waits_is_answered_at_once_and_takes_nothing_of_the_hub(platform, person, no_gpus):
    alice = person("alice")

    begin = time.monotonic()
    answer = asked(platform, alice)
    seconds = time.monotonic() - begin
    user = platform.hub("GET", "users/alice", alice.token).json()

    (lease,) = platform.service.live()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/services/jobs/waiting/{lease.id}")
    assert answer.json()["message"].startswith("1st in line. Waiting for GPUs that others hold")
    assert f"{platform.place.proxy_url}/services/jobs/waiting/{lease.id}" in answer.json()["message"]
    assert seconds < 10
    assert (user["pending"], user["servers"]) == (None, {})
    assert everything_of(platform) == []
    assert asked(platform, alice).status_code == 202
    assert [one.id for one in platform.service.live()] == [lease.id]
    platform.thread.call(lambda: platform.service.release(lease.id))


@pytest.fixture
def unbound(platform):
    """Let no lease be bound to its container while this test wants it so."""
    platform.thread.call(lambda: platform.service.hold("POST /bind"))
    yield
    platform.thread.call(lambda: platform.service.let_go("POST /bind"))


def test_a_hub_that_dies_between_container_and_start_leaves_neither_container_nor_lease(
    platform, person, unbound, eventually
):
    alice = person("alice")
    start = begun(alice, "gpu")
    eventually(lambda: [found for found in everything_of(platform) if found.status == "created"])

    restarted_after_death(platform)
    start.join(30)

    eventually(lambda: not everything_of(platform))
    eventually(lambda: not platform.service.live())


def test_a_server_that_comes_up_while_its_hub_dies_can_be_used_or_stopped_as_usual(platform, person, eventually):
    alice = person("alice")
    start = begun(alice, "gpu")
    container = eventually(lambda: platform.container("alice")).id

    restarted_after_death(platform)
    start.join(30)
    eventually(lambda: settled(platform, alice))
    alice.start_server("gpu")
    assert [found.id for found in platform.containers()] == [container]
    alice.stop_server()

    assert everything_of(platform) == []
    assert platform.service.live() == []


def test_a_person_who_waits_can_be_deleted(platform, chief, no_gpus):
    with Person(platform.place.proxy_url, "carol") as carol:
        carol.log_in(load_passwords(platform.place.site.data).user)
        assert asked(platform, carol).status_code == 202

        deleted = platform.hub("DELETE", "users/carol", chief.token)

    assert deleted.status_code == 204  # nothing of the start is left in the hub that would be in the way
    assert everything_of(platform) == []
    (lease,) = platform.service.live()
    platform.thread.call(lambda: platform.service.release(lease.id))  # the job service finds out by itself


def test_a_hub_that_starts_without_the_job_service_lets_people_in_within_seconds(platform, person):
    alice = person("alice")
    alice.start_server("cpu")
    platform.thread.run(platform.service.hang_up())
    try:
        platform.stop("hub")
        begin = time.monotonic()
        platform.start("hub")
        page = httpx.get(f"{platform.place.proxy_url}/hub/login", timeout=30)
        seconds = time.monotonic() - begin
        server = httpx.get(f"{platform.place.proxy_url}/user/alice/api", timeout=30)
    finally:
        platform.thread.run(platform.service.listen())

    assert page.status_code == 200
    assert server.status_code == 200
    assert seconds < TIMEOUT_SECONDS + 15
    assert platform.container("alice") is not None


def test_a_choice_that_was_refused_is_not_taken_by_the_next_start(platform, person):
    alice = person("alice")
    refused = platform.hub("POST", "users/alice/server", alice.token, json={"user_options": {"profile": "huge"}})
    assert refused.status_code == 422

    platform.hub("POST", "users/alice/server", alice.token)  # no choice: the hub takes the last one that it kept
    alice.start_server("cpu")

    (lease,) = platform.service.live()
    assert lease.profile.name == "cpu"


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"profile": "huge"}, "There is no profile &#39;huge&#39;"),
        ({"profile": "team"}, "not for you"),
        ({"image": "evil"}, "cannot be chosen"),
    ],
)
def test_a_refusal_is_a_sentence_above_the_form(platform, form, words):
    with httpx.Client(base_url=platform.place.proxy_url, timeout=60, follow_redirects=True) as browser:
        browser.get("/hub/login")
        login = {"username": "dora", "password": load_passwords(platform.place.site.data).user}
        browser.post("/hub/login", data=login | {"_xsrf": browser.cookies.get("_xsrf", path="/hub/")})
        page = browser.post("/hub/spawn", data=form | {"_xsrf": browser.cookies.get("_xsrf", path="/hub/")})

    assert words in page.text
    assert "What should your server have?" in page.text
    assert "Traceback" not in page.text


def test_a_refusal_is_counted_by_its_reason(platform, person, chief):
    alice = person("alice")
    platform.hub("POST", "users/alice/server", alice.token, json={"user_options": {"profile": "huge"}})

    counted = httpx.get(
        f"{platform.place.proxy_url}/hub/metrics", headers={"Authorization": f"token {chief.token}"}, timeout=30
    )

    assert 'jupyterhub_server_spawn_duration_seconds_count{reason="options",status="failure"}' in counted.text


def test_a_time_limit_of_a_start_ends_it_and_gives_the_lease_back(make_platform, eventually):
    with make_platform({}, "c.Spawner.start_timeout = 2") as platform:
        platform.thread.call(lambda: platform.service.hold("POST /bind"))
        with Person(platform.place.proxy_url, "erin") as erin:
            erin.log_in(load_passwords(platform.place.site.data).user)
            with pytest.raises(HimaliaError):
                erin.start_server("gpu")

            platform.thread.call(lambda: platform.service.let_go("POST /bind"))
            eventually(lambda: not platform.service.live())
            assert everything_of(platform) == []
