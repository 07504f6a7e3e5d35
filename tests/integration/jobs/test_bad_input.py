"""Bad input gets a clear answer, and nothing is lost."""

from __future__ import annotations

import json
import os
import socket
import threading

import httpx
import pytest
from live_platform import eventually, free_ports, output, run, state

import himalia
from himalia.errors import FieldError, HimaliaError, LocalError, NotFound, TooLarge
from himalia.models import Entry, EntryType, JobRequest, Manifest
from himalia.reasons import Reason
from himalia.snapshot import pack, scan
from himalia.states import JobState


@pytest.fixture
def ada(client):
    return client("ada")


@pytest.mark.parametrize(
    ("field", "options", "said"),
    [
        ("profile", {"profile": "nope"}, "There are: cpu, gpu, idle, tiny"),
        ("image", {"image": "evil/image"}, "not offered here"),
        ("cpus", {"cpus": 1000}, "more than this platform has"),
        ("cpus", {"cpus": -1}, "no number of CPUs"),
        ("memory", {"memory": "900T"}, "more than this platform gives out"),
        ("memory", {"memory": "lots"}, "no size"),
        ("gpus", {"gpus": "-1"}, "-1"),
        ("gpus", {"gpus": "1.5"}, "1.5"),
        ("gpus", {"gpus": "all"}, "all"),
        ("gpus", {"gpus": "5"}, "4"),
        ("gpus", {"gpus": "H300"}, "Simulated"),
        ("timeout", {"timeout": "400d"}, "out of range"),
        ("timeout", {"timeout": "25h"}, "allows 24 h at most"),
        ("retries", {"retries": 1000}, "out of range"),
        ("workdir", {"workdir": "../.."}, "not inside"),
        ("workdir", {"workdir": "/proc/self/fd/8"}, "not inside"),
        ("env", {"env": {"LD_PRELOAD": "x"}}, "The platform sets these itself"),
        ("env", {"env": {"NVIDIA_VISIBLE_DEVICES": "all"}}, "The platform sets these itself"),
        ("env", {"env": {"a b": "x"}}, "no name of an environment variable"),
        ("project", {"project": "../x"}, "Use letters"),
        ("name", {"name": "two\nlines"}, "without line breaks"),
        ("owner", {"owner": "team:strangers"}, "You are not team:strangers"),
        ("owner", {"owner": "user:bob"}, "You are not user:bob"),
        ("owner", {"owner": "nobody"}, "is no owner"),
    ],
)
def test_a_field_that_cannot_be_is_named_with_what_exists(ada, field, options, said):
    with pytest.raises(FieldError) as refused:
        run(ada, "true", **options)

    assert refused.value.field == field
    assert said in refused.value.message


@pytest.mark.parametrize("gpus", ["0", "none", 0])
def test_no_gpus_can_be_asked_for_in_so_many_words(ada, gpus):
    assert run(ada, "true", gpus=gpus).view.gpus == "0"


def test_a_profile_of_another_team_is_as_if_it_were_not_there(client):
    with pytest.raises(FieldError, match="There is no profile 'for-nlp'"):
        run(client("eve"), "true", profile="for-nlp")


@pytest.mark.parametrize("command", ["", "   ", [], [""], ["a\0b"]])
def test_an_empty_command_is_refused(ada, command):
    with pytest.raises(FieldError, match="command"):
        run(ada, command)


@pytest.mark.fault(94)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"project": "x", "command": "true", "cpus": NaN}', 400),
        (b'{"project": "x", "command": "true", "profle": "small"}', 422),
        (b'{"command": "true"}', 422),
        (b"[" * 100_000, 400),
    ],
)
def test_a_body_that_cannot_be_read_is_told(live, body, status):
    token = live.person("ada").token

    answer = live.ask("POST", "jobs", token, content=body)

    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert answer.json()["error"]["message"]


def entry(path: str, **changes: object) -> Entry:
    return Entry.model_validate({"path": path, "type": EntryType.DIR, "mode": 0o755} | changes)


FILE = {"type": "file", "mode": 0o644, "size_bytes": 1, "chunks": ("ab" * 32,)}


