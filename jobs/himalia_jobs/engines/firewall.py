"""Puts an installation's packet-filter rules in place, and back when somebody took them away. Nothing else is touched."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from himalia.site import Site

from .rules import Policy, Surroundings, Wanted
from .surroundings import look_around
from .tables import FirewallError, Listing, Tables, changes, differences

log = logging.getLogger(__name__)

IPV6 = Path("/proc/net/if_inet6")  #: there where the kernel speaks IPv6
#: 1 where the packet filter sees what passes between containers of one bridge.
BRIDGED = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
BLIND = (
    "The packet filter does not see what passes between containers of one network, so that jobs reach each other. Run "
    "`modprobe br_netfilter` and `sysctl -w net.bridge.bridge-nf-call-iptables=1`."
)
TRIES = 3  #: another program may change the rules between our look and our change


def policy_of(site: Site, installation: str, gateway: str) -> Policy:
    """Return what the operator's file lets the containers of an installation reach."""
    ports = (site.platform.hub_port, site.platform.service_port)
    return Policy(installation=installation, gateway=gateway, ports=ports, internet=site.jobs.internet)


def sees_bridged(setting: Path = BRIDGED) -> bool:
    """Tell whether rules hold between containers of one bridge as well."""
    try:
        return setting.read_text().strip() == "1"
    except OSError:
        return False


@dataclass
class _Held:
    """What was put in place in one table, and how it reads."""

    wanted: Wanted | None = None
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Firewall:
    """The packet filter of this machine, as far as it is one installation's."""

    def __init__(
        self,
        policy: Policy,
        *,
        prefix: Sequence[str] = (),
        look: Callable[[], Surroundings] = look_around,
    ) -> None:
        self.policy = policy
        self.complaint = ""  #: why the rules do not hold, and what follows from it; empty while they do
        self._tables = Tables(prefix=prefix)
        self._look = look
        self._held = {"iptables": _Held(), "ip6tables": _Held()}

    def look_after(self) -> None:
        """Put the rules in place, or back; a failure becomes the complaint."""
        try:
            self.put()
        except FirewallError as error:
            complaint = (
                f"The packet filter's rules cannot be put in place: {error} Until then containers reach more "
                "than they should, such as this machine. Run `himalia doctor` to see what is missing."
            )
            if complaint != self.complaint:
                log.error("%s", complaint)
            self.complaint = complaint
        else:
            self.complaint = "" if sees_bridged() else BLIND

    def put(self) -> None:
        """Put the rules in place where they do not hold; raise FirewallError."""
        around = self._look()
        for base, tables in self._families():
            self._put(base, tables, around)

    def differences(self) -> list[str]:
        """Return in words what is not as it should be; raise FirewallError where that cannot be seen."""
        around = self._look()
        found = []
        for base, tables in self._families():
            listing = tables.read()
            found += [f"{base}: {words}" for words in differences(listing, self._wanted(base, listing, around), tables)]
        return found

    def shown(self) -> list[str]:
        """Return our chains and what leads to them, as the programs show them."""
        lines = []
        for base, tables in self._families():
            listing = tables.read()
            names = {chain: rules for chain, rules in listing.chains.items() if chain in self._names}
            lines += [f"{base} -A {chain} {rule}" for chain, rule in listing.jumps_to(names)]
            lines += [f"{base} -A {chain} {rule}" for chain, rules in names.items() for rule in rules]
        return lines

    @property
    def _names(self) -> tuple[str, str]:
        return (self.policy.inward, self.policy.through)

    def _families(self) -> list[tuple[str, Tables]]:
        bases = ["iptables", "ip6tables"] if IPV6.exists() else ["iptables"]
        return [(base, self._tables.kind_of_docker(base)) for base in bases]

    def _put(self, base: str, tables: Tables, around: Surroundings) -> None:
        held = self._held[base]
        for attempt in range(1, TRIES + 1):
            listing = tables.read()
            wanted = self._wanted(base, listing, around)
            script = changes(listing, wanted, held.chains if wanted == held.wanted else None)
            if not script:
                return
            try:
                tables.restore(script)
            except FirewallError:
                if attempt == TRIES:
                    raise
                continue
            held.wanted = wanted
            held.chains = {chain: tables.read().chains.get(chain, ()) for chain in wanted.chains}

    def _wanted(self, base: str, listing: Listing, around: Surroundings) -> Wanted:
        if base == "ip6tables":
            return self.policy.rules6(passing=listing.passing)
        return self.policy.rules(around, passing=listing.passing)
