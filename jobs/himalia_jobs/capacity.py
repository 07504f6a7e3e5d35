"""What a machine gives out: what it has, less what the operator keeps back; and what can never run there."""

from __future__ import annotations

from collections.abc import Sequence

from himalia.site import Limits
from himalia.units import GiB, format_size
from himalia_gpus.allocation import why_never
from himalia_gpus.request import GPURequest

from .engines.base import Node


def cpus_of(node: Node, limits: Limits) -> float:
    """Return the CPUs that a node gives out."""
    return min(node.cpus, limits.cpus) if limits.cpus else node.cpus


def memory_of(node: Node, limits: Limits) -> int:
    """Return the memory that a node gives out: all of it less a tenth, at least 1 GB, for the machine itself."""
    if limits.memory:
        return min(node.memory_bytes, limits.memory)
    return node.memory_bytes - max(GiB, node.memory_bytes // 10)


def why_it_never_fits(
    cpus: float, memory_bytes: int, gpus: GPURequest, nodes: Sequence[Node], limits: Limits
) -> tuple[str, str] | None:
    """Return (field, sentence) when no node could ever run this, even when all is free; none while no node was seen."""
    if not nodes:
        return None
    most_cpus = max(cpus_of(node, limits) for node in nodes)
    if cpus > most_cpus + 1e-9:
        return "cpus", f"{cpus:g} CPUs are more than this platform has: {most_cpus:g}. Ask for fewer."
    most_memory = max(memory_of(node, limits) for node in nodes)
    if memory_bytes > most_memory:
        return "memory", (
            f"{format_size(memory_bytes)} of memory is more than this platform gives out: "
            f"{format_size(most_memory)}. Ask for less."
        )
    if gpus.count:
        never = [why_never(list(node.slots), gpus) for node in nodes]
        if all(never):
            return "gpus", str(never[0])
    return None


def why_it_can_never_run(
    cpus: float, memory_bytes: int, gpus: GPURequest, nodes: Sequence[Node], limits: Limits
) -> str | None:
    """Return the sentence when only a change of the platform could let this run; none where it may just be bad luck now.

    What a machine lacks is told from what is broken: every machine must be seen and take new containers, and a real GPU
    that is not there may only be ill, so that simulated ones alone, which the operator's file names, are missed for good.
    """
    if any(node.state != "ready" for node in nodes):
        return None
    never = why_it_never_fits(cpus, memory_bytes, gpus, nodes, limits)
    if never is None or (never[0] == "gpus" and not _all_named(nodes)):
        return None
    return never[1]


def _all_named(nodes: Sequence[Node]) -> bool:
    """Tell whether all GPUs are those that the operator's file names."""
    return all(node.slots and all(slot.simulated for slot in node.slots) for node in nodes)
