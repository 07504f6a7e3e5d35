"""Checks of one installation: ports, processes, networks, rules; each well, and each with what to do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from looked_at import ProbeWithABridge, installation_in, told

from himalia_jobs.doctor import network, processes
from himalia_jobs.doctor.here import Here
from himalia_jobs.doctor.listeners import listeners
from himalia_jobs.engines.errors import EngineError
from himalia_jobs.engines.rules import Policy
from himalia_jobs.engines.tables import FirewallError

Make = Callable[..., Here]


class ProbeWithoutAnEngine:
    """Gets no answer."""

    def gateway(self, installation: str, kind: str = "server") -> str:
        """Fail."""
        raise EngineError("no Docker Engine answers")


class FirewallThatIs:
    """A packet filter in some state."""

    def __init__(self, *differences: str, error: str = "") -> None:
        self.policy = Policy(installation="abcdefghijkl", gateway="127.0.0.1", ports=())
        self._differences = list(differences)
        self._error = error

    def differences(self) -> list[str]:
        """Return what is not in force."""
        if self._error:
            raise FirewallError(self._error)
        return self._differences

    def shown(self) -> list[str]:
        """Return the rules."""
        return ["iptables -A INPUT -j himalia-abcdefghijkl-in"]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make an installation with these settings, that was started before unless it is new."""
    return partial(installation_in, tmp_path)


