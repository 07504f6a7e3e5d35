"""What strangers, pages of other origins and odd clients send: refused, in few bytes, and in no log."""

from __future__ import annotations

import json
import logging

import httpx
import pytest
from doors import GUARDED
from service_at_work import AtWork, at_work

from himalia.states import JobState
from himalia_jobs.app import OneLine

pytestmark = pytest.mark.asyncio

SECRET = "seeded-0123456789abcdef-token"
ODD = (
    "<img src=x onerror=alert(1)>",
    "$(reboot); `reboot` && reboot | reboot > /dev/sda",
    "{{ 7 * 7 }} {% raw %} ${7*7} %s %n %(x)s",
    "😀 \u202egnp.exe \u2028id: 99\u2028data: {}\u2028 \x85event: end",
    "' OR 1=1; DROP TABLE jobs; --",
)


@pytest.mark.fault(84)
@pytest.mark.parametrize("path", ["events", "jobs", "jobs/{id}/logs?follow=1", "jobs/{id}/artifacts.zip"])
async def test_a_page_of_another_origin_reads_nothing_and_no_stream_with_a_cookie(work: AtWork, path):
    job = await work.submit()
    await work.attempt(job["id"], JobState.SUCCEEDED, log=b"secret")

    for mode in ("cors", "no-cors", "same-origin", "navigate", "websocket", ""):
        headers = {"Cookie": work.cookie("ada"), "Origin": "https://evil.example"}
        headers |= {"Sec-Fetch-Mode": mode, "Sec-Fetch-Site": "cross-site"} if mode else {}
        answer = await work.ask("GET", path.format(id=job["id"]), None, headers=headers)
        assert answer.status_code == 403, mode
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.fault(84)
async def test_a_stream_without_a_token_is_never_opened(work: AtWork):
    job = await work.submit()

    for path in ("events", f"jobs/{job['id']}/logs?follow=1"):
        answer = await work.ask("GET", path, None)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthenticated")


@pytest.mark.fault(85)
@pytest.mark.parametrize("mode", ["no-cors", "cors", "navigate", "websocket"])
async def test_a_form_of_another_page_submits_nothing(work: AtWork, mode):
    body = json.dumps({"project": "x", "command": "true"}).encode()

    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json", ""):
        headers = {"Cookie": work.cookie("ada"), "Content-Type": kind, "Sec-Fetch-Mode": mode, "Origin": "null"}
        headers["Sec-Fetch-Site"] = "cross-site"
        answer = await work.ask("POST", "jobs", None, headers=headers, content=body)
        assert answer.status_code in (400, 403), kind
    assert (await work.ask("GET", "jobs")).json()["jobs"] == []


@pytest.mark.fault(86)
@pytest.mark.parametrize("odd", ODD)
async def test_odd_names_arguments_and_values_come_back_as_they_were_and_are_one_line_in_the_log(
    work: AtWork, odd, caplog
):
    caplog.set_level(logging.DEBUG)

    job = await work.submit(name=odd, command=["echo", odd, "two\nlines"], env={"ODD": odd + "\n"})
    shown = (await work.ask("GET", f"jobs/{job['id']}")).json()
    page = (await work.open()).text

    assert (shown["name"], shown["command"], shown["env"]) == (odd, ["echo", odd, "two\nlines"], {"ODD": odd + "\n"})
    assert "<img" not in page
    assert all(len(record.getMessage().splitlines()) <= 1 for record in caplog.records)


@pytest.mark.fault(86)
async def test_whatever_is_in_a_record_it_is_one_line_of_the_services_log():
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s said", ("two\nlines\r\x1b[2J\u2028%s",), None)

    line = OneLine("%(levelname)s %(message)s").format(record)

    assert line == r"INFO two\nlines\r\x1b[2J\u2028%s said"


@pytest.mark.fault(86)
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": "x" * 1_000_000}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "\x1b]0;title\x07"}, "name"),
        ({"command": ["x" * 1_000_000]}, "command"),
        ({"command": ["a\0b"]}, "command"),
        ({"env": {"A": "x" * 1_000_000}}, "command"),
        ({"env": {"A=B": "x"}}, "env"),
        ({"env": {"A\nB": "x"}}, "env"),
    ],
)
async def test_names_and_arguments_beyond_measure_are_refused(work: AtWork, fields, named):
    answer = await work.ask("POST", "jobs", json={"project": "work", "command": "true"} | fields)

    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, [named])
    assert len(answer.content) < 2_000


