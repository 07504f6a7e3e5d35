"""What takes hours elsewhere, on a whole platform whose times are seconds: idle GPUs, old servers, jobs that give way; and
limits of the hub's groups, seats and MIG devices, which need settings of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from live_platform import LivePlatform, eventually, output, run, state

from himalia.container import Label
from himalia.gpus import SlotKind
from himalia.models import JobView, NoticeView, ServerView
from himalia.reasons import Reason
from himalia.states import JobState

if TYPE_CHECKING:
    import himalia

Client = Callable[[str], "himalia.Client"]

WHOLE = 3  #: GPUs that are given out whole; one is shared, one is cut
SETTINGS = """
[auth]
admins = ["root-admin"]

[limits]
stop_grace = "2s"
disk_reserve = "64M"

[gpus]
simulate = 5
memory = "24G"

[[gpu_modes]]
gpu = "3"
mode = "shared"
seats = 2

[[gpu_modes]]
gpu = "4"
mode = "mig"
slices = ["3g.12gb", "1g.6gb"]

[queue]
preempt_warning = "3s"
preempt_grace = "20s"

[idle]
after = "never"
warning = "5s"
jobs_after = "2s"
jobs_then = "end"
without_gpus_after = "never"

[[profiles]]
name = "plain"
cpus = 0.25
memory = "512M"

[[profiles]]
name = "tiny"
cpus = 0.1
memory = "64M"

[[profiles]]
name = "stops"
cpus = 0.25
memory = "512M"
gpus = "1"
idle_after = "8s"

[[profiles]]
name = "restarts"
cpus = 0.25
memory = "512M"
gpus = "1"
idle_after = "8s"
idle_then = "restart"

[[profiles]]
name = "aged"
cpus = 0.25
memory = "512M"
max_age = "20s"

[[profiles]]
name = "seat"
cpus = 0.25
memory = "512M"
gpus = "shared"
"""

# The first run goes on until it is told to stop; one that finds a checkpoint has five steps to go.
TRAINING = """
import os, pathlib, signal, sys, time
kept = pathlib.Path("/storage/checkpoint.txt")
begin = int(kept.read_text()) if kept.exists() else 0
step, wanted = begin, begin + 5 if kept.exists() else 10**9

def save(*_):
    kept.write_text(str(step))
    print("saved step", step)
    sys.exit(0)

signal.signal(signal.SIGTERM, save)
print("begins at step", begin, "with artifacts", os.listdir("/artifacts"))
pathlib.Path(f"/artifacts/{os.environ['HIMALIA_ATTEMPT']}").touch()
while step < wanted:
    step += 1
    time.sleep(0.1)
print("done at step", step)
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    """A platform of this module's own, in the place of the run's."""
    platform = LivePlatform(tmp_path_factory.mktemp("short"), SETTINGS)
    try:
        platform.start()
        yield platform
        platform.stop_servers()
        platform.see_that_all_is_given_back()
    finally:
        platform.end()


def told(client: himalia.Client, kind: str) -> NoticeView:
    """Return the one notice of a kind, once somebody is told it."""
    (notice,) = eventually(lambda: [one for one in client.notices() if one.kind == kind])
    return notice


def containers_of(live: LivePlatform, who: str) -> list[Any]:
    """Return the containers of somebody's servers, running or not."""
    found = live.containers("server", everything=True)
    return [one for one in found if one.attrs["Labels"][Label.OWNER] == f"user:{who}"]


def environment_of(container: Any) -> dict[str, str]:
    """Return the environment that a container was made with."""
    container.reload()
    return dict(line.split("=", 1) for line in container.attrs["Config"]["Env"])


@dataclass(frozen=True, kw_only=True)
class Story:
    """What the owner of a server was told until its end, and what was there afterwards."""

    warning: NoticeView
    end: NoticeView
    servers: list[ServerView]
    containers: list[Any]


def story_of_a_server(live: LivePlatform, who: str, kind: str) -> Story:
    """Do nothing with somebody's server until it has ended."""
    with live.client(who) as client:
        return Story(
            warning=told(client, kind),
            end=told(client, "ended"),
            servers=client.servers(),
            containers=containers_of(live, who),
        )


def story_of_a_job(live: LivePlatform, who: str) -> tuple[NoticeView, str, JobView, bytes, list[NoticeView]]:
    """Let a job do nothing with its GPU until it has ended."""
    with live.client(who) as client:
        job = run(client, "echo waits for nothing; sleep 600", profile="tiny", gpus="1", wait=False)
        warning = told(client, "job_idle")
        line = state(job).sentence
        job.wait(timeout=90)
        return warning, line, job.view, output(job), [one for one in client.notices() if one.kind == "job_idle"]


def begin(live: LivePlatform, who: str, profile: str) -> None:
    """Start somebody's server, and put a file into their home."""
    person = live.person(who)
    person.start_server(profile)
    model = {"type": "file", "format": "text", "content": f"results of {who}"}
    assert person.put(f"user/{who}/api/contents/{who}.txt", model).status_code == 201


def in_the_home(live: LivePlatform, who: str) -> str:
    """Return what is in that file, as it lies on the disk."""
    (file,) = (live.place.site.data / "homes").glob(f"*/{who}.txt")
    return file.read_text()


