"""Which hosts are asked, and at which addresses: found out once, before git runs, and the same for all it does."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from himalia.errors import FieldError, Unavailable
from himalia.git import Git, Repository
from himalia.git.address import FIELD

Address = IPv4Address | IPv6Address
LINK_LOCAL = (ip_network("169.254.0.0/16"), ip_network("fe80::/10"))
#: Addresses that only wrap an IPv4 one, which nobody here looks into.
WRAPPING = tuple(map(ip_network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")))


def check_host(repository: Repository, setting: Git) -> None:
    """Raise FieldError for a host that is not on the list."""
    if not setting.hosts:
        raise FieldError(FIELD, "No repositories are fetched here. Clone it, and submit the directory.")
    if repository.site not in setting.hosts:
        raise FieldError(
            FIELD,
            f"Nothing is fetched from {repository.site}. There are: {', '.join(setting.hosts)}. "
            "Clone it, and submit the directory; or ask an administrator to add the host.",
        )


def addresses_of(repository: Repository, setting: Git) -> list[Address]:
    """Return the addresses of a host; raise FieldError where one of them is nobody's to ask."""
    try:
        found = socket.getaddrinfo(repository.host, repository.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"The address of {repository.host} cannot be found. Try again.") from error
    addresses = list(dict.fromkeys(ip_address(str(place[4][0]).partition("%")[0]) for place in found))
    for address in addresses:
        if not may_ask(address, setting.networks):
            raise FieldError(
                FIELD,
                f"{repository.host} lies in a network of its own, and is not asked. If it is your site's, ask an "
                "administrator to name its network in [git] networks.",
            )
    return addresses


def may_ask(address: Address, networks: Sequence[str]) -> bool:
    """Tell whether an address is public, or in one of these networks; link-local ones (the metadata of clouds) never are."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return may_ask(address.ipv4_mapped, networks)
    if any(address in network for network in LINK_LOCAL):
        return False
    if any(address in ip_network(network) for network in networks):
        return True
    return address.is_global and not address.is_multicast and not any(address in network for network in WRAPPING)


def pinned(repository: Repository, addresses: Sequence[Address]) -> str:
    """Return how curl is told the addresses of a host, so that it asks nobody else for them."""
    written = (f"[{address}]" if isinstance(address, IPv6Address) else str(address) for address in addresses)
    return f"{repository.host}:{repository.port}:{','.join(written)}"
