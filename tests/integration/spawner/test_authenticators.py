"""Logins: the trial's shared password, administrators, teams, and an authenticator of the operator's choice."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from himalia_spawner.passwords import load_passwords
from himalia_spawner.platform.person import Person


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """Give administrators and a team."""
    return {
        "\n# admins = []\n": '\nadmins = ["chief"]\n',
        '\n# vision = ["alice", "bob"]\n': '\nlab = ["alice", "bob"]\n',
    }


@pytest.fixture(scope="module")
def native(make_platform) -> Iterator:
    """Give a platform whose people sign up by themselves."""
    with make_platform(
        {
            '\n# authenticator = "shared-password"\n': '\nauthenticator = "native"\n',
            "\n# [auth.options.NativeAuthenticator]\n# open_signup = false\n": "\n[auth.options.NativeAuthenticator]\nopen_signup = true\n",
        }
    ) as platform:
        yield platform


def scopes_of(platform, person) -> set[str]:
    """Return what a person's token may do."""
    return set(platform.hub("GET", "user", person.token).json()["scopes"])


def test_administrators_have_a_password_of_their_own_and_manage_all_jobs(platform):
    with Person(platform.place.proxy_url, "chief") as chief:
        chief.log_in(load_passwords(platform.place.site.data).admin)

        assert "custom:jobs:admin" in scopes_of(platform, chief)
        assert platform.hub("GET", "user", chief.token).json()["admin"] is True


def test_the_shared_password_makes_nobody_an_administrator(platform, person):
    assert not {scope for scope in scopes_of(platform, person("alice")) if "admin" in scope}

    with Person(platform.place.proxy_url, "chief") as impostor, pytest.raises(Exception, match="refused"):
        impostor.log_in(load_passwords(platform.place.site.data).user)


def test_teams_are_groups_and_open_their_profiles(platform, person):
    alice = person("alice")

    alice.start_server("team")

    assert platform.hub("GET", "users/alice", alice.token).json()["groups"] == ["lab"]
    assert platform.service.live()[0].request.teams == ("lab",)


def test_an_authenticator_with_sign_up_works_by_its_name(native):
    address = native.place.proxy_url
    with httpx.Client(base_url=address, timeout=60, follow_redirects=True) as browser:
        page = browser.get("/hub/signup")
        assert page.status_code == 200
        form = {
            "username": "newcomer",
            "signup_password": "correct horse battery",
            "signup_password_confirmation": "correct horse battery",
            "_xsrf": browser.cookies.get("_xsrf", path="/hub/"),
        }
        assert browser.post("/hub/signup", data=form).status_code == 200

    with Person(address, "newcomer") as newcomer:
        newcomer.log_in("correct horse battery")

        assert "custom:jobs:submit" in scopes_of(native, newcomer)
