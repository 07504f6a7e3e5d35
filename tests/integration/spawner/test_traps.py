"""What goes wrong with spawners on a real hub: deaths, old containers, interrupted starts, restarts, tokens."""

from __future__ import annotations

import httpx
import pytest
from live_platform import IMAGE

from himalia.errors import HimaliaError
from himalia.site import Profile
from himalia.states import LeaseState
from himalia.units import GiB
from himalia_spawner.passwords import load_passwords

LAB_TOKEN = "JUPYTERHUB_API_TOKEN"
POLLS = 5  #: between two signs of activity of somebody else


@pytest.fixture(scope="module")
def hub_lines() -> str:
    """Let servers report their activity every second, not every five minutes."""
    return 'c.Spawner.environment.update({"JUPYTERHUB_ACTIVITY_INTERVAL": "1"})'


@pytest.fixture
def two_sizes(platform):
    """Let the two profiles differ in everything that a container is held to."""
    before = platform.service.profiles
    platform.service.profiles = (
        Profile(name="cpu", title="No GPU", cpus=0.5, memory=GiB),
        Profile(name="gpu", title="One GPU", gpus="1", cpus=1.5, memory=2 * GiB),
    )
    yield
    platform.service.profiles = before


def environment(container) -> dict[str, str]:
    """Return a container's environment."""
    return dict(line.split("=", 1) for line in container.attrs["Config"]["Env"])


def server_of(platform, person) -> dict:
    """Return what the hub says of somebody's server."""
    user = platform.hub("GET", f"users/{person.name}", person.token).json()
    return user["servers"].get("", {})


def test_a_server_that_is_killed_gives_its_lease_back(platform, person, eventually):
    alice = person("alice")
    alice.start_server("gpu")
    assert platform.service.in_state(LeaseState.HELD)

    platform.container("alice").kill()

    eventually(lambda: not platform.service.live())
    eventually(lambda: not server_of(platform, alice))
    assert not platform.docker.containers.list(all=True, filters={"label": f"himalia={platform.place.installation}"})


def limits(container) -> tuple[float, int, int]:
    """Return what the Engine holds a container to: CPUs, memory, memory with swap."""
    host = container.attrs["HostConfig"]
    return host["NanoCpus"] / 1e9, host["Memory"], host["MemorySwap"]


