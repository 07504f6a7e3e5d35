"""Which packet-filter rules an installation wants: what its containers reach, and what never.

Two chains of our own, named with the installation's id: `…-in` for packets to this machine itself (from INPUT), and
`…-fwd` for packets that pass through it (from DOCKER-USER). Both see the packets of our two bridges alone.

Why a rule, and not a network that Docker calls `internal`, keeps jobs off the internet: such a network can only be
made anew once no job runs, and its containers still reach the host. The rule holds at once, for running jobs too.

Replies are told by their direction in the connection, not by its age: a connection that was opened while somebody had
flushed the rules does not outlive their return.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from himalia.container import bridge_interface

PREFIX = "himalia-"  #: of the chains of all installations
REPLY = "-m conntrack --ctstate RELATED,ESTABLISHED --ctdir REPLY"

#: Where clouds tell a machine its secrets: link-local, and the addresses that Azure and Alibaba have apart from it.
METADATA = ("169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32")
#: Interfaces of container and virtual networks (`+` stands for any ending): ours, other installations', other programs'.
PRIVATE = (
    *("docker+", "br-+", "veth+", "hms-+", "hmj-+"),
    *("podman+", "cni+", "cali+", "flannel+", "cilium+", "weave+", "virbr+", "lxcbr+", "lxdbr+", "incusbr+"),
)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the rules have to know about this machine; it may change while the service runs."""

    nameservers: tuple[str, ...] = ()  #: those that Docker's own resolver asks, from within a container's network
    uplinks: tuple[str, ...] = ()  #: interfaces with a default route whose names look like a container network's
    bridges: tuple[str, ...] = ()  #: further bridges, with names that do not


@dataclass(frozen=True, kw_only=True)
class Jump:
    """A rule in a chain of the system's that leads to one of ours."""

    parent: str
    match: str
    chain: str

    @property
    def rule(self) -> str:
        """The rule without its chain."""
        return f"{self.match} -j {self.chain}"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """All rules of one installation in one table."""

    chains: dict[str, tuple[str, ...]]
    jumps: tuple[Jump, ...]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What containers of an installation may reach."""

    installation: str
    gateway: str  #: this machine's address on the servers' network
    ports: tuple[int, ...]  #: of the hub and of the service, there
    internet: bool = True  #: whether jobs reach it

    @property
    def inward(self) -> str:
        """The chain for packets to this machine itself."""
        return f"{PREFIX}{self.installation}-in"

    @property
    def through(self) -> str:
        """The chain for packets that pass through this machine."""
        return f"{PREFIX}{self.installation}-fwd"

    @property
    def servers(self) -> str:
        """The interface of the servers' bridge."""
        return bridge_interface(self.installation, "server")

    @property
    def jobs(self) -> str:
        """The interface of the jobs' bridge."""
        return bridge_interface(self.installation, "job")

    def rules(self, around: Surroundings, *, passing: str) -> Wanted:
        """Return what is wanted of IPv4; `passing` is the system's chain for packets that pass."""
        return Wanted(
            chains={self.inward: tuple(self._inward(around)), self.through: tuple(self._through(around))},
            jumps=self._jumps(passing),
        )

    def rules6(self, *, passing: str) -> Wanted:
        """Return what is wanted of IPv6: our networks have none, so nothing passes."""
        return Wanted(chains={self.inward: ("-j DROP",), self.through: ("-j DROP",)}, jumps=self._jumps(passing))

    def _jumps(self, passing: str) -> tuple[Jump, ...]:
        both = (self.jobs, self.servers)
        return (
            *(Jump(parent="INPUT", match=f"-i {bridge}", chain=self.inward) for bridge in both),
            *(Jump(parent=passing, match=f"-i {bridge}", chain=self.through) for bridge in both),
            *(Jump(parent=passing, match=f"-o {bridge}", chain=self.through) for bridge in both),
        )

    def _inward(self, around: Surroundings) -> Iterator[str]:
        yield f"{REPLY} -j ACCEPT"
        for port in self.ports:
            yield f"-d {self.gateway}/32 -i {self.servers} -p tcp -m tcp --dport {port} -j ACCEPT"
        yield from _names(around, "ACCEPT", "" if self.internet else f"-i {self.servers} ")
        yield "-j REJECT"

    def _through(self, around: Surroundings) -> Iterator[str]:
        yield f"{REPLY} -j RETURN"
        if not self.internet:
            yield f"-i {self.jobs} -j REJECT"
        yield from _names(around, "RETURN")
        for address in METADATA:
            yield f"-d {address} -j REJECT"
        for uplink in around.uplinks:
            yield f"-o {uplink} -j RETURN"
        for interface in (*PRIVATE, *around.bridges):
            yield f"-o {interface} -j REJECT"


def _names(around: Surroundings, target: str, where: str = "") -> Iterator[str]:
    """Let names be looked up, also where the nameserver has an address that is closed for all else."""
    for server in around.nameservers:
        for protocol in ("udp", "tcp"):
            yield f"-d {server}/32 {where}-p {protocol} -m {protocol} --dport 53 -j {target}"
