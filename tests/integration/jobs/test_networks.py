"""What containers reach and what never, on the real Docker Engine with real rules: jobs, servers, flushes, other installations."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from live_platform import eventually, output, run
from neighbours import Neighbours, Outside, listening, neighbours, outside

from himalia.ids import new_id
from himalia_jobs.engines.firewall import Firewall
from himalia_jobs.engines.rules import Policy, Surroundings
from himalia_spawner.platform.engine import remove_rules


@pytest.fixture(scope="module")
def near() -> Iterator[Neighbours]:
    """Two servers and two jobs of an installation."""
    with neighbours() as found:
        yield found


@pytest.fixture(scope="module")
def world() -> Iterator[Outside]:
    """The world outside."""
    with outside() as found:
        yield found


@pytest.fixture(autouse=True)
def in_force(near: Neighbours) -> Iterator[None]:
    """Let every test begin with the rules in place."""
    near.around = Surroundings()
    near.firewall.put()
    return


@pytest.mark.fault(50)
def test_a_job_reaches_no_address_and_no_port_of_the_host(near):
    with listening("0.0.0.0") as port:
        for address, at in (
            (near.jobs_gateway, near.jobs_gateway_port),
            (near.jobs_gateway, port),
            (near.gateway, near.hub_port),
            (near.gateway, near.service_port),
            *((address, port) for address in _addresses_of_the_host()),
        ):
            assert not near.reaches(near.job, address, at), (address, at)


@pytest.mark.fault(50)
def test_a_job_reaches_neither_another_job_nor_a_server(near):
    assert not near.reaches(near.job, near.address(near.other_job))
    assert not near.reaches(near.job, near.address(near.server))


def test_a_server_reaches_hub_and_service_and_nothing_else_on_the_host(near):
    assert near.reaches(near.server, near.gateway, near.hub_port)
    assert near.reaches(near.server, near.gateway, near.service_port)
    for address in (near.gateway, near.jobs_gateway, *_addresses_of_the_host()):
        assert not near.reaches(near.server, address, near.other_port), address


def test_a_server_reaches_neither_another_server_nor_a_job(near):
    assert not near.reaches(near.server, near.address(near.other_server))
    assert not near.reaches(near.server, near.address(near.job))


def test_the_host_reaches_servers_as_the_proxy_does(near):
    done = subprocess.run(
        ["python3", "-c", f"import socket; socket.create_connection(({near.address(near.server)!r}, 7000), timeout=5)"],
        check=False,
    )
    assert done.returncode == 0


def test_names_of_dockers_own_resolver_are_found(near):
    code = f"import socket; print(socket.gethostbyname({near.name(near.other_server)!r}))"

    assert near.says(near.server, code) == near.address(near.other_server)


@pytest.mark.fault(50)
def test_jobs_and_servers_reach_the_internet_but_no_metadata(near, world):
    for container in (near.job, near.server):
        assert near.reaches(container, world.internet, world.port)
        assert not near.reaches(container, world.metadata, world.port)


def test_jobs_without_internet_reach_nothing_outside_and_servers_go_on(near, world):
    near.guard(internet=False).put()
    try:
        assert not near.reaches(near.job, world.internet, world.port)
        assert near.reaches(near.server, world.internet, world.port)
    finally:
        near.guard().put()


def test_a_nameserver_at_a_link_local_address_answers_on_its_port_alone(near, world):
    near.around = Surroundings(nameservers=(world.metadata,))
    near.firewall.put()

    assert near.reaches(near.job, world.metadata, world.names_port)
    assert not near.reaches(near.job, world.metadata, world.port)


def test_containers_of_other_programs_are_out_of_reach_also_by_their_published_ports(near):
    network = near.docker.networks.create(f"other-{near.installation}", labels={"himalia": near.installation})
    code = "import socket; s = socket.create_server(('', 7000)); print('up', flush=True)\nwhile True: s.accept()"
    other = near.docker.containers.run(
        near.job.image,
        entrypoint=["python3", "-c", code],
        network=network.name,
        ports={"7000/tcp": None},
        detach=True,
        labels={"himalia": near.installation},
    )
    try:
        eventually(other.logs)
        other.reload()
        published = int(other.ports["7000/tcp"][0]["HostPort"])

        for container in (near.job, near.server):
            assert not near.reaches(container, near.address(other))
            for address in (near.gateway, near.jobs_gateway, *_addresses_of_the_host()):
                assert not near.reaches(container, address, published)
    finally:
        other.remove(force=True)
        network.remove()


def test_without_the_rules_all_of_that_is_open_and_they_are_put_back(near, world):
    open_to_all = [
        (near.job, near.jobs_gateway, near.jobs_gateway_port),
        (near.job, near.jobs_gateway, near.other_port),
        (near.server, near.gateway, near.other_port),
        (near.job, world.metadata, world.port),
    ]
    remove_rules(near.installation)
    assert near.firewall.differences()
    assert [near.reaches(*what) for what in open_to_all] == [True] * len(open_to_all)

    near.firewall.look_after()

    assert near.firewall.complaint == ""
    assert near.firewall.differences() == []
    assert not any(near.reaches(*what) for what in open_to_all)


@pytest.mark.parametrize(
    "command",
    [
        ["-D", "INPUT", "-i", "{jobs}", "-j", "{inward}"],
        ["-D", "DOCKER-USER", "-o", "{servers}", "-j", "{through}"],
        ["-F", "{through}"],
        ["-D", "{inward}", "-j", "REJECT"],
        ["-I", "INPUT", "1", "-i", "{jobs}", "-j", "ACCEPT"],
    ],
)
def test_what_somebody_changed_by_hand_is_changed_back(near, command):
    policy = near.policy
    names = {"jobs": policy.jobs, "servers": policy.servers, "inward": policy.inward, "through": policy.through}
    _iptables(*(word.format(**names) for word in command))
    try:
        assert near.firewall.differences()

        near.firewall.look_after()

        assert near.firewall.differences() == []
        assert not near.reaches(near.job, near.jobs_gateway, near.jobs_gateway_port)
    finally:
        subprocess.run(["iptables", "-w", "-D", "INPUT", "-i", policy.jobs, "-j", "ACCEPT"], capture_output=True)


def test_another_installation_and_the_rules_of_others_stay_as_they_were(near):
    other = Firewall(Policy(installation=new_id(), gateway="198.18.0.1", ports=(1, 2)), look=Surroundings)
    try:
        other.put()
        theirs, dockers = other.shown(), _iptables("-S", "FORWARD", "1")

        remove_rules(near.installation)
        near.firewall.put()
        near.firewall.put()

        assert (other.shown(), other.differences()) == (theirs, [])
        assert _iptables("-S", "FORWARD", "1") == dockers
        assert _iptables("-S", "DOCKER-USER").splitlines()[-1] == "-A DOCKER-USER -j RETURN"
    finally:
        remove_rules(other.policy.installation)
    assert other.shown() == []
    assert near.firewall.differences() == []


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_the_kind_of_iptables_that_docker_uses_is_found_and_used(kind):
    namespace = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo up; exec sleep 1000"], stdout=subprocess.PIPE)
    inside = ("nsenter", "-t", str(namespace.pid), "-n")
    try:
        assert namespace.stdout is not None
        assert namespace.stdout.readline() == b"up\n"
        for program in (f"iptables-{kind}", f"ip6tables-{kind}"):
            for words in ("-N DOCKER-USER", "-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -j RETURN"):
                subprocess.run([*inside, program, *words.split()], check=True)
        policy = Policy(installation=new_id(), gateway="198.18.0.1", ports=(1, 2))
        firewall = Firewall(policy, prefix=inside, look=Surroundings)

        firewall.put()

        done = subprocess.run([*inside, f"iptables-{kind}", "-S"], capture_output=True, text=True, check=True)
        assert f"-A INPUT -i {policy.jobs} -j {policy.inward}" in done.stdout
        assert f"-A DOCKER-USER -i {policy.jobs} -j {policy.through}" in done.stdout
        assert firewall.differences() == []
    finally:
        namespace.kill()
        namespace.wait()
        if namespace.stdout is not None:
            namespace.stdout.close()


@pytest.mark.fault(50)
def test_a_real_job_reaches_neither_hub_nor_service(client, live):
    platform = live.place.site.platform
    code = (
        "import socket\n"
        f"for port in {platform.hub_port}, {platform.service_port}:\n"
        f"    with socket.socket() as s: s.settimeout(2); print(s.connect_ex(({live.place.gateway!r}, port)) != 0)\n"
    )

    assert output(run(client("ada"), ["python3", "-c", code])) == b"True\nTrue\n"


def test_the_service_puts_the_rules_in_place_when_it_starts_and_has_no_complaint(live):
    remove_rules(live.place.installation)

    live.kill("service")

    eventually(lambda: f"himalia-{live.place.installation}-fwd" in _iptables("-S"))
    health = eventually(lambda: _health(live))
    assert not [sentence for sentence in health["sentences"] if "packet filter" in sentence]


def _health(live) -> dict:
    try:
        return live.ask("GET", "health").json()
    except OSError:
        return {}
    except Exception:
        return {}


def _addresses_of_the_host() -> list[str]:
    """Return the addresses of this machine's own interfaces, those of bridges apart."""
    listed = subprocess.run(["ip", "-4", "-o", "addr", "show", "scope", "global"], capture_output=True, text=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [row[3].split("/")[0] for row in rows if row[1].startswith(("e", "docker0"))]


def _iptables(*words: str) -> str:
    done = subprocess.run(["iptables", "-w", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