def test_the_next_start_has_the_devices_and_limits_chosen_then(platform, person, two_sizes):
    alice = person("alice")
    alice.start_server("gpu")
    first = platform.container("alice")
    alice.stop_server()

    alice.start_server("cpu")

    second = platform.container("alice")
    assert second.id != first.id
    assert environment(first)["HIMALIA_GPUS"] == "GPU-0"
    assert environment(second)["HIMALIA_GPUS"] == ""
    assert environment(second)["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert limits(first) == (1.5, 2 * GiB, 2 * GiB)
    assert limits(second) == (0.5, GiB, GiB)
    assert environment(second)["MEM_LIMIT"] == str(GiB)


def test_a_start_that_has_to_wait_is_told_so_stays_in_line_and_leaves_nothing_pending(platform, person, eventually):
    platform.service.gpus = 0
    bob = person("bob")
    try:
        answer = platform.hub("POST", "users/bob/server", bob.token, json={"user_options": {"profile": "gpu"}})
        eventually(lambda: not server_of(platform, bob).get("pending"))

        assert answer.status_code == 202
        assert "1st in line" in answer.text and "Waiting for GPUs that others hold" in answer.text
        (lease,) = platform.service.in_state(LeaseState.WAITING)
        assert platform.container("bob") is None
        platform.thread.call(lambda: platform.service.release(lease.id))
    finally:
        platform.service.gpus = 2

    assert not platform.service.live()


def test_a_choice_that_the_form_does_not_offer_is_refused_for_calls_of_the_api_too(platform, person):
    alice = person("alice")

    answers = [
        platform.hub("POST", "users/alice/server", alice.token, json={"user_options": options})
        for options in ({"image": "evil"}, {"profile": "huge"}, {"profile": "team"})
    ]

    assert [answer.status_code for answer in answers] == [400, 422, 403]
    assert "cannot be chosen" in answers[0].json()["message"]
    assert "There is no profile 'huge'" in answers[1].json()["message"]
    log = platform.log.read_text()
    assert "Not starting alice's server" in log
    assert "Exception applying user_options" not in log


def test_a_service_that_is_down_is_told_in_words_and_the_form_still_opens(platform, person):
    alice = person("alice")
    platform.thread.run(platform.service.hang_up())
    try:
        form = _page(platform, "alice", "hub/spawn")
        refused = platform.hub("POST", "users/alice/server", alice.token, json={"user_options": {"profile": "cpu"}})
    finally:
        platform.thread.run(platform.service.listen())

    assert form.status_code == 200
    assert "job service does not answer" in form.text
    assert "One GPU" in form.text  # from himalia.toml
    assert refused.status_code == 503
    assert "job service does not answer" in refused.json()["message"]


def test_tokens_may_submit_and_nothing_more_and_nothing_is_filtered(platform, person):
    alice = person("alice")
    alice.start_server("cpu")

    server_token = environment(platform.container("alice"))[LAB_TOKEN]
    scopes = set(platform.hub("GET", "user", server_token).json()["scopes"])

    assert {"access:services!service=jobs", "custom:jobs:submit", "custom:jobs:read"} <= scopes
    assert "access:servers!server=alice/" in scopes
    assert not {scope for scope in scopes if scope.startswith(("admin", "custom:jobs:admin", "custom:jobs:lease"))}
    assert len(server_token) <= 64


def test_the_spawners_token_takes_leases_and_reads_no_users(platform):
    answer = platform.hub("GET", "user", platform.place.credentials.spawner_token).json()

    assert (answer["kind"], answer["name"]) == ("service", "spawner")
    assert {"access:services!service=jobs", "custom:jobs:lease"} <= set(answer["scopes"])
    assert "custom:jobs:read" not in answer["scopes"]
    assert platform.hub("GET", "users", platform.place.credentials.spawner_token).status_code == 403


def test_the_job_services_token_reads_users_and_puts_routes_back(platform):
    token = platform.place.credentials.service_token

    assert platform.hub("GET", "users", token).status_code == 200
    assert platform.hub("POST", "proxy", token).status_code == 200
    assert platform.hub("POST", "users/mallory", token).status_code == 403


def test_a_page_that_only_looks_at_jobs_keeps_no_server_active(platform, person, eventually):
    alice, bob = person("alice"), person("bob")
    for one in (alice, bob):
        one.start_server("cpu")

    def bob_works() -> None:
        before = server_of(platform, bob)["last_activity"]
        bob.get("user/bob/api/contents")
        eventually(lambda: server_of(platform, bob)["last_activity"] > before)

    bob_works()  # by then both have reported their starts
    begun = server_of(platform, alice)["last_activity"]

    for _ in range(2):
        for _ in range(POLLS):
            alice.get("services/jobs/api/gpus")
            assert alice.get("user/alice/himalia/api/info").status_code == 200
        bob_works()

    assert server_of(platform, alice)["last_activity"] == begun
    alice.get("user/alice/api/contents")
    eventually(lambda: server_of(platform, alice)["last_activity"] > begun)


@pytest.mark.parametrize("kill", [False, True])
def test_servers_outlive_a_hub_that_stops_or_dies(platform, person, kill):
    alice = person("alice")
    alice.start_server("cpu")
    before = platform.container("alice").id

    platform.stop("hub", kill=kill)
    meanwhile = httpx.get(f"{platform.place.proxy_url}/user/alice/api", timeout=30)
    platform.start("hub")

    assert meanwhile.status_code == 200
    assert platform.container("alice").id == before
    assert server_of(platform, alice)["ready"]
    alice.stop_server()
    assert not platform.service.live()


@pytest.mark.fault(97)
def test_a_proxy_that_was_killed_gets_its_routes_back(platform, person, eventually):
    alice = person("alice")
    alice.start_server("cpu")

    platform.stop("proxy", kill=True)
    platform.start("proxy")

    address = f"{platform.place.proxy_url}/user/alice/api"
    eventually(lambda: httpx.get(address, timeout=30).status_code == 200)


def test_a_hub_that_died_while_it_made_a_container_leaves_no_trace_after_the_next_start(platform, person):
    alice = person("alice")
    alice.start_server("gpu")
    container = platform.container("alice")
    platform.stop("hub", kill=True)
    container.remove(force=True)
    platform.docker.api.create_container(
        image=container.attrs["Image"], name=container.name, labels=container.labels, command=["true"]
    )
    platform.start("hub")

    alice.start_server("gpu")

    assert platform.container("alice").status == "running"
    assert len(platform.service.live()) == 1


def test_a_server_that_cannot_run_is_told_in_words(platform, person):
    alice = person("alice")
    profiles = platform.service.profiles
    platform.service.image = "himalia/no-such-image:dev"
    try:
        with pytest.raises(HimaliaError) as told:
            alice.start_server("cpu")
    finally:
        platform.service.image, platform.service.profiles = IMAGE, profiles

    assert "no-such-image" in told.value.message
    assert not platform.service.live()


def _page(platform, name: str, path: str) -> httpx.Response:
    """Return a page of the hub as a browser gets it."""
    with httpx.Client(base_url=platform.place.proxy_url, timeout=60, follow_redirects=True) as browser:
        browser.get("/hub/login")
        password = load_passwords(platform.place.site.data).user
        form = {"username": name, "password": password, "_xsrf": browser.cookies.get("_xsrf", path="/hub/")}
        return browser.post(f"/hub/login?next=/{path}", data=form)


def _bearer(person) -> dict[str, str]:
    return {"Authorization": f"Bearer {person.token}"}
