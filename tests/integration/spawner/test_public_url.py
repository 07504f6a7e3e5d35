"""A platform behind a proxy of the operator's, at another address and with TLS: all links lead there."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from himalia_spawner.passwords import load_passwords
from himalia_spawner.platform.person import Person
from himalia_spawner.platform.report import report

BLOCK = 65536


class Front:
    """Ends TLS on a port of its own and passes the bytes on, as the simplest proxy does: it adds no header."""

    def __init__(self, folder: Path, port: int) -> None:
        certificate, key = folder / "cert.pem", folder / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        self.url = f"https://localhost:{port}/"
        self.behind = 0  #: the port that it passes on to
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificate, key)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        listening = asyncio.start_server(self._carry, "127.0.0.1", port, ssl=self._tls)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(30)

    def end(self) -> None:
        """End it."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", self.behind)
        with contextlib.closing(ours), contextlib.closing(writer), contextlib.suppress(OSError):
            await asyncio.gather(_pass_on(reader, ours), _pass_on(theirs, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while block := await reader.read(BLOCK):
        writer.write(block)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    else:
        writer.close()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, free_ports) -> Iterator[Front]:
    """Give the proxy in front."""
    made = Front(tmp_path_factory.mktemp("front"), free_ports(1)[0])
    yield made
    made.end()


@pytest.fixture(scope="module")
def settings(front: Front) -> dict[str, str]:
    """Give the setting."""
    return {'\n# public_url = ""\n': f'\npublic_url = "{front.url}"\n'}


@pytest.fixture
def browser(platform, front: Front) -> Iterator[httpx.Client]:
    """Give a browser of somebody who opens the public address."""
    front.behind = platform.place.site.platform.port
    with httpx.Client(base_url=front.url, verify=False, timeout=60, follow_redirects=True) as browser:
        yield browser


def test_links_redirects_and_what_servers_know_are_of_the_public_address(platform, front, browser):
    opened = browser.get("/")
    form = {
        "username": "alice",
        "password": load_passwords(platform.place.site.data).user,
        "_xsrf": browser.cookies.get("_xsrf", path="/hub/"),
    }
    entered = browser.post(opened.url, data=form)
    pages = [opened, entered, browser.get("/hub/home"), browser.get("/hub/token")]
    with Person(front.url.rstrip("/"), "alice") as alice:
        alice.log_in(form["password"])
        alice.start_server("cpu")
        lab = browser.get("/user/alice/lab")
        known = alice.get("hub/api/user").json()["servers"][""]
        container = platform.container("alice")
        environment = dict(line.split("=", 1) for line in container.attrs["Config"]["Env"])
        alice.stop_server()

    assert [page.status_code for page in (*pages, lab)] == [200] * 5
    assert str(lab.url) == f"{front.url}user/alice/lab"  # there and back by OAuth
    assert elsewhere(front, *pages, lab) == []
    assert known["full_url"] == f"{front.url}user/alice/"
    assert known["full_progress_url"].startswith(front.url)
    assert environment["HIMALIA_URL"] == front.url
    assert environment["JUPYTERHUB_PUBLIC_URL"] == f"{front.url}user/alice/"
    assert environment["JUPYTERHUB_PUBLIC_HUB_URL"] == f"{front.url}hub/"
    assert f"Address: {front.url} " in report(platform.place)[0][-1]


def elsewhere(front: Front, *pages: httpx.Response) -> list[str]:
    """Return the addresses on this machine that pages came from or lead to, other than the public one."""
    hops = [str(hop.url) for page in pages for hop in (*page.history, page)]
    links = [
        link
        for page in pages
        for link in re.findall(r"""https?://(?:localhost|127\.0\.0\.1|172\.)[^"'\s<]*""", page.text)
    ]
    return [address for address in (*hops, *links) if not f"{address}/".startswith(front.url)]
