"""`himalia login`: an address and a token, kept for their owner alone."""

from __future__ import annotations

import json
import re
import stat

import httpx
import pytest
from job_service import TOKEN

from himalia.client.address import base_url, is_unprotected
from himalia.errors import LocalError
from himalia.settings import find_connection, login_file

BASE = "https://gpu.example.org"


@pytest.fixture
def laptop(service, monkeypatch):
    """A machine of one's own: nothing is set."""
    monkeypatch.delenv("HIMALIA_API_URL")
    monkeypatch.delenv("HIMALIA_TOKEN")
    return service


def test_address_and_token_are_kept_for_their_owner_alone(laptop, himalia, home):
    outcome = himalia("login", BASE, "--token", TOKEN)

    file = home / ".config" / "himalia" / "login.json"
    assert (outcome.code, outcome.err) == (
        0,
        f"Logged in as ada. The token is kept in {file}, readable by you alone.\n",
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert json.loads(file.read_text()) == {"url": f"{BASE}/services/jobs/api", "token": TOKEN}
    assert himalia("profiles").code == 0


def test_a_second_login_replaces_the_first_whatever_its_rights(laptop, himalia, home):
    himalia("login", BASE, "--token", TOKEN)
    login_file().chmod(0o644)

    assert himalia("login", BASE, "--token", TOKEN).code == 0
    assert stat.S_IMODE(login_file().stat().st_mode) == 0o600


def test_a_program_pipes_the_token_in(laptop, himalia):
    assert himalia("login", BASE, stdin=f"{TOKEN}\n").code == 0


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("wrong", "The token is not known here .* Make a token at https://gpu.example.org/hub/token"),
        ("a b", "This is no token"),
        (" ", "This is no token"),
    ],
)
def test_a_token_that_does_not_work_is_not_kept(laptop, himalia, token, said):
    outcome = himalia("login", BASE, "--token", token)

    assert outcome.code == 125 and re.search(said, outcome.err), outcome.err
    assert not login_file().exists()


def test_an_old_client_is_told_at_login(laptop, himalia):
    laptop.me = laptop.me.model_copy(update={"oldest_client": "9.0"})

    assert "pip install -U 'himalia>=9.0'" in himalia("login", BASE, "--token", TOKEN).err


def test_a_hub_without_himalia_is_told(laptop, himalia):
    laptop.breaks("GET", "me", httpx.Response(404, text="<html>Not found</html>"))

    assert "is not Himalia's job service. Check the address" in himalia("login", BASE, "--token", TOKEN).err


def test_plain_http_is_noted(laptop, himalia):
    assert (
        "plain http, so anybody on the way can read the token" in himalia("login", "http://x.org", "--token", TOKEN).err
    )


@pytest.mark.parametrize(
    ("pasted", "base"),
    [
        ("gpu.example.org", BASE),
        (f"{BASE}/", BASE),
        (f"{BASE}/hub/token", BASE),
        (f"{BASE}/hub/home?x=1#y", BASE),
        (f"{BASE}/user/ada/lab/tree/hub", BASE),
        (f"{BASE}/services/jobs/", BASE),
        (f"{BASE}/jupyter/hub/spawn", f"{BASE}/jupyter"),
        (f"{BASE}/hubble", f"{BASE}/hubble"),
        ("http://127.0.0.1:8000/hub", "http://127.0.0.1:8000"),
        ("localhost:8000", "https://localhost:8000"),
    ],
)
def test_any_page_of_the_platform_may_be_pasted(pasted, base):
    assert base_url(pasted) == base


@pytest.mark.parametrize("pasted", ["", "https://", "ftp://x", "://"])
def test_what_is_no_address_is_refused(pasted):
    with pytest.raises(LocalError, match="is no address"):
        base_url(pasted)


@pytest.mark.parametrize(
    ("url", "unprotected"),
    [("http://x.org", True), ("https://x.org", False), ("http://127.0.0.1:8000", False), ("http://localhost", False)],
)
def test_where_a_token_could_be_read_on_the_way(url, unprotected):
    assert is_unprotected(url) is unprotected


@pytest.mark.parametrize("content", ["", "no json", "[]", '{"url": "x"}', "null"])
def test_a_login_that_cannot_be_read_is_told(home, content):
    login_file().parent.mkdir(parents=True)
    login_file().write_text(content)

    with pytest.raises(LocalError, match=r"login\.json cannot be read. Run `himalia login` again"):
        find_connection()


def test_a_directory_in_the_place_of_the_login_is_told(laptop, himalia):
    login_file().mkdir(parents=True)

    assert "cannot be read" in himalia("jobs").err
    outcome = himalia("login", BASE, "--token", TOKEN)
    assert outcome.code == 125 and "cannot be written" in outcome.err


def test_the_servers_environment_wins_over_a_login(service, laptop, himalia, monkeypatch):
    himalia("login", BASE, "--token", TOKEN)
    monkeypatch.setenv("HIMALIA_API_URL", "http://172.17.0.1:8082/services/jobs/api/")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "of-the-server")

    found = find_connection()

    assert (found.url, found.token) == ("http://172.17.0.1:8082/services/jobs/api", "of-the-server")