@pytest.mark.fault(87)
async def test_a_variable_that_steers_loader_driver_or_platform_is_refused_by_name(work: AtWork):
    for name in (
        *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"),
        *("CUDA_VISIBLE_DEVICES", "CUDA_VERSION", "DOCKER_RESOURCE_GPU", "JUPYTERHUB_API_TOKEN", "HIMALIA_USER"),
        *("PATH", "HOME", "USER", "LOGNAME"),
    ):
        answer = await work.ask("POST", "jobs", json={"project": "work", "command": "true", "env": {name: "x"}})
        assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, ["env"]), name
        assert name in answer.json()["error"]["message"]


@pytest.mark.fault(88)
async def test_a_working_directory_lies_in_the_workspace(work: AtWork):
    for workdir in (
        *("/proc/self/fd/8", "/", "//proc", "..", "../..", "a/../../b", "a/..", "./..", "a\0b", "x/" * 3000),
    ):
        answer = await work.ask("POST", "jobs", json={"project": "work", "command": "true", "workdir": workdir})
        assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, ["workdir"]), workdir


@pytest.mark.fault(89)
async def test_an_image_that_is_not_on_the_list_is_refused(work: AtWork):
    for image in (
        *("evil", "evil/image:latest", "himalia/server@sha256:" + "0" * 64, "sha256:1", "himalia/server"),
        *("himalia/server:dev --privileged", "--privileged", "-v/:/host", "../server:dev", "himalia/server:dev\n"),
    ):
        answer = await work.ask("POST", "jobs", json={"project": "work", "command": "true", "image": image})
        assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, ["image"]), image
        assert "not offered here" in answer.json()["error"]["message"]


@pytest.mark.fault(89)
async def test_nobody_smuggles_an_option_of_a_container_into_a_job(work: AtWork):
    for name in (
        *("privileged", "mounts", "volumes", "binds", "devices", "cap_add", "user", "network", "runtime"),
        *("entrypoint", "hostname", "labels", "image_id", "host_config", "teams", "user_id", "state"),
    ):
        answer = await work.ask("POST", "jobs", json={"project": "work", "command": "true", name: "/:/host"})
        assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, [name])


@pytest.mark.fault(91)
async def test_a_token_is_in_no_line_of_the_log_whatever_becomes_of_the_request(work: AtWork, monkeypatch, caplog):
    async def broken(*_: object) -> None:
        raise KeyError("a bug")

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(work.service.ledger, "gpus", broken)
    work.hub.knows("ada", token=SECRET)
    work.hub.tokens[SECRET]["token_id"] = "a1"
    known = {"Authorization": f"Bearer {SECRET}"}
    statuses = set()

    for headers, query in ((known, {}), ({}, {"token": SECRET}), ({"Authorization": f"token {SECRET}x"}, {})):
        for method, path in (*GUARDED[:12], ("GET", "nothing"), ("GET", "gpus"), ("GET", "jobs/%ff"), ("POST", "jobs")):
            answer = await work.ask(method, path, None, headers=dict(headers), params=query)
            statuses.add(answer.status_code)
            assert SECRET not in answer.text
        await work.open("oauth_callback", who=None, params={"code": SECRET, "state": "x"})
        await work.open("", who=None, params=query)

    assert {200, 400, 401, 404, 500} <= statuses
    assert "a bug" in caplog.text
    assert not [found for found in caplog.records if SECRET in caplog.handler.format(found) and is_ours(found)]


def is_ours(record: logging.LogRecord) -> bool:
    """Tell whether the service wrote a line of the log, and not the test's own client."""
    return not record.name.startswith(("httpx", "httpcore"))


