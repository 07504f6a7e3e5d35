"""A platform below a path of its host: hub, servers, pages and API are found there, and every link leads there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from live_platform import LivePlatform, eventually, run

import himalia

BASE = "/gpu/lab"
SETTINGS = """
[auth]

[limits]
stop_grace = "2s"
disk_reserve = "64M"

[gpus]
simulate = 1

[[profiles]]
name = "plain"
cpus = 0.25
memory = "512M"

[[profiles]]
name = "gpu"
cpus = 0.25
memory = "512M"
gpus = "1"
"""


@pytest.fixture
def below(tmp_path) -> Iterator[LivePlatform]:
    """A platform below `/gpu/lab/`."""
    platform = LivePlatform(tmp_path, SETTINGS, base_url=BASE)
    try:
        platform.start()
        yield platform
    finally:
        platform.end()


@pytest.fixture
def browser(below: LivePlatform) -> Iterator[httpx.Client]:
    """A browser in which ada is logged in."""
    with httpx.Client(base_url=f"{below.url}/", timeout=60, follow_redirects=True) as browser:
        opened = browser.get("hub/login")
        xsrf = browser.cookies.get("_xsrf", path="/gpu/lab/hub/")
        entered = browser.post(opened.url, data={"username": "ada", "password": below.password, "_xsrf": xsrf})
        assert entered.status_code == 200
        yield browser


def test_hub_servers_pages_and_api_are_found_below_the_path(below: LivePlatform, browser: httpx.Client):
    ada = below.person("ada")
    with himalia.Client(f"{below.url}/services/jobs/api", ada.token) as client:
        holder = run(client, ["sleep", "600"], profile="gpu", wait=False)
        eventually(lambda: holder.refresh().state == "running")
        asked = ada.post("hub/api/users/ada/server", {"user_options": {"profile": "gpu"}})
        waiting = asked.headers["Location"]
        pages = ("services/jobs/", "hub/spawn", f"{below.url.removesuffix(BASE)}{waiting}")
        gpus, form, page = (browser.get(path) for path in pages)
        xsrf = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
        assert xsrf
        left = browser.post(f"{page.url}/leave", data={"_xsrf": xsrf[1]})
        holder.cancel()
    ada.start_server("plain")
    lab = browser.get("user/ada/lab")
    told = ada.get("user/ada/himalia/api/info").json()
    ada.stop_server()

    assert re.fullmatch(r"/gpu/lab/services/jobs/waiting/\w{12}", waiting)
    assert [answer.status_code for answer in (gpus, form, page, left, lab)] == [200] * 5
    assert (str(left.url), "The wait was cancelled." in left.text) == (str(page.url), True)
    assert f'href="{waiting}"' in form.text
    assert str(lab.url) == f"{below.url}/user/ada/lab"
    assert told["service_url"] == "/gpu/lab/services/jobs/api/"  # where Lab's links lead to, too
    own = {link for answer in (gpus, page, left) for link in re.findall(r'(?:href|src|action)="(/[^"]*)"', answer.text)}
    assert {"/gpu/lab/hub/home", "/gpu/lab/hub/spawn/ada", "/gpu/lab/services/jobs/usage"} <= own
    assert {link for link in own if not link.startswith("/gpu/lab/")} == set()
