"""`kill -9` of service, sampler and hub under a stream of servers and jobs on four GPUs, with the containers as witness.

A seed draws people's wishes, victims and moments; which of them meet, the machine decides. `make campaign` runs it long:
HIMALIA_CAMPAIGN_KILLS, HIMALIA_CAMPAIGN_STARTS and HIMALIA_CAMPAIGN_SEED say how long, and which.
"""

from __future__ import annotations

import contextlib
import os
import random
import time

import pytest
from campaign_killer import Killer
from campaign_load import Load, Wish
from campaign_platform import GPUS, CampaignPlatform
from figures_told import tell_figure
from gpu_witness import GPUWitness
from live_platform import eventually
from nvml_hardware import nvml_library as nvml_library

from himalia.errors import HimaliaError
from himalia.states import FINAL_STATES, JobState

LONG = bool(os.environ.get("HIMALIA_CAMPAIGN"))
KILLS = int(os.environ.get("HIMALIA_CAMPAIGN_KILLS", "500" if LONG else "5"))
STARTS = int(os.environ.get("HIMALIA_CAMPAIGN_STARTS", "2000" if LONG else "20"))
SEED = int(os.environ.get("HIMALIA_CAMPAIGN_SEED") or (random.SystemRandom().randrange(10**6) if LONG else 7))
STARTS_A_WAVE = 100  #: then all comes to rest, and is looked at
SECONDS_A_START = 10.0  #: with the kills between; a wave that takes longer has stopped
REST_SECONDS = 200.0  #: a start whose hub died gives its place back within two minutes


@pytest.mark.timeout(60 + (SECONDS_A_START * STARTS + REST_SECONDS) * 2)
def test_no_gpu_is_given_out_twice_or_lost_whoever_is_killed_and_when(nvml_library, tmp_path):
    waves = max(1, round(STARTS / STARTS_A_WAVE))
    killers = [Killer(SEED + wave, -(-KILLS // waves), STARTS / KILLS) for wave in range(waves)]
    now = [killers[0]]
    platform = CampaignPlatform(tmp_path / "campaign", nvml_library, lambda step, pid: now[0].at_step(step, pid))
    print(f"\nHIMALIA_CAMPAIGN_SEED={SEED}: {KILLS} kills over {STARTS} starts, in {waves} waves")
    try:
        platform.start()
        with GPUWitness(platform.place.installation) as witness:
            for wave, killer in enumerate(killers):
                now[0] = killer
                one_wave(platform, witness, killer, SEED + wave, -(-STARTS // waves))
    finally:
        platform.end()
    total = sum(killer.total for killer in killers)
    assert total >= KILLS
    assert witness.total >= STARTS
    tell_figure(
        f"{total} kills of service, sampler and hub, real containers, seed {SEED}",
        f"{witness.total} started: no GPU twice, none lost, nothing left",
    )


def one_wave(platform: CampaignPlatform, witness: GPUWitness, killer: Killer, seed: int, starts: int) -> None:
    """Let so many servers and jobs start while the killer is about; then all comes to rest, and nothing may be left."""
    begun, before = time.monotonic(), witness.total
    load = Load(platform, seed)
    load.start()
    killer.start(platform, witness)
    try:
        eventually(
            lambda: witness.wrong or load.wrong or killer.wrong or is_over(witness, killer, before + starts),
            SECONDS_A_START * starts + 60,
        )
    finally:
        killer.stop()
        load.stop()
    assert (killer.wrong, load.wrong, witness.wrong) == ([], [], [])
    load.look_at_all()
    tell(witness, killer, load, seed, time.monotonic() - begun, before)
    nothing_is_left(platform, witness)
    assert not [told for wish in load.wishes if (told := untruth(wish, witness, killer))]
    assert platform.gate.wrong == []


def is_over(witness: GPUWitness, killer: Killer, starts: int) -> bool:
    """Tell whether a wave has had its starts and its kills."""
    return witness.total >= starts and killer.has_done


def tell(witness: GPUWitness, killer: Killer, load: Load, seed: int, seconds: float, before: int) -> None:
    """Say what happened, in words for the report."""
    victims = {name: sum(n for (victim, _), n in killer.kills.items() if victim == name) for name, _ in killer.kills}
    moments = {str(at): sum(n for (_, moment), n in killer.kills.items() if moment == at) for _, at in killer.kills}
    starts = witness.total - before
    print(f"seed {seed}: {starts} starts ({dict(witness.started)} so far), {killer.total} kills in {seconds:.0f} s")
    print(f"  {seconds / max(1, starts):.2f} s a start; {load.servers} servers came up; killed {victims}, at {moments}")
    print(f"  by hand: {dict(killer.by_hand)}; {len(load.wishes)} jobs; at most {witness.most_at_once} GPUs in use")


def nothing_is_left(platform: CampaignPlatform, witness: GPUWitness) -> None:
    """No container, no volume, no lease; every GPU is given out again."""
    root = platform.client("root-admin")
    try:
        nothing = {"containers": [], "volumes": []}
        eventually(lambda: witness.left() == nothing and is_idle(root), REST_SECONDS)
    except AssertionError:
        print(witness.left(), root.gpus())
        for name in witness.left()["containers"]:
            tell_of(platform, name.split(" ")[0].rpartition("-")[2].partition(".")[0], root)
        raise
    finally:
        root.close()


def tell_of(platform: CampaignPlatform, job_id: str, root) -> None:
    """Print what is known of a job whose container is left, for whoever wants to know why."""
    with contextlib.suppress(HimaliaError):
        print(root.job(job_id).model_dump_json(indent=1))
    print(*(line for line in platform.log("service").splitlines() if job_id in line), sep="\n")
    for found in platform.containers(everything=True):
        print(found.name, platform.docker.api.inspect_container(found.id)["State"], found.logs(tail=20))


def is_idle(root) -> bool:
    """Tell whether the ledger says that nobody holds anything, and nobody waits."""
    ledger = root.gpus()
    node = ledger.nodes[0]
    unused = (node.cpus_free, node.memory_free_bytes) == (node.cpus, node.memory_bytes)
    return ledger.free == GPUS and not ledger.queue and unused and not [slot for slot in ledger.slots if slot.holder]


def untruth(wish: Wish, witness: GPUWitness, killer: Killer) -> str:
    """Return what is said of a job and is not so, by what its containers did; empty when all is true."""
    job, state = wish.view, JobState(wish.view["state"])
    attempts = [attempt["id"] for attempt in job["attempts"]]
    started = {attempt: witness.starts[attempt] for attempt in attempts if witness.starts[attempt]}
    told = f"{job['id']} ({wish.body['command']}) is {state}, {job['reason']}, {job['exit_code']}; started: {started}"
    if state not in FINAL_STATES:
        return f"{told}: it has not ended"
    if job["id"] in killer.touched:
        return ""
    if any(count > 1 for count in started.values()):
        return f"{told}: twice"
    if state is JobState.CANCELLED:
        return "" if wish.cancel_at else f"{told}: nobody cancelled it"
    if not started or job["exit_code"] != wish.exit_code or witness.exit_codes.get(attempts[-1]) != wish.exit_code:
        return f"{told}: it should have ended with {wish.exit_code}, and the Engine says {witness.exit_codes.get(attempts[-1])}"
    return "" if (state is JobState.SUCCEEDED) is (wish.exit_code == 0) else told
