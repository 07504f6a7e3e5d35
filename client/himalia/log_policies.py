"""What the end of a failed job's log says about it: patterns, each with a label, a sentence, and whether another try can help."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

from pydantic import Field, model_validator

from .errors import FieldError
from .line_patterns import LinePattern
from .sections import NAME, Section

MOST_PATTERNS = 20


class LogPolicy(Section):
    """`[[log_policies]]`: what a failed job's log says about it. They come before those that are shipped; one of the same name takes its place."""

    name: str = Field(pattern=NAME, description="Short name: the job's label.")
    patterns: tuple[str, ...] = Field(
        (),
        max_length=MOST_PATTERNS,
        description="What a line of the log's end must contain, one of these: text as it stands, `*` for anything in between. None: the policy is off.",
    )
    sentence: str = Field("", max_length=500, description="What people read: what happened, and what to do.")
    retry: bool = Field(
        True,
        description="Whether another try can help. false: the job is not tried again, whatever `--retries` and `--retry-on` say.",
    )

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if self.patterns and not self.sentence:
            raise ValueError("give a sentence: what happened, and what to do")
        try:
            for pattern in self.patterns:
                LinePattern.parse(pattern, field="patterns")
        except FieldError as error:
            raise ValueError(error.message) from error
        return self

    def says(self, text: bytes) -> bool:
        """Tell whether a line of a text is one of those that are meant."""
        return any(next(LinePattern.parse(pattern).spans(text), None) for pattern in self.patterns)


SHIPPED = (
    LogPolicy(
        name="gpu-out-of-memory",
        patterns=(
            "CUDA out of memory",
            "CUDA error: out of memory",
            "torch.OutOfMemoryError",
            "CUDA_ERROR_OUT_OF_MEMORY",
            "RESOURCE_EXHAUSTED: Out of memory",
            "OOM when allocating tensor",
        ),
        sentence="The memory of its GPU was full. Use smaller batches, or ask for a GPU with more memory.",
        retry=False,
    ),
    LogPolicy(
        name="shared-memory-full",
        patterns=(
            "insufficient shared memory (shm)",
            "DataLoader worker*killed by signal: Bus error",
            "unable to allocate shared memory(shm)",
        ),
        sentence="Its shared memory (/dev/shm) was full. Use fewer data loader workers, or ask for more memory.",
        retry=False,
    ),
    LogPolicy(
        name="disk-full",
        patterns=("No space left on device", "Disk quota exceeded"),
        sentence="A disk that it wrote to was full. Delete what is not needed, such as old checkpoints in /storage, then run it again.",
        retry=False,
    ),
    LogPolicy(
        name="gpu-fault",
        patterns=(
            "uncorrectable ECC error encountered",
            "CUDA error: unspecified launch failure",
            "CUDA error: an illegal instruction was encountered",
            "GPU has fallen off the bus",
            "CUDA error: misaligned address",
        ),
        sentence="Its GPU reported an error. It may be the GPU's fault: run it again, and tell an administrator if it happens twice.",
    ),
    LogPolicy(
        name="gpu-assert",
        patterns=("CUDA error: device-side assert triggered",),
        sentence="An index or a label was out of range on the GPU. Run it with CUDA_LAUNCH_BLOCKING=1 to see where.",
        retry=False,
    ),
    LogPolicy(
        name="no-gpu",
        patterns=(
            "No CUDA GPUs are available",
            "no CUDA-capable device is detected",
            "Found no NVIDIA driver on your system",
            "Torch not compiled with CUDA enabled",
        ),
        sentence="It wanted a GPU and found none. Ask for one with --gpu 1 and choose an image with CUDA, or let it use the CPU.",
        retry=False,
    ),
    LogPolicy(
        name="gpus-lost-touch",
        patterns=("Watchdog caught collective operation timeout", "NCCL error", "ncclSystemError", "ncclRemoteError"),
        sentence="Its GPUs lost touch with each other (NCCL). Run it again; with NCCL_DEBUG=INFO the log says more.",
    ),
    LogPolicy(
        name="package-missing",
        patterns=("ModuleNotFoundError: No module named",),
        sentence="A Python package is missing. Install it with pip in a notebook's terminal, or choose another image.",
        retry=False,
    ),
    LogPolicy(
        name="network",
        patterns=("Temporary failure in name resolution", "Network is unreachable", "Max retries exceeded with url"),
        sentence="It could not reach an address on the network. Run it again later; here jobs may have no internet.",
    ),
)


def all_policies(own: Sequence[LogPolicy]) -> tuple[LogPolicy, ...]:
    """Return a site's own policies, and those shipped ones whose place none of them takes; without those that are off."""
    names = {policy.name for policy in own}
    everything = (*own, *(policy for policy in SHIPPED if policy.name not in names))
    return tuple(policy for policy in everything if policy.patterns)


def policy_for(text: bytes, policies: Iterable[LogPolicy]) -> LogPolicy | None:
    """Return the first policy that a text speaks of."""
    return next((policy for policy in policies if policy.says(text)), None)
