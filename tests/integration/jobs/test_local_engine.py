"""LocalEngine keeps the contract of all engines on the real Docker Engine, in an installation of its own."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import docker
import pytest
import pytest_asyncio
from docker.errors import NotFound
from docker.types import IPAMConfig, IPAMPool
from docker_relay import DockerRelay
from engine_bench import (
    BROKEN,
    FAILS,
    LASTS,
    OWNER_ID,
    PRINTS,
    TOO_LARGE,
    Scene,
    content_of,
    end_of,
    launch,
    launched,
    listed,
    printed,
    spec_of,
)
from engine_life import LifeContract
from engine_truth import TruthContract
from live_platform import IMAGE

from himalia.container import Label, container_name, identity_of, network_name
from himalia.errors import DiskFull
from himalia.ids import new_id
from himalia.site import Gpus, Site
from himalia.units import MiB
from himalia_gpus.supervisor import watch_for
from himalia_jobs.engines.base import ExitReason, Phase
from himalia_jobs.engines.docker import LocalEngine
from himalia_jobs.engines.errors import StartFailed, Unknown
from himalia_jobs.engines.fake import Program
from himalia_jobs.engines.firewall import Firewall, policy_of
from himalia_jobs.layout import DataLayout
from himalia_spawner.platform.engine import belongings, remove_belongings, remove_rules

# The Docker SDK leaves the socket of a connection that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

TREE = "d" * 64  #: a snapshot with one file


class FewTrees:
    """The trees of three snapshots: one is there, one is broken, one has no room."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "file").write_text("as submitted\n")
        identity = identity_of("ada")
        for path in (folder, folder / "file"):
            os.chown(path, identity.uid, identity.gid)

    def materialize(self, owner_id: str, digest: str) -> Path:
        """Return the directory of a snapshot."""
        if digest == BROKEN:
            raise OSError("file has another size than its manifest says")
        if digest == TOO_LARGE:
            raise DiskFull("There is no room on the platform's disk.")
        return self.folder


class LocalBench:
    """This machine's Docker Engine behind a relay, and one service with a data directory of its own."""

    image = IMAGE

    def __init__(self, installation: str, folder: Path) -> None:
        self.installation = installation
        self.layout = DataLayout(data=folder / "data")
        self.trees = FewTrees(folder / "tree")
        self.docker = docker.from_env()
        self.image_id = str(self.docker.images.get(IMAGE).id)
        self.relay = DockerRelay()
        self.engines: list[LocalEngine] = []
        self.engine = self.make_engine()

    def make_engine(self) -> LocalEngine:
        """Return an engine as a service has it."""
        site = Site(gpus=Gpus(simulate=2))
        engine = LocalEngine(
            site,
            self.installation,
            self.layout,
            self.trees,
            watch_for(site.gpus, self.installation),
            docker_host=self.relay.host,
        )
        self.engines.append(engine)
        return engine

    def plays(self, argv: tuple[str, ...], program: Program) -> None:
        """Do nothing: commands are real here."""

    async def another_service(self, epoch: int) -> LocalEngine:
        """Return the engine of a service that took over."""
        engine = self.make_engine()
        await engine.open(epoch)
        return engine

    async def let_pass(self) -> None:
        """Let a moment pass."""
        await asyncio.sleep(0.02)

    @asynccontextmanager
    async def cut_off(self) -> AsyncIterator[None]:
        """Cut the line to the Docker Engine."""
        self.relay.cut()
        yield
        self.relay.mend()

    def lose_the_answer_to_a_launch(self) -> None:
        """Let the Engine start the next container, and nobody hear of it."""
        self.relay.lose_answer(b"/start HTTP")

    def break_off_after(self, step: str) -> None:
        """Let the next launch break off, as if the service had died there."""
        maker, first = self.engine._maker, "start" if step != "intent" else "create"
        real = getattr(maker, first)

        async def breaks_off(*args: Any, **kwargs: Any) -> None:
            setattr(maker, first, real)
            if step == "start":
                await real(*args, **kwargs)
            raise Unknown(f"it broke off after its {step}")

        setattr(maker, first, breaks_off)

    async def remove_by_hand(self, attempt: str) -> None:
        """Remove a container past the engine."""
        await asyncio.to_thread(self.docker.containers.get(self.name_of(attempt)).remove, force=True)

    async def run_server(self, lease_id: str) -> str:
        """Run a container with a server's labels."""
        name = container_name(self.installation, "jupyter-ada")
        labels = {
            Label.INSTALLATION: self.installation,
            Label.KIND: "server",
            Label.OWNER: "user:ada",
            Label.LEASE: lease_id,
        }
        self.docker.containers.run(IMAGE, ["600"], entrypoint="sleep", name=name, labels=labels, detach=True)
        return name

    async def run_foreign(self) -> str:
        """Run a container that looks like ours by its name alone."""
        name = container_name(self.installation, "foreign")
        self.docker.containers.run(IMAGE, ["600"], entrypoint="sleep", name=name, detach=True)
        return name

    async def alive(self, name: str) -> bool:
        """Tell whether a container runs."""
        for known in (name, self.name_of(name)):
            try:
                if self.docker.containers.get(known).status == "running":
                    return True
            except NotFound:
                continue
        return False

    def starts(self, attempt: str) -> int:
        """Return how often an attempt's command began: each leaves a line in the storage."""
        file = self.layout.storage(OWNER_ID) / attempt
        return len(file.read_text().splitlines()) if file.exists() else 0

    def name_of(self, attempt: str) -> str:
        """Return the name of an attempt's container."""
        return container_name(self.installation, attempt)

    def container(self, attempt: str) -> dict[str, Any]:
        """Return an attempt's container as the Engine describes it."""
        return dict(self.docker.api.inspect_container(self.name_of(attempt)))

    def network(self, kind: str) -> dict[str, Any]:
        """Return a network as the Engine describes it."""
        return dict(self.docker.api.inspect_network(network_name(self.installation, kind)))

    def remove_network(self, kind: str) -> None:
        """Remove a network by hand, as `docker network prune` does."""
        self.docker.api.remove_network(network_name(self.installation, kind))

    async def end(self) -> None:
        """Remove every container of the test."""
        for engine in self.engines:
            await engine.close()
        self.relay.close()
        ours = {"label": f"{Label.INSTALLATION}={self.installation}"}
        named = {"name": container_name(self.installation, "foreign")}
        for filters in (ours, named):
            for found in self.docker.containers.list(all=True, filters=filters, ignore_removed=True):
                found.remove(force=True)
        self.docker.close()
        gc.collect()  # now, where the warning about sockets is expected