@contextmanager
def answering(pages: dict[str, tuple[int, Any]]) -> Iterator[int]:
    """Answer on a port of 127.0.0.1, and yield it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = pages.get(self.path, (404, ""))
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_free_ports_are_well(make):
    ports = {name: free_port() for name in ("port", "proxy_api_port", "service_port", "hub_port")}

    ok, words = told(processes.ports(make(platform=ports)))

    assert ok is True
    assert f"{ports['port']} free" in words


@pytest.mark.parametrize("setting", ["port", "proxy_api_port", "service_port", "hub_port"])
def test_a_port_that_is_taken_is_named_with_its_setting_and_who_has_it(make, setting):
    ports = {name: free_port() for name in ("port", "proxy_api_port", "service_port", "hub_port")}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ok, words = told(processes.ports(make(platform=ports | {setting: taken.getsockname()[1]})))

    assert ok is False
    assert f"[platform] {setting}" in words
    assert f"process {os.getpid()}" in words


def test_a_port_of_ours_is_well(make):
    code = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); time.sleep(600)"
    here = make()
    environment = os.environ | {"HIMALIA_CONFIG": str(here.config)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as ours:
        try:
            assert ours.stdout is not None
            port = int(ours.stdout.readline())
            others = {name: free_port() for name in ("port", "proxy_api_port", "hub_port")}
            found = processes.ports(make(platform=others | {"service_port": port}))
        finally:
            ours.kill()

    assert f"{port} ours" in found.message


def test_a_listener_on_all_addresses_is_in_the_way_of_each():
    with socket.create_server(("0.0.0.0", 0)) as everywhere:
        (found,) = listeners({everywhere.getsockname()[1]})

    assert found.address == "0.0.0.0"
    assert found.blocks("10.0.0.1")


def test_a_listener_on_one_address_is_in_the_way_of_that_one_and_of_all():
    with socket.create_server(("127.0.0.1", 0)) as one:
        (found,) = listeners({one.getsockname()[1]})

    assert found.address == "127.0.0.1"
    assert (found.blocks("127.0.0.1"), found.blocks("0.0.0.0"), found.blocks("10.0.0.1")) == (True, True, False)


def test_a_listener_on_ipv6_is_found():
    with socket.socket(socket.AF_INET6) as listener:
        listener.bind(("::1", 0))
        listener.listen()
        (found,) = listeners({listener.getsockname()[1]})

    assert found.address == "::1"


def test_ports_are_looked_at_without_an_engine_too(make):
    assert processes.ports(make(probe=ProbeWithoutAnEngine(), platform={"port": free_port()})).message


def test_processes_that_were_never_started_are_a_note(make):
    here = make(new=True)

    assert [check(here).ok for check in (processes.hub, processes.proxy, processes.service)] == [None] * 3


def test_a_hub_that_answers_is_well(make):
    with answering({"/hub/health": (200, {})}) as port:
        assert processes.hub(make(platform={"hub_port": port})).ok is True


def test_a_hub_that_does_not_answer_is_told_with_its_log(make):
    here = make(platform={"hub_port": free_port()})
    (here.data / "logs").mkdir()
    (here.data / "logs" / "hub.log").touch()

    ok, words = told(processes.hub(here))

    assert ok is False
    assert "himalia-platform up" in words
    assert str(here.data / "logs" / "hub.log") in words


def test_a_hub_whose_network_is_gone_is_told(make):
    assert processes.hub(make(probe=ProbeWithABridge(""))).ok is False


def test_a_proxy_that_leads_to_the_hub_is_well(make):
    with answering({"/_chp_healthz": (200, {}), "/hub/health": (200, {})}) as port:
        assert processes.proxy(make(platform={"port": port})).ok is True


@pytest.mark.parametrize("pages", [{}, {"/_chp_healthz": (200, {}), "/hub/health": (503, {})}])
def test_a_proxy_that_leads_nowhere_is_a_fault(make, pages):
    with answering(pages) as port:
        assert processes.proxy(make(platform={"port": port})).ok is False


def test_a_proxy_that_does_not_listen_is_a_fault(make):
    assert processes.proxy(make(platform={"port": free_port()})).ok is False


def test_a_service_with_no_complaint_is_well(make):
    installation = make().installation
    health = {"ok": True, "sentences": [], "version": "0.1.0", "installation": installation}
    with answering({"/services/jobs/api/health": (200, health)}) as port:
        assert processes.service(make(platform={"service_port": port})).ok is True


def test_the_complaints_of_the_service_are_passed_on(make):
    health = {"ok": False, "sentences": ["The disk is full."], "installation": make().installation}
    with answering({"/services/jobs/api/health": (503, health)}) as port:
        assert told(processes.service(make(platform={"service_port": port}))) == (False, "The disk is full. ")


@pytest.mark.parametrize("body", [{"installation": "another"}, ["x"], "text"])
def test_a_service_that_is_not_this_installations_is_a_fault(make, body):
    with answering({"/services/jobs/api/health": (200, body)}) as port:
        ok, words = told(processes.service(make(platform={"service_port": port})))

    assert ok is False
    assert "service_port" in words


def test_a_service_that_does_not_answer_is_a_fault(make):
    assert processes.service(make(platform={"service_port": free_port()})).ok is False


@pytest.mark.parametrize(
    ("forwarding", "bridged", "ok", "said"),
    [
        ("1", "1", True, "do not reach each other"),
        ("0", "1", False, "ip_forward"),
        ("1", "0", False, "br_netfilter"),
        ("1", None, False, "br_netfilter"),
    ],
)
def test_what_the_kernel_does_for_networks_is_told(make, tmp_path, forwarding, bridged, ok, said):
    (tmp_path / "forward").write_text(f"{forwarding}\n")
    if bridged is not None:
        (tmp_path / "bridged").write_text(f"{bridged}\n")

    found, words = told(network.networks(make(), tmp_path / "forward", tmp_path / "bridged"))

    assert found is ok
    assert said in words


def test_networks_that_are_not_there_yet_are_a_note(make, tmp_path):
    (tmp_path / "forward").write_text("1\n")

    assert network.networks(make(new=True), tmp_path / "forward", tmp_path / "bridged").ok is None
    assert network.rules(make(new=True)).ok is None


def test_rules_in_force_are_well_and_shown(make, monkeypatch):
    monkeypatch.setattr(network.os, "geteuid", lambda: 0)

    outcome = network.rules(make(jobs={"internet": False}), FirewallThatIs())

    assert outcome.ok is True
    assert "jobs do not reach the internet" in outcome.message
    assert outcome.details == ("iptables -A INPUT -j himalia-abcdefghijkl-in",)


def test_rules_that_are_missing_are_a_fault(make, monkeypatch):
    monkeypatch.setattr(network.os, "geteuid", lambda: 0)

    ok, words = told(network.rules(make(), FirewallThatIs("iptables: the chain x is missing")))

    assert ok is False
    assert "the chain x is missing" in words


def test_rules_that_cannot_be_read_are_a_fault(make, monkeypatch):
    monkeypatch.setattr(network.os, "geteuid", lambda: 0)

    ok, words = told(network.rules(make(), FirewallThatIs(error="`iptables` is not on this machine. Install it.")))

    assert ok is False
    assert "Install it." in words


def test_who_may_not_see_the_rules_is_told_so(make, monkeypatch):
    monkeypatch.setattr(network.os, "geteuid", lambda: 1000)

    assert told(network.rules(make(), FirewallThatIs()))[0] is None