@pytest.mark.fault(70)
@pytest.mark.parametrize(
    "entries",
    [
        [entry("../up", **FILE)],
        [entry("/etc/passwd", **FILE)],
        [entry("a//b", **FILE)],
        [entry(".", **FILE)],
        [entry("", **FILE)],
        [entry("a\0b", **FILE)],
        [entry("/".join("d" * 1000), **FILE)],
        [entry("x" * 300, **FILE)],
        [entry("same", **FILE), entry("same", **FILE)],
        [entry("a", **FILE), entry("a/b", **FILE)],
        [entry("a", **(FILE | {"mode": 0o4755}))],
        [entry("a", **(FILE | {"chunks": ("zz",)}))],
        [entry("a", **(FILE | {"size_bytes": -1}))],
        [entry("a", **(FILE | {"size_bytes": 10**15}))],
        [entry("a", type="symlink", target="")],
        [],
    ],
)
def test_a_manifest_that_cannot_be_is_refused(ada, entries):
    with pytest.raises((FieldError, TooLarge)):
        ada.open_snapshot("user:ada", Manifest(entries=tuple(entries)))


@pytest.mark.fault(68)
def test_a_content_under_a_wrong_digest_is_refused_and_not_kept(ada, tmp_path):
    (tmp_path / "a").write_text("right")
    packed = pack(scan(tmp_path))
    snapshot = ada.open_snapshot("user:ada", packed.manifest)
    bad = b"".join(packed.stream(snapshot.missing)).replace(b"right", b"wrong")

    with pytest.raises(HimaliaError, match="digest"):
        ada.put_contents(snapshot.id, iter([bad]))

    assert ada.open_snapshot("user:ada", packed.manifest).missing == snapshot.missing
    with pytest.raises(HimaliaError, match="still missing"):
        ada.commit_snapshot(snapshot.id)


@pytest.mark.fault(66)
def test_an_upload_that_is_cut_is_taken_up_where_it_broke(ada, live, tmp_path):
    for number in range(3):
        (tmp_path / f"f{number}").write_bytes(os.urandom(200_000))
    packed = pack(scan(tmp_path))
    snapshot = ada.open_snapshot("user:ada", packed.manifest)
    stream = b"".join(packed.stream(snapshot.missing))
    url = httpx.URL(f"{live.service_url}/snapshots/{snapshot.id}/contents")
    with socket.create_connection((url.host, url.port or 80)) as cut:
        head = f"PUT {url.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {live.person('ada').token}\r\nContent-Length: {len(stream)}\r\n\r\n"
        cut.sendall(head.encode() + stream[:300_000])

    left = eventually(lambda: len(ada.open_snapshot("user:ada", packed.manifest).missing) == 2 and True)

    assert left
    again = ada.open_snapshot("user:ada", packed.manifest)
    ada.put_contents(again.id, packed.stream(again.missing))
    assert ada.commit_snapshot(again.id).committed


def test_a_snapshot_that_is_not_complete_cannot_run(ada, tmp_path):
    (tmp_path / "a").write_text("never sent 4711")
    snapshot = ada.open_snapshot("user:ada", pack(scan(tmp_path)).manifest)

    with pytest.raises(HimaliaError, match="not complete"):
        ada.submit(JobRequest(project="x", command="true", snapshot=snapshot.id))


@pytest.mark.fault(69)
def test_nobody_learns_of_or_runs_what_another_has_sent(client, tmp_path):
    (tmp_path / "secret").write_text("ada's secret 0815")
    packed = pack(scan(tmp_path))
    ada, eve = client("ada"), client("eve")
    mine = run(ada, "cat secret", tmp_path)

    theirs = eve.open_snapshot("user:eve", packed.manifest)

    assert len(theirs.missing) == 1
    with pytest.raises(NotFound):
        eve.submit(JobRequest(project="x", command="cat secret", snapshot=mine.view.snapshot))
    with pytest.raises(FieldError):
        eve.open_snapshot("user:ada", packed.manifest)


@pytest.mark.fault(82)
@pytest.mark.parametrize(
    ("name", "status"), [("", 401), ("not-a-token", 401), ("x" * 64, 401)], ids=["none", "foreign", "long"]
)
def test_who_is_not_known_gets_nothing(live, name, status):
    answer = live.ask("GET", "jobs", name or None)

    assert answer.status_code == status
    assert answer.json()["error"]["code"] == "unauthenticated"


@pytest.mark.fault(82)
def test_a_token_that_has_expired_is_not_known_any_more(live):
    person = live.person("ada")
    scopes = ["access:services!service=jobs", "custom:jobs:read"]
    token = person.post("hub/api/users/ada/tokens", {"scopes": scopes, "expires_in": 1}).json()["token"]
    hub = {"Authorization": f"Bearer {token}"}
    eventually(lambda: httpx.get(f"{live.url}/hub/api/user", headers=hub).status_code == 403)

    answer = live.ask("GET", "jobs", token)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthenticated")