@pytest.fixture(scope="module")
def installation() -> Iterator[str]:
    """The id of an installation that leaves nothing behind."""
    installation = new_id()
    yield installation
    remove_belongings(installation, belongings(installation))


@pytest_asyncio.fixture
async def bench(installation: str, tmp_path: Path) -> AsyncIterator[LocalBench]:
    """The Docker Engine of this machine, with a service of epoch 1."""
    bench = LocalBench(installation, tmp_path)
    try:
        await bench.engine.open(1)
        yield bench
    finally:
        await bench.end()


class TestLife(LifeContract):
    """An attempt starts once, and stops for good."""


class TestTruth(TruthContract):
    """What is told is true, and is kept."""


def shell(text: str) -> Scene:
    """Return a scene that only a real shell plays."""
    return Scene(shell=text, program=Program())


@pytest.mark.asyncio
class TestLocally:
    """What only a real machine can show."""

    async def test_a_container_has_the_limits_that_the_engine_tells(self, bench):
        spec = await launched(bench, shell("ulimit -n"))

        limits = (bench.container(spec.attempt)["HostConfig"]["Ulimits"], bench.engine.ulimits)
        given, told = ({(one["Name"], one["Soft"], one["Hard"]) for one in some} for some in limits)
        assert given == told
        assert (await end_of(bench, spec)).code == 0
        files = int((await bench.engine.read_log(spec.attempt, 0, 100)).data)
        assert {name for name, *_ in told - {("nofile", files, files)}} == {"memlock", "stack", "core"}

    @pytest.mark.fault(81)
    async def test_the_submitted_files_are_there_and_are_never_changed(self, bench):
        spec = await launched(
            bench,
            shell("cat file; echo spoiled > file; echo new > other"),
            workspace_owner=OWNER_ID,
            workspace_digest=TREE,
        )
        assert (await end_of(bench, spec)).code == 0

        await bench.engine.forget(spec.attempt)

        assert (await bench.engine.read_log(spec.attempt, 0, 100)).data == b"as submitted\n"
        assert [file.name for file in bench.trees.folder.iterdir()] == ["file"]
        assert (bench.trees.folder / "file").read_text() == "as submitted\n"
        assert bench.docker.volumes.list(filters={"label": f"himalia={bench.installation}"}) == []

    @pytest.mark.parametrize("odd", ["ln -s /etc/hostname", "mkdir", "mkfifo", "ln -s /himalia/home/secret"])
    async def test_a_log_or_record_that_was_replaced_harms_only_the_job(self, bench, odd):
        names = "/himalia/run/log /himalia/run/exit.json"
        command = f"rm -f {names}; for name in {names}; do {odd} $name; done; exit 3"
        spec = await launched(bench, shell(command))

        end = await end_of(bench, spec)

        assert (end.code, end.reason) == (3, ExitReason.EXITED)
        assert (await bench.engine.collect(spec.attempt)).log_bytes == 0
        assert (await bench.engine.read_log(spec.attempt, 0, 100)).data == b""

    async def test_a_log_longer_than_its_limit_keeps_beginning_and_end(self, bench):
        spec = await launched(bench, shell("head -c 3000000 /dev/zero; echo end"), log_limit_bytes=MiB)
        assert (await end_of(bench, spec)).code == 0
        await bench.engine.collect(spec.attempt)
        head, tail = [await bench.engine.read_log(spec.attempt, at, 4 * MiB) for at in (0, MiB // 2)]
        assert (head.data, tail.data) == (bytes(MiB // 2), bytes(3_000_000 - tail.begins) + b"end\n")

    async def test_a_record_that_lies_changes_no_exit_code(self, bench):
        lie = json.dumps({"code": 0, "signal": None, "stopped": False})
        spec = await launched(bench, shell(f"(sleep 0.2; echo '{lie}' > /himalia/run/exit.json) & exit 3"))

        assert (await end_of(bench, spec)).code == 3

    async def test_an_artifact_that_becomes_a_link_is_not_opened(self, bench):
        spec = await launched(
            bench, shell("echo 1 > /artifacts/a; ln -sfn /etc /artifacts/b; echo ready; exec sleep 600")
        )
        await printed(bench, spec, b"ready")
        assert await content_of(bench.engine, spec.attempt, "a") == b"1\n"

        (bench.layout.attempt(spec.attempt) / "artifacts" / "a").unlink()
        (bench.layout.attempt(spec.attempt) / "artifacts" / "a").symlink_to("/etc/passwd")

        for path in ("a", "b/passwd"):
            with pytest.raises(FileNotFoundError):
                await bench.engine.open_artifact(spec.attempt, path)

    @pytest.mark.fault(23)
    async def test_a_container_that_cannot_be_started_is_told_and_leaves_nothing(self, bench):
        spec = spec_of(bench, PRINTS, workspace_path="/proc/self/not/a/place")

        with pytest.raises(StartFailed):
            await launch(bench.engine, spec)

        end = (await bench.engine.status(spec.attempt)).exit
        assert end.reason is ExitReason.START_FAILED
        assert end.detail
        assert spec.lease_id not in await listed(bench.engine)

    async def test_a_lost_answer_to_a_stop_stops_all_the_same(self, bench):
        spec = await launched(bench, LASTS)
        await printed(bench, spec, b"ready")
        bench.relay.lose_answer(b"/stop?")

        await bench.engine.stop(spec.attempt, grace_seconds=1, why="cancelled")

        assert (await end_of(bench, spec)).reason is ExitReason.STOPPED

    @pytest.mark.fault(24)
    async def test_the_way_to_the_engine_is_found_again(self, bench):
        spec = await launched(bench, FAILS)
        async with bench.cut_off():
            pass

        assert (await end_of(bench, spec)).code == 3
        assert (await bench.engine.status(spec.attempt)).phase is Phase.EXITED

    async def test_a_job_whose_network_was_removed_starts_and_has_its_network_again(self, bench):
        before = bench.network("job")
        bench.remove_network("job")

        spec = await launched(bench, shell("cat /sys/class/net/eth0/operstate"))

        assert (await end_of(bench, spec)).code == 0
        assert (await bench.engine.read_log(spec.attempt, 0, 100)).data == b"up\n"
        after = bench.network("job")
        assert after["Id"] != before["Id"]
        assert same_but_for_its_id(after, before)

    async def test_networks_and_rules_that_were_removed_are_back_after_the_next_look(self, bench):
        before = {kind: bench.network(kind) for kind in ("server", "job")}
        for kind in before:
            bench.remove_network(kind)
        remove_rules(bench.installation)
        gateway = bench.engine.server_gateway
        guard = Firewall(policy_of(bench.engine.site, bench.installation, gateway))
        assert guard.differences()

        await bench.engine.tend()

        assert all(same_but_for_its_id(bench.network(kind), found) for kind, found in before.items())
        assert bench.engine.server_gateway == gateway
        assert guard.differences() == []
        assert (await bench.engine.health()).ok

    async def test_a_network_whose_addresses_are_taken_meanwhile_gets_others_and_the_operator_is_told(self, bench):
        addresses = bench.network("server")["IPAM"]["Config"]
        bench.remove_network("server")
        pool = IPAMPool(subnet=addresses[0]["Subnet"])
        taken = bench.docker.networks.create(f"taken-{bench.installation}", ipam=IPAMConfig(pool_configs=[pool]))
        try:
            await bench.engine.tend()

            assert bench.network("server")["IPAM"]["Config"] != addresses
            (said,) = (await bench.engine.health()).sentences
            assert "made again with another address" in said
            assert "himalia-platform up" in said
        finally:
            taken.remove()

    async def test_networks_are_left_alone_while_the_engine_is_silent_and_rules_are_put_back(self, bench):
        remove_rules(bench.installation)
        async with bench.cut_off():
            await bench.engine.tend()

        assert (
            Firewall(policy_of(bench.engine.site, bench.installation, bench.engine.server_gateway)).differences() == []
        )


def same_but_for_its_id(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether two networks have the same name, addresses, options and labels."""
    return all(one[key] == other[key] for key in ("Name", "IPAM", "Options", "Labels"))
