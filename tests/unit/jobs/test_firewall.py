"""What the packet filter is asked for, what is put back, and what is said when it cannot be. No rule is touched here."""

from __future__ import annotations

import subprocess

import pytest

from himalia.site import Site
from himalia_jobs.engines.base import LaunchSpec
from himalia_jobs.engines.containers import create_body
from himalia_jobs.engines.firewall import Firewall, policy_of
from himalia_jobs.engines.rules import METADATA, Policy, Surroundings, Wanted
from himalia_jobs.engines.surroundings import look_around, looks_private
from himalia_jobs.engines.tables import FirewallError, Listing, Tables, changes, differences, parse
from himalia_jobs.layout import DataLayout

ID = "abcdefghijkl"
IN, THROUGH = f"himalia-{ID}-in", f"himalia-{ID}-fwd"
JOBS, SERVERS = "hmj-abcdefghijk", "hms-abcdefghijk"
DOCKERS = "-P INPUT ACCEPT\n-P FORWARD DROP\n-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j RETURN\n"


def policy(*, internet: bool = True) -> Policy:
    """Return what an installation lets its containers reach."""
    return Policy(installation=ID, gateway="172.30.0.1", ports=(8081, 8082), internet=internet)


def wanted(around: Surroundings | None = None, *, internet: bool = True) -> Wanted:
    """Return the rules of an installation on a machine with Docker."""
    return policy(internet=internet).rules(around or Surroundings(), passing="DOCKER-USER")


def listing(rules: Wanted, before: str = "") -> Listing:
    """Return how the table reads with the rules in place, and `before` in front of all of INPUT."""
    jumps = "".join(f"-A {jump.parent} {jump.rule}\n" for jump in rules.jumps)
    chains = "".join(f"-N {chain}\n" for chain in rules.chains)
    own = "".join(f"-A {chain} {rule}\n" for chain, found in rules.chains.items() for rule in found)
    docker = DOCKERS.replace("-A DOCKER-USER -j RETURN\n", "")
    return parse(docker + chains + before + jumps + "-A DOCKER-USER -j RETURN\n" + own)


class TablesThatHaveEverything(Tables):
    """Says of every rule that it is there."""

    def has(self, chain: str, rule: str) -> bool:
        """Say yes."""
        return True


def first(rules: tuple[str, ...], start: str) -> int:
    """Return the place of the first rule that begins so."""
    return next(place for place, rule in enumerate(rules) if rule.startswith(start))


def test_servers_reach_the_ports_of_hub_and_service_and_nothing_else_of_this_machine():
    inward = wanted().chains[IN]

    assert inward[1:] == (
        f"-d 172.30.0.1/32 -i {SERVERS} -p tcp -m tcp --dport 8081 -j ACCEPT",
        f"-d 172.30.0.1/32 -i {SERVERS} -p tcp -m tcp --dport 8082 -j ACCEPT",
        "-j REJECT",
    )


def test_only_packets_of_our_own_bridges_come_into_our_chains():
    jumps = {(jump.parent, jump.match) for jump in wanted().jumps}

    assert {match for parent, match in jumps if parent == "INPUT"} == {f"-i {JOBS}", f"-i {SERVERS}"}
    assert {match for parent, match in jumps if parent == "DOCKER-USER"} == {
        *(f"-i {bridge}" for bridge in (JOBS, SERVERS)),
        *(f"-o {bridge}" for bridge in (JOBS, SERVERS)),
    }


@pytest.mark.fault(50)
def test_nothing_passes_to_metadata_addresses_or_container_networks():
    through = wanted(Surroundings(bridges=("lan0",))).chains[THROUGH]

    for address in METADATA:
        assert f"-d {address} -j REJECT" in through
    for interface in ("docker+", "br-+", "hms-+", "hmj-+", "lan0"):
        assert f"-o {interface} -j REJECT" in through


def test_replies_are_told_by_their_direction_so_that_nothing_outlives_a_time_without_rules():
    for rules in wanted().chains.values():
        assert "--ctdir REPLY" in rules[0]
        assert not any("ctstate" in rule for rule in rules[1:])


def test_jobs_without_internet_reach_nothing_not_even_a_nameserver():
    rules = wanted(Surroundings(nameservers=("10.0.0.2",)), internet=False).chains

    assert first(rules[THROUGH], f"-i {JOBS} -j REJECT") < first(rules[THROUGH], "-d 10.0.0.2/32")
    assert [rule for rule in rules[IN] if "10.0.0.2" in rule] == [
        f"-d 10.0.0.2/32 -i {SERVERS} -p {protocol} -m {protocol} --dport 53 -j ACCEPT" for protocol in ("udp", "tcp")
    ]


