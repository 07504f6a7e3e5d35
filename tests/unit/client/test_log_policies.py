"""What the end of a failed job's log says about it."""

from __future__ import annotations

import time

import pytest
from pydantic import ValidationError

from himalia.log_policies import SHIPPED, LogPolicy, all_policies, policy_for
from himalia.site import Site

OWN = LogPolicy(name="licence", patterns=("no licence for *",), sentence="All licences are taken. Run it again later.")

SAID = {
    "gpu-out-of-memory": "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 79.10 GiB total)",
    "shared-memory-full": "RuntimeError: DataLoader worker (pid 57) is killed by signal: Bus error. It is possible that",
    "disk-full": "OSError: [Errno 28] No space left on device: '/storage/checkpoint.pt'",
    "gpu-fault": "RuntimeError: CUDA error: uncorrectable ECC error encountered",
    "gpu-assert": "RuntimeError: CUDA error: device-side assert triggered",
    "no-gpu": "RuntimeError: No CUDA GPUs are available",
    "gpus-lost-touch": "[Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=7)",
    "package-missing": "ModuleNotFoundError: No module named 'einops'",
    "network": "socket.gaierror: [Errno -3] Temporary failure in name resolution",
}


def label(text: str, own: tuple[LogPolicy, ...] = ()) -> str | None:
    found = policy_for(text.encode(), all_policies(own))
    return found.name if found else None


@pytest.mark.parametrize("policy", SHIPPED, ids=lambda policy: policy.name)
def test_each_shipped_policy_knows_what_programs_print(policy):
    assert label(f"Traceback (most recent call last):\n  …\n{SAID[policy.name]}\n") == policy.name


def test_nothing_is_said_about_what_nobody_knows():
    assert label("epoch 1\nloss 0.2\nValueError: bad shape\n") is None


def test_a_sites_own_policies_come_first_take_a_place_and_switch_off():
    both = "no licence for matlab\nCUDA out of memory\n"

    assert label(both, (OWN,)) == "licence"
    assert label(both, (LogPolicy(name="gpu-out-of-memory"),)) is None
    assert len(all_policies((OWN.model_copy(update={"name": "disk-full"}),))) == len(SHIPPED)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Odd Name", "patterns": ["a"], "sentence": "b"},
        {"name": "a", "patterns": ["**"], "sentence": "b"},
        {"name": "a", "patterns": ["a"]},
        {"name": "a", "patterns": ["a"] * 21, "sentence": "b"},
        {"name": "a", "pattern": "a", "sentence": "b"},
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(wrong):
    with pytest.raises(ValidationError):
        Site(log_policies=[wrong])


def test_an_endless_line_made_to_be_slow_is_looked_at_in_no_time():
    hostile = LogPolicy(name="hostile", patterns=("a*a*a*a*a*a*a*a*b",), sentence="c")
    began = time.monotonic()

    assert not hostile.says(b"a" * 262_144)
    assert not hostile.says(b"a\n" * 131_072)
    assert time.monotonic() - began < 5
