"""Reads and changes the packet filter with the `iptables` programs, whichever of their two kinds Docker uses."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .errors import EngineError
from .rules import PREFIX, Jump, Wanted

DOCKER_USER = "DOCKER-USER"
WAIT_SECONDS = 10  #: for another program that changes the rules
LIMIT_SECONDS = 30.0
INSTALL = "Install it (`apt-get install iptables`), and start the job service as root."
_TARGET = re.compile(r"-[jg] (\S+)")


class FirewallError(EngineError):
    """The packet filter cannot be read or changed."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All chains of the table `filter` with their rules, as the program shows them."""

    chains: Mapping[str, tuple[str, ...]]

    @property
    def passing(self) -> str:
        """The chain for packets that pass: Docker's for users, where packets come through it."""
        through_docker = any(_target(rule) == DOCKER_USER for rule in self.chains.get("FORWARD", ()))
        return DOCKER_USER if through_docker and DOCKER_USER in self.chains else "FORWARD"

    def jumps_to(self, names: Mapping[str, object]) -> list[tuple[str, str]]:
        """Return (chain, rule) of every rule elsewhere that leads to one of these chains."""
        found = ((chain, rule) for chain, rules in self.chains.items() if chain not in names for rule in rules)
        return [(chain, rule) for chain, rule in found if _target(rule) in names]


class Tables:
    """One of `iptables` and `ip6tables`; `prefix` runs it elsewhere, such as in another network namespace."""

    def __init__(self, program: str = "iptables", prefix: Sequence[str] = ()) -> None:
        self.program = program
        self._prefix = tuple(prefix)

    def read(self) -> Listing:
        """Return the table; raise FirewallError."""
        return parse(self._run([self.program, "-w", str(WAIT_SECONDS), "-S"]))

    def restore(self, script: str) -> None:
        """Make several changes at once, all or none."""
        self._run([f"{self.program}-restore", "-w", str(WAIT_SECONDS), "--noflush"], script)

    def has(self, chain: str, rule: str) -> bool:
        """Tell whether a chain has a rule, however the program writes it."""
        done = self._call([self.program, "-w", str(WAIT_SECONDS), "-C", chain, *rule.split()])
        return done.returncode == 0

    def kind_of_docker(self, base: str) -> Tables:
        """Return the kind (nft or legacy) of `base` that Docker's chains are in; the usual one where there are none."""
        for program in (self._of(base), self._of(f"{base}-nft"), *self._legacy(base)):
            try:
                if DOCKER_USER in program.read().chains:
                    return program
            except FirewallError:
                continue
        return self._of(base)

    def _of(self, program: str) -> Tables:
        return Tables(program, self._prefix)

    def _legacy(self, base: str) -> list[Tables]:
        """Return the legacy program where its tables are in use: to ask it would bring them into being."""
        try:
            names = self._call(["cat", "/proc/net/ip_tables_names"]).stdout.split()
        except FirewallError:
            return []
        return [self._of(f"{base}-legacy")] if "filter" in names else []

    def _run(self, command: list[str], text: str = "") -> str:
        done = self._call(command, text)
        if done.returncode:
            raise FirewallError(f"`{command[0]}` says: {_last_line(done.stderr).rstrip('.')}.")
        return done.stdout

    def _call(self, command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [*self._prefix, _path(command[0]), *command[1:]],
                input=text,
                capture_output=True,
                text=True,
                timeout=LIMIT_SECONDS,
                check=False,
                env=os.environ | {"LC_ALL": "C"},
            )
        except FileNotFoundError as error:
            raise FirewallError(f"`{command[0]}` is not on this machine. {INSTALL}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FirewallError(f"`{command[0]}` did not come to an end: {error}.") from error


def parse(text: str) -> Listing:
    """Return what `iptables -S` shows."""
    chains: dict[str, list[str]] = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        chain, _, rule = rest.partition(" ")
        if kind in ("-P", "-N"):
            chains.setdefault(chain, [])
        elif kind == "-A":
            chains.setdefault(chain, []).append(rule)
    return Listing(chains={chain: tuple(rules) for chain, rules in chains.items()})


def changes(listing: Listing, wanted: Wanted, as_put: Mapping[str, tuple[str, ...]] | None) -> str:
    """Return the script that makes the wanted rules hold; empty when they do.

    `as_put` is what our chains looked like when they had just been put in place: every version of the programs writes
    rules in a way of its own.
    """
    held = {chain: listing.chains.get(chain) for chain in wanted.chains}
    wrong = _misplaced(listing, wanted)
    if held == as_put and not wrong:
        return ""
    lines = ["*filter", *(f":{chain} - [0:0]" for chain in wanted.chains)]
    lines += [f"-A {chain} {rule}" for chain, rules in wanted.chains.items() for rule in rules]
    if wrong:
        lines += [f"-D {parent} {rule}" for parent, rule in listing.jumps_to(wanted.chains)]
        lines += [f"-I {jump.parent} 1 {jump.rule}" for jump in reversed(wanted.jumps)]
    return "\n".join([*lines, "COMMIT", ""])


def differences(listing: Listing, wanted: Wanted, tables: Tables) -> list[str]:
    """Return in words what is not as wanted: for a reader that did not put it in place."""
    found = [f"{jump.parent} does not lead to {jump.chain} first" for jump in _misplaced(listing, wanted)]
    for chain, rules in wanted.chains.items():
        there = listing.chains.get(chain)
        if there is None:
            found.append(f"the chain {chain} is missing")
        elif [_target(rule) for rule in there] != [_target(rule) for rule in rules]:
            found.append(f"the chain {chain} has other rules")
        else:
            found += [f"{chain} lacks `{rule}`" for rule in rules if not tables.has(chain, rule)]
    return found


def _path(program: str) -> str:
    """Return where a program is, also where the path of whoever started this has no `sbin`."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin") or program


def _misplaced(listing: Listing, wanted: Wanted) -> list[Jump]:
    """Return the jumps that are missing, doubled, or behind rules of others (of which one could let packets pass)."""
    there = listing.jumps_to(wanted.chains)
    in_front = {jump.parent: _in_front(listing.chains.get(jump.parent, ())) for jump in wanted.jumps}
    wrong = [jump for jump in wanted.jumps if in_front[jump.parent].count(jump.rule) != 1]
    return wrong or (list(wanted.jumps) if len(there) != len(wanted.jumps) else [])


def _in_front(rules: Sequence[str]) -> list[str]:
    """Return the rules at the beginning that lead to chains of Himalia, of this installation or others."""
    found = []
    for rule in rules:
        if not _target(rule).startswith(PREFIX):
            break
        found.append(rule)
    return found


def _target(rule: str) -> str:
    found = _TARGET.search(rule)
    return found[1] if found else ""


def _last_line(text: str) -> str:
    """Return what a program complained about: the hints of `--help` that follow it are not for here."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and "--help" not in line]
    return lines[-1] if lines else "nothing"