@pytest.mark.fault(82)
def test_what_is_anothers_and_what_is_not_there_are_answered_the_same(client, live):
    job = run(client("ada"), "echo secret; echo x > /artifacts/x")
    token, nothing = live.person("eve").token, "a" * 12
    parts = ("", "/logs", "/artifacts", "/artifacts/x", "/artifacts.zip", "/files/x", "/metrics")

    for part in parts:
        strange, absent = (
            live.ask("GET", f"jobs/{job.id}{part}", token),
            live.ask("GET", f"jobs/{nothing}{part}", token),
        )
        assert strange.status_code == absent.status_code == 404, part
        assert strange.text.replace(job.id, nothing) == absent.text


@pytest.mark.fault(82)
def test_a_token_without_the_scope_is_told_which_one_it_lacks(live):
    person = live.person("ada")
    made = person.post("hub/api/users/ada/tokens", {"scopes": ["access:services!service=jobs"], "expires_in": 60})

    answer = live.ask("GET", "jobs", made.json()["token"])

    assert answer.status_code == 403
    assert "custom:jobs:read" in answer.json()["error"]["message"]


def test_the_leases_are_the_spawners_alone(live):
    answer = live.ask(
        "POST", "leases", live.person("ada").token, json={"user": "ada", "spawn_id": "x", "profile": "cpu"}
    )

    assert answer.status_code == 403


@pytest.mark.fault(85)
def test_a_page_of_another_origin_cannot_submit_with_a_cookie(live):
    with httpx.Client(base_url=live.url, follow_redirects=True) as browser:
        browser.get("/hub/login")
        browser.post(
            "/hub/login", data={"username": "mallory", "password": live.password, "_xsrf": browser.cookies.get("_xsrf")}
        )
        browser.get("/services/jobs/")
        answer = browser.post(
            "/services/jobs/api/jobs",
            content=json.dumps({"project": "x", "command": "true"}),
            headers={"Content-Type": "text/plain", "Origin": "https://evil.example"},
        )

    assert answer.status_code in (401, 403)


def test_two_submits_at_once_with_one_key_are_one_job(ada, client):
    other = client("ada")
    found: list[str] = []

    def submit(which: himalia.Client) -> None:
        found.append(which.submit(JobRequest(project="x", command="true", idempotency_key="at-once")).id)

    threads = [threading.Thread(target=submit, args=(which,)) for which in (ada, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(found)) == 1


def test_an_empty_directory_is_refused_before_anything_is_sent(ada, tmp_path):
    with pytest.raises(LocalError, match="is empty"):
        himalia.submit(tmp_path, command="true", client=ada)


@pytest.mark.fault(92)
def test_a_cursor_or_limit_that_cannot_be_is_told_or_clamped(live):
    token = live.person("ada").token

    assert live.ask("GET", "jobs?cursor=abc", token).status_code == 422
    assert live.ask("GET", "jobs?state=sleeping", token).status_code == 422
    assert live.ask("GET", "jobs?limit=1000000000", token).status_code == 200


def test_a_port_that_is_taken_is_named_with_its_setting(live, tmp_path):
    from himalia_spawner.platform.engine import belongings, remove_belongings
    from himalia_spawner.platform.place import Place, write_config
    from himalia_spawner.platform.starting import bring_up

    port, hub_port, proxy_api_port = free_ports(3)
    taken = live.place.site.platform.service_port
    ports = f"hub_port = {hub_port}\nservice_port = {taken}\nproxy_api_port = {proxy_api_port}\n"
    lines = {
        "\n# port = 8000\n": f"\nport = {port}\n",
        "# hub_port = 8081\n# service_port = 8082\n# proxy_api_port = 8001\n": ports,
    }
    write_config(tmp_path / "himalia.toml", lines)
    place = Place.load(tmp_path / "himalia.toml")

    try:
        with pytest.raises(LocalError, match="service_port"):
            bring_up(place, lambda _: None)
    finally:
        remove_belongings(place.installation, belongings(place.installation))


def test_other_jobs_still_run_after_all_of_this(client):
    job = run(client("bob"), "echo fine")

    assert (job.state, job.view.reason, output(job)) == (JobState.SUCCEEDED, Reason.EXITED, b"fine\n")
    assert state(job).sentence == ""