def pretend(live: LivePlatform, busy_percent: int) -> None:
    """Let the GPUs that are given out whole say how busy they are."""
    file = live.place.site.data / "simulated_load.json"
    draft = file.with_suffix(".part")
    draft.write_text(json.dumps({str(index): {"busy_percent": busy_percent} for index in range(WHOLE)}))
    os.replace(draft, file)


@pytest.fixture(scope="module")
def stories(live: LivePlatform) -> dict[str, Future[Any]]:
    """Three servers and a job, all at once: ada's and bob's lose their GPUs, carol's grows old, dave's job does nothing."""
    _, _, carol, _ = (live.person(who) for who in ("ada", "bob", "carol", "dave"))
    pretend(live, 90)  # so that no server is idle while it is being started, however long that takes
    with ThreadPoolExecutor(4) as threads, live.client("ada") as client:
        threads.submit(carol.start_server, "aged")
        old = threads.submit(story_of_a_server, live, "carol", "max_age")
        eventually(lambda: [slot.busy_percent for slot in client.gpus().slots][:WHOLE] == [90] * WHOLE)
        for begun in [threads.submit(begin, live, "ada", "stops"), threads.submit(begin, live, "bob", "restarts")]:
            begun.result()
        pretend(live, 0)
        found = {
            "ada": threads.submit(story_of_a_server, live, "ada", "idle"),
            "bob": threads.submit(story_of_a_server, live, "bob", "idle"),
            "carol": old,
            "dave": threads.submit(story_of_a_job, live, "dave"),
        }
        wait(found.values())
        pretend(live, 90)  # nobody else's job shall be idle
        live.stop_servers()
        eventually(lambda: [slot.busy_percent for slot in client.gpus().slots][:WHOLE] == [90] * WHOLE)
    return found


def test_an_idle_server_is_told_and_then_stopped_and_its_home_stays(live, stories):
    story = stories["ada"].result()

    assert story.warning.sentence.startswith("The GPU of your server has been idle for ")
    assert "the server is stopped, unless used. Files stay; memory is lost." in story.warning.sentence
    assert story.warning.actions == {"keep": "Keep", "stop": "Stop now"}
    assert story.end.sentence.startswith("Your server was stopped at ")
    assert "its GPU had not been used for" in story.end.sentence
    assert (story.servers, story.containers) == ([], [])
    assert in_the_home(live, "ada") == "results of ada"


def test_an_idle_server_goes_on_without_its_gpu_where_that_is_the_setting(live, stories):
    story = stories["bob"].result()

    assert "the server is restarted without it, unless used" in story.warning.sentence
    assert set(story.warning.actions) == {"keep", "stop", "restart"}
    assert story.end.sentence.startswith("Your server was restarted without a GPU at ")
    (server,), (container,) = story.servers, story.containers
    assert (server.profile, server.gpus, server.idle_limit_seconds) == ("plain", 0, None)
    assert container.attrs["Labels"][Label.SLOTS] == ""
    assert in_the_home(live, "bob") == "results of bob"


def test_a_server_ends_at_its_largest_age(stories):
    story = stories["carol"].result()

    assert "your server reaches its largest age, 20 s, and is stopped." in story.warning.sentence
    assert story.end.sentence.startswith("Your server was stopped at ")
    assert "it had reached its largest age" in story.end.sentence
    assert (story.servers, story.containers) == ([], [])


def test_a_job_that_leaves_its_gpu_idle_is_told_and_then_ended(stories):
    warning, line, job, printed, notices = stories["dave"].result()

    assert warning.job == job.id
    assert f"({job.id}) has not used its GPUs for " in warning.sentence
    assert line.startswith("It has not used its GPUs since ")
    assert (job.state, job.reason) == (JobState.FAILED, Reason.GPU_IDLE)
    assert job.sentence.startswith("It had not used its GPUs for ")
    assert (printed, notices) == (b"waits for nothing\n", [])


def test_a_limit_that_a_group_of_the_hub_has_as_a_property_holds_for_its_members(live, client):
    for name in ("grace", "heidi"):
        live.person(name)
    live.hub("POST", "groups/vision", json={}).raise_for_status()
    live.hub("POST", "groups/vision/users", json={"users": ["grace", "heidi"]}).raise_for_status()
    live.hub("PUT", "groups/vision/properties", json={"himalia": {"gpus": 1}}).raise_for_status()
    live.kill("service")  # it reads them when it starts, and every minute
    eventually(lambda: is_up(live))
    grace, heidi = client("grace"), client("heidi")

    first = run(grace, "sleep 600", profile="tiny", gpus="1", wait=False)
    eventually(lambda: state(first).state is JobState.RUNNING)
    second = run(heidi, "true", profile="tiny", gpus="1", wait=False)
    stranger = run(client("ivan"), "true", profile="tiny", gpus="1")

    waits = eventually(lambda: (view := state(second)).reason is Reason.AT_LIMIT and view)
    assert waits.sentence == (
        "1st in line. The team vision may hold 1 GPU at once, and 1 is held. It starts when enough is given back."
    )
    assert stranger.state is JobState.SUCCEEDED
    first.cancel()
    assert second.wait(timeout=90).state is JobState.SUCCEEDED