@pytest.mark.parametrize(("internet", "nameservers"), [(True, None), (False, ["192.0.2.1"])])
def test_names_that_jobs_without_internet_ask_for_carry_nothing_out(tmp_path, monkeypatch, internet, nameservers):
    monkeypatch.setattr("himalia_jobs.engines.containers.make_owned", lambda path, user: path)
    spec = LaunchSpec(
        attempt="abc.1",
        job_id="abc",
        owner="user:ada",
        user="ada",
        image_id="sha256:1",
        argv=("true",),
        cpus=1.0,
        memory_bytes=2**30,
        lease_id="l",
        internet=internet,
    )

    body = create_body(
        spec,
        installation=ID,
        layout=DataLayout(data=tmp_path),
        workspace={},
        devices=(),
        ulimits=(),
    )

    assert body["HostConfig"].get("Dns") == nameservers


def test_a_nameserver_at_a_metadata_address_answers_for_names_alone():
    through = wanted(Surroundings(nameservers=("169.254.169.253",))).chains[THROUGH]

    assert first(through, "-d 169.254.169.253/32 -p udp -m udp --dport 53") < first(through, "-d 169.254.0.0/16")


def test_an_uplink_that_is_named_like_a_container_network_stays_open():
    through = wanted(Surroundings(uplinks=("br-ex",))).chains[THROUGH]

    assert first(through, "-d 169.254.0.0/16") < first(through, "-o br-ex -j RETURN") < first(through, "-o br-+")


def test_no_packet_of_ipv6_passes():
    rules = policy().rules6(passing="FORWARD")

    assert rules.chains == {IN: ("-j DROP",), THROUGH: ("-j DROP",)}


def test_the_names_of_chains_are_short_enough_for_the_kernel():
    assert max(len(chain) for chain in wanted().chains) <= 28


def test_the_operators_file_says_which_ports_and_whether_jobs_reach_the_internet():
    site = Site.model_validate({"platform": {"hub_port": 1081, "service_port": 1082}, "jobs": {"internet": False}})

    found = policy_of(site, ID, "172.30.0.1")

    assert (found.ports, found.internet) == ((1081, 1082), False)


def test_everything_is_put_in_place_in_one_step():
    script = changes(parse(DOCKERS), wanted(), None).splitlines()

    assert (script[0], script[-1]) == ("*filter", "COMMIT")
    assert script.count("COMMIT") == 1
    assert f":{IN} - [0:0]" in script
    assert f"-I INPUT 1 -i {JOBS} -j {IN}" in script


def test_rules_that_hold_are_left_alone():
    rules = wanted()

    assert changes(listing(rules), rules, rules.chains) == ""


def test_what_was_not_put_in_place_by_this_process_is_put_anew():
    rules = wanted()

    script = changes(listing(rules), rules, None)

    assert f":{IN} - [0:0]" in script
    assert "INPUT" not in script


def test_a_rule_that_is_gone_is_put_back():
    rules = wanted()
    fewer = Wanted(chains={**rules.chains, IN: rules.chains[IN][:-1]}, jumps=rules.jumps)

    assert f"-A {IN} -j REJECT" in changes(listing(fewer), rules, rules.chains)


def test_a_jump_behind_a_rule_of_others_is_moved_to_the_front():
    rules = wanted()

    script = changes(listing(rules, before="-A INPUT -j ACCEPT\n"), rules, rules.chains)

    assert f"-D INPUT -i {JOBS} -j {IN}" in script
    assert f"-I INPUT 1 -i {JOBS} -j {IN}" in script
    assert "-j ACCEPT" not in [line for line in script.splitlines() if "INPUT" in line]


def test_the_jumps_of_another_installation_in_front_are_no_reason_to_move():
    rules = wanted()
    theirs = "-N himalia-zzz-in\n-A INPUT -i hmj-zzz -j himalia-zzz-in\n"

    assert changes(listing(rules, before=theirs), rules, rules.chains) == ""


def test_a_jump_that_is_there_twice_is_there_once_afterwards():
    rules = wanted()
    doubled = f"-A INPUT -i {JOBS} -j {IN}\n"

    script = changes(listing(rules, before=doubled), rules, rules.chains).splitlines()

    assert script.count(f"-D INPUT -i {JOBS} -j {IN}") == 2
    assert script.count(f"-I INPUT 1 -i {JOBS} -j {IN}") == 1


