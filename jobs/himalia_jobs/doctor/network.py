"""Checks of the containers' networks: what the kernel must do for them, and the packet filter's rules."""

from __future__ import annotations

import os
from pathlib import Path

from himalia.doctor import Outcome

from ..engines.errors import EngineError
from ..engines.firewall import BRIDGED, Firewall, policy_of, sees_bridged
from .here import Here

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def networks(here: Here, forwarding: Path = FORWARDING, bridged: Path = BRIDGED) -> Outcome:
    """Tell whether containers get out, and whether the packet filter sees what passes between them."""
    if forwarding.read_text().strip() == "0":
        return Outcome(
            ok=False,
            message="The kernel forwards no packets (net.ipv4.ip_forward is 0): containers reach nothing.",
            advice="Run `sysctl -w net.ipv4.ip_forward=1`, and set it in /etc/sysctl.d/ as well.",
        )
    if not here.gateway:
        return Outcome(ok=None, message="not there yet; the first start makes them")
    if not sees_bridged(bridged):
        return Outcome(
            ok=False,
            message="The packet filter does not see what passes between containers of one network: jobs reach each other.",
            advice="Run `modprobe br_netfilter` and `sysctl -w net.bridge.bridge-nf-call-iptables=1`.",
        )
    return Outcome(ok=True, message=f"servers at {here.gateway}; containers do not reach each other")


def rules(here: Here, firewall: Firewall | None = None) -> Outcome:
    """Tell whether the packet filter's rules are in force, and show them."""
    gateway = here.gateway
    if not gateway:
        return Outcome(ok=None, message="not there yet; the service puts them in place when it starts")
    if os.geteuid() != 0:
        return Outcome(ok=None, message="not looked at: only root sees them", advice="Run this as root.")
    guard = firewall or Firewall(policy_of(here.site, here.installation, gateway))
    try:
        wrong, shown = guard.differences(), tuple(guard.shown())
    except EngineError as error:
        return Outcome(ok=False, message=f"The packet filter's rules cannot be read: {error}")
    if wrong:
        return Outcome(
            ok=False,
            message=f"Not in force: {'; '.join(dict.fromkeys(wrong))}.",
            advice="The job service puts them back within a minute, or says why not. Is it running?",
            details=shown,
        )
    internet = "jobs reach the internet" if here.site.jobs.internet else "jobs do not reach the internet"
    return Outcome(
        ok=True,
        message=f"in force: {len(shown)} in chains {guard.policy.inward} and {guard.policy.through}; {internet}",
        details=shown,
    )