def is_up(live: LivePlatform) -> bool:
    """Tell whether the service answers."""
    try:
        return live.ask("GET", "health").status_code == 200
    except httpx.TransportError:
        return False


def test_a_notebook_and_a_job_sit_on_one_shared_gpu_and_each_knows_its_own(live, client):
    ivan = client("ivan")
    live.person("eve").start_server("seat")
    job = run(ivan, "echo $HIMALIA_GPUS; sleep 600", profile="tiny", gpus="shared", wait=False)
    eventually(lambda: state(job).state is JobState.RUNNING)

    root = client("root-admin")
    seats = [slot for slot in root.gpus().slots if slot.kind is SlotKind.SEAT]
    assert sorted(seat.holder for seat in seats) == sorted(["eve's notebook", f"job {job.id} of ivan"])
    assert {seat.gpu for seat in seats} == {seats[0].gpu}
    assert [seat.share_bytes for seat in seats] == [12 * 1024**3] * 2
    found = {one.attrs["Labels"][Label.OWNER]: one for one in live.containers()}
    by_owner = {owner: found[owner] for owner in ("user:eve", "user:ivan")}
    labels = {owner: one.attrs["Labels"][Label.SLOTS] for owner, one in by_owner.items()}
    assert labels == {f"user:{seat.holder_user}": seat.uuid for seat in seats}
    assert sorted(labels.values()) == [f"{seats[0].gpu}#1", f"{seats[0].gpu}#2"]
    for container in by_owner.values():
        environment = environment_of(container)
        assert environment["HIMALIA_GPUS"] == seats[0].gpu
        assert environment["NVIDIA_VISIBLE_DEVICES"] == "void"
        assert not container.attrs["HostConfig"]["DeviceRequests"]
    third = run(ivan, "true", profile="tiny", gpus="shared", wait=False)
    assert eventually(lambda: state(third).reason) is Reason.WAITS_FOR_GPUS
    job.cancel()
    assert third.wait(timeout=90).state is JobState.SUCCEEDED
    live.person("eve").stop_server()


def test_two_jobs_have_a_mig_device_each_of_one_gpu(live, client):
    eve, ivan = client("eve"), client("ivan")
    say = "echo $HIMALIA_GPUS $NVIDIA_VISIBLE_DEVICES; sleep 600"
    jobs = [
        run(eve, say, profile="tiny", gpus="mig-3g.12gb", wait=False),
        run(ivan, say, profile="tiny", gpus="mig-1g.6gb", wait=False),
    ]
    eventually(lambda: all(b"void" in b"".join(job.log()) for job in jobs))

    devices = {slot.mig_profile: slot for slot in eve.gpus().slots if slot.kind is SlotKind.MIG}
    large, small = devices["3g.12gb"], devices["1g.6gb"]
    assert large.gpu == small.gpu != large.uuid
    assert [b"".join(job.log()).decode() for job in jobs] == [f"{large.uuid} void\n", f"{small.uuid} void\n"]
    labels = {one.attrs["Labels"][Label.JOB]: one.attrs["Labels"][Label.SLOTS] for one in live.containers("job")}
    assert labels == {jobs[0].id: large.uuid, jobs[1].id: small.uuid}


def test_a_preemptible_job_gives_way_and_goes_on_from_its_checkpoint(live, client, tmp_path):
    (tmp_path / "train.py").write_text(TRAINING)
    olga, paul = client("olga"), client("paul")
    job = run(olga, ["python3", "train.py"], tmp_path, profile="tiny", gpus=str(WHOLE), preemptible=True, wait=False)
    eventually(lambda: b"begins at step 0" in b"".join(job.log()))

    other = run(paul, "sleep 1", profile="tiny", gpus="1", wait=False)
    warned = eventually(lambda: (view := state(job)).gives_way_at and view)
    assert warned.sentence.startswith("It gives way to somebody before it: it is stopped at ")
    assert told(olga, "gives_way").job == job.id
    assert other.wait(timeout=90).state is JobState.SUCCEEDED
    job.wait(timeout=90)

    assert (job.state, job.view.retries, [one.number for one in job.view.attempts]) == (JobState.SUCCEEDED, 0, [1, 2])
    before, after = job.view.attempts
    assert (before.reason, after.reason, after.exit_code) == (Reason.PREEMPTED, Reason.EXITED, 0)
    assert before.started_at < before.finished_at <= other.view.started_at
    assert other.view.finished_at <= after.started_at < after.finished_at
    logs = [b"".join(job.log(attempt=number)).decode().splitlines() for number in (1, 2)]
    saved = int(logs[0][1].removeprefix("saved step "))
    assert saved > 0
    assert logs == [
        ["begins at step 0 with artifacts []", f"saved step {saved}"],
        [f"begins at step {saved} with artifacts []", f"done at step {saved + 5}"],
    ]
    assert [one.path for one in job.artifacts()] == [after.id]
    assert f"({job.id}) gave way at " in told(olga, "gave_way").sentence