def test_jumps_in_a_chain_that_is_not_used_any_more_are_removed():
    rules = wanted()
    stale = f"-A FORWARD -i {JOBS} -j {THROUGH}\n"

    assert f"-D FORWARD -i {JOBS} -j {THROUGH}" in changes(listing(rules, before=stale), rules, rules.chains)


@pytest.mark.parametrize(
    ("text", "chain"),
    [
        (DOCKERS, "DOCKER-USER"),
        ("-P FORWARD DROP\n-N DOCKER-USER\n", "FORWARD"),  # nothing comes through it
        ("-P FORWARD ACCEPT\n", "FORWARD"),  # Docker leaves the packet filter alone
    ],
)
def test_packets_are_caught_in_the_chain_that_they_come_through(text, chain):
    assert parse(text).passing == chain


def test_a_reader_sees_that_all_is_in_force():
    rules = wanted()

    assert differences(listing(rules), rules, TablesThatHaveEverything()) == []


def test_a_reader_is_told_what_is_missing():
    rules = wanted()
    fewer = Wanted(chains={IN: rules.chains[IN][:-1]}, jumps=rules.jumps[1:])

    found = differences(listing(fewer), rules, TablesThatHaveEverything())

    assert any("INPUT does not lead" in words for words in found)
    assert any(f"the chain {THROUGH} is missing" in words for words in found)
    assert any(f"the chain {IN} has other rules" in words for words in found)


def test_without_the_program_the_complaint_says_what_to_install(monkeypatch):
    monkeypatch.setattr(subprocess, "run", _raises(FileNotFoundError("iptables")))
    firewall = Firewall(policy(), look=Surroundings)

    firewall.look_after()

    assert "`iptables` is not on this machine. Install it (`apt-get install iptables`)" in firewall.complaint
    assert "himalia doctor" in firewall.complaint


def test_without_the_right_the_complaint_says_what_the_program_said(monkeypatch):
    refused = subprocess.CompletedProcess((), 4, "", "Could not fetch rule set generation id: Permission denied\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refused)
    firewall = Firewall(policy(), look=Surroundings)

    firewall.look_after()

    assert "`iptables` says: Could not fetch rule set generation id: Permission denied" in firewall.complaint


def test_the_complaint_goes_when_the_rules_hold_again(monkeypatch):
    firewall = Firewall(policy(), look=Surroundings)
    monkeypatch.setattr(firewall, "put", _raises(FirewallError("no")))
    firewall.look_after()
    assert firewall.complaint

    monkeypatch.setattr(firewall, "put", lambda: None)
    monkeypatch.setattr("himalia_jobs.engines.firewall.sees_bridged", lambda: True)
    firewall.look_after()

    assert firewall.complaint == ""


def test_a_program_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(subprocess, "run", _raises(subprocess.TimeoutExpired("iptables", 30)))

    with pytest.raises(FirewallError, match="did not come to an end"):
        Tables().read()


def test_nameservers_are_those_that_containers_ask_themselves(tmp_path):
    stub, real = tmp_path / "resolv.conf", tmp_path / "systemd.conf"
    stub.write_text("# stub\nnameserver 127.0.0.53\noptions edns0\n")
    real.write_text("nameserver 10.0.0.2\nnameserver fd00::2\nnameserver 10.0.0.2\nsearch example.org\n")

    found = look_around((stub, real), tmp_path / "none", tmp_path)

    assert found.nameservers == ("10.0.0.2",)


def test_a_bridge_is_closed_unless_it_is_the_way_out(tmp_path):
    routes = tmp_path / "route"
    routes.write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "br0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "lan0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n"
    )
    for bridge in ("br0", "lan0", "docker0"):
        (tmp_path / bridge / "bridge").mkdir(parents=True)
    (tmp_path / "eth0").mkdir()

    found = look_around((), routes, tmp_path)

    assert (found.uplinks, found.bridges) == (("br0",), ("lan0",))


def test_interfaces_of_container_networks_are_known_by_their_names():
    assert all(looks_private(name) for name in ("docker0", "br-0123456789ab", JOBS, SERVERS, "virbr0", "cni0"))
    assert not any(looks_private(name) for name in ("eth0", "enp1s0", "bond0", "br0", "wg0", "lo"))


def _raises(error: Exception):
    def call(*_: object, **__: object) -> None:
        raise error

    return call
