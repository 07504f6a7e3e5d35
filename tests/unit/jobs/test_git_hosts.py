"""Which addresses a host may have: public ones, and those of networks that the operator names; the metadata of clouds never."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from himalia.errors import FieldError, Unavailable
from himalia.git import Git, parse_repository
from himalia_jobs.git.hosts import addresses_of, check_host, may_ask, pinned

HERE = parse_repository("https://git.example.org/a/b")


def resolving(monkeypatch, *addresses: str) -> None:
    """Let every name have these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)


@pytest.mark.fault(90)
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.5.4",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "fe80::1",
        "fd00:ec2::254",
        "fc00::1",
        "ff02::1",
    ],
)
def test_an_address_that_is_not_public_is_not_asked(address):
    assert not may_ask(ip_address(address), ())


@pytest.mark.parametrize("address", ["140.82.121.3", "2606:50c0:8000::153", "::ffff:140.82.121.3"])
def test_a_public_address_is_asked(address):
    assert may_ask(ip_address(address), ())


def test_a_network_of_ones_own_is_asked_where_the_operator_names_it_but_never_the_metadata_of_a_cloud():
    assert may_ask(ip_address("10.1.2.3"), ("10.1.0.0/16",))
    assert not may_ask(ip_address("10.2.2.3"), ("10.1.0.0/16",))
    assert not may_ask(ip_address("169.254.169.254"), ("0.0.0.0/0",))
    assert not may_ask(ip_address("fe80::1"), ("::/0",))


@pytest.mark.fault(90)
def test_a_host_of_the_list_with_one_private_address_is_refused_whatever_else_it_has(monkeypatch):
    resolving(monkeypatch, "140.82.121.3", "127.0.0.1")

    with pytest.raises(FieldError, match="lies in a network of its own"):
        addresses_of(HERE, Git(hosts=("git.example.org",)))


def test_git_is_told_every_address_of_a_host_that_was_looked_at(monkeypatch):
    resolving(monkeypatch, "140.82.121.3", "2606:50c0:8000::153")

    found = addresses_of(HERE, Git(hosts=("git.example.org",)))

    assert pinned(HERE, found) == "git.example.org:443:140.82.121.3,[2606:50c0:8000::153]"


def test_a_name_that_nobody_knows_is_told(monkeypatch):
    def unknown(*args, **options):
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(Unavailable, match=r"git\.example\.org cannot be found"):
        addresses_of(HERE, Git(hosts=("git.example.org",)))


def test_a_host_that_is_not_on_the_list_is_refused_with_those_that_are():
    with pytest.raises(FieldError, match=r"There are: github\.com"):
        check_host(HERE, Git(hosts=("github.com",)))
    with pytest.raises(FieldError, match="No repositories are fetched here"):
        check_host(HERE, Git(hosts=()))
    check_host(HERE, Git(hosts=("git.example.org",)))
