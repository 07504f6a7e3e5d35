"""The service is asked in the name of who clicks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from himalia.errors import Unauthenticated
from himalia_server_extension.tokens import token_of


class HubAuthThatKnowsTheCookie:
    def get_token(self, handler):
        return handler.cookie


def request(*, hub: bool, cookie: str | None = None, header: str = ""):
    identity = SimpleNamespace(hub_auth=HubAuthThatKnowsTheCookie()) if hub else SimpleNamespace()
    return SimpleNamespace(
        identity_provider=identity, cookie=cookie, request=SimpleNamespace(headers={"Authorization": header})
    )


def test_under_a_hub_the_visitors_cookie_decides_not_the_servers_own_token():
    assert token_of(request(hub=True, cookie="bobs"), "adas") == "bobs"


def test_under_a_hub_the_servers_own_token_is_never_used():
    with pytest.raises(Unauthenticated, match="Reload the page"):
        token_of(request(hub=True), "adas")


@pytest.mark.parametrize("header", ["token bobs", "Bearer bobs", "bearer   bobs"])
def test_a_header_is_as_good_as_a_cookie(header):
    assert token_of(request(hub=True, header=header), "adas") == "bobs"


def test_without_a_hub_the_servers_token_is_the_persons():
    assert token_of(request(hub=False, header="token jupyters"), "adas") == "adas"