@pytest.mark.fault(92)
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("jobs?limit=1000000000&offset=1000000", 200),
        ("jobs?limit=-1", 200),
        ("jobs?cursor=1e3", 422),
        ("jobs?cursor=' OR 1=1", 422),
        ("jobs?limit=" + "9" * 5000, 422),
        ("interventions?limit=1000000000", 403),
        ("jobs/{id}/logs?tail=1000000000000", 200),
        ("jobs/{id}/artifacts?limit=1000000000", 200),
    ],
)
async def test_a_limit_beyond_measure_is_the_largest_page_and_nonsense_is_told(work: AtWork, path, status):
    job = await work.submit()
    await work.attempt(job["id"], JobState.SUCCEEDED, log=b"x\n")

    answer = await work.ask("GET", path.format(id=job["id"]))

    assert answer.status_code == status
    assert len(answer.content) < 10_000


@pytest.mark.fault(94)
async def test_a_body_that_is_larger_than_any_request_of_its_kind_is_not_read(work: AtWork):
    body = b" " * 3_000_000
    for path, status in (("jobs", 413), ("fetches", 413), ("projects", 400), ("jobs/abc/extend", 400)):
        try:
            assert (await work.ask("POST", path, content=body)).status_code == status
        except httpx.TransportError:
            pass  # the connection is cut while it is sent

    manifest = await work.ask("POST", "snapshots", content=body + b"{}")

    assert manifest.status_code == 422


@pytest.mark.fault(94)
@pytest.mark.parametrize(
    "value",
    [b"[" + b"[]," * 600_000 + b"[]]", b"[" + b"{}," * 600_000 + b"{}]", b"{" + b'"a":0,' * 300_000 + b'"b":0}'],
    ids=["lists", "objects", "keys"],
)
async def test_a_body_of_very_many_values_is_refused_before_it_is_read(work: AtWork, value):
    answer = await work.ask("POST", "jobs", content=b'{"project": "work", "command": ' + value + b"}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unparsable")
    assert "no request here has so many" in answer.json()["error"]["message"]


@pytest.mark.fault(94)
async def test_a_list_of_files_that_is_mostly_brackets_is_refused(tmp_path):
    async with at_work(tmp_path, limits={"entries": 1000}) as work:
        body = b'{"owner": "user:ada", "manifest": {"entries": [' + b"[]," * 20_000 + b"[]]}}"
        answer = await work.ask("POST", "snapshots", content=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


async def test_a_long_text_may_have_whatever_is_in_it(work: AtWork):
    text = json.dumps({f"{number}": [number] for number in range(15_000)})

    assert (await work.submit(command=["tell", text]))["state"] == "queued"


@pytest.mark.fault(94)
@pytest.mark.parametrize(
    "body",
    [
        b'{"project": "work", "command": "true", "project": "other"}',
        b'{"project": "work", "command": "true", "env": {"A": "1", "A": "2"}}',
        b'{"project": "work", "command": "true", "cpus": Infinity}',
        b'{"project": "work", "command": "true", "cpus": -Infinity}',
        b'{"project": ' * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"project": "work", "command": "true"} {}',
        b'\xff\xfe{"project": "work"}',
        b"null",
    ],
    ids=["twice", "twice inside", "infinite", "minus", "deep", "deep and closed", "lists", "two", "no UTF-8", "null"],
)
async def test_a_body_that_means_two_things_or_nothing_is_refused(work: AtWork, body):
    answer = await work.ask("POST", "jobs", content=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unparsable")
    assert (await work.ask("GET", "jobs")).json()["jobs"] == []


@pytest.mark.fault(86)
@pytest.mark.parametrize(
    "fields",
    [{"owner": "é" * 300_000}, {"owner": "user:ada", "digest": "é" * 300_000}, {"owner": "user:ada", "é" * 300_000: 1}],
)
async def test_what_is_long_and_is_no_list_of_files_is_refused_in_few_words(work, fields):
    answer = await work.ask("POST", "snapshots", json=fields)

    assert answer.status_code == 422
    assert len(answer.content) < 2_000
