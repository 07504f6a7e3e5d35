"""Why something waits or why it ended: an enum, and one plain sentence with what to do for each."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a job or a server waits, or why a job ended."""

    # Waiting.
    IN_LINE = "in_line"
    WAITS_FOR_GPUS = "waits_for_gpus"
    WAITS_FOR_CPUS = "waits_for_cpus"
    WAITS_FOR_MEMORY = "waits_for_memory"
    AT_LIMIT = "at_limit"
    WAITS_FOR_RESERVATION = "waits_for_reservation"
    WAITS_FOR_MAINTENANCE = "waits_for_maintenance"
    WAITS_FOR_NODE = "waits_for_node"
    WAITS_FOR_ENGINE = "waits_for_engine"
    WAITS_FOR_DISK = "waits_for_disk"
    WAITS_FOR_RETRY = "waits_for_retry"
    # Ended.
    EXITED = "exited"
    SUCCEEDED_WITH_CHILD_OOM = "succeeded_with_child_oom"
    COMMAND_NOT_FOUND = "command_not_found"
    COMMAND_NOT_EXECUTABLE = "command_not_executable"
    KILLED_BY_SIGNAL = "killed_by_signal"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    DISK_LIMIT = "disk_limit"
    GPU_IDLE = "gpu_idle"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"
    OVER_SHARE = "over_share"
    IMAGE_MISSING = "image_missing"
    WORKSPACE_BROKEN = "workspace_broken"
    START_FAILED = "start_failed"
    CANNOT_RUN = "cannot_run"
    NODE_REBOOTED = "node_rebooted"
    ENGINE_STOPPED = "engine_stopped"
    VANISHED = "vanished"
    DISK_FULL = "disk_full"


class Sure(StrEnum):
    """How sure the expected start of something that waits is."""

    AT_LATEST = (
        "at_latest"  #: the first in line, from time limits alone: by then at the latest, if nobody is put before it
    )
    LIKELY = "likely"  #: those who have now what it gets are known to run alike
    GUESS = "guess"  #: others that wait come in between, or such things ran too differently, or little is known


SENTENCES: dict[Reason, str] = {
    Reason.IN_LINE: "Waiting in line; others are first.",
    Reason.WAITS_FOR_GPUS: "Waiting for GPUs that others hold; it starts by itself when they are free.",
    Reason.WAITS_FOR_CPUS: "Waiting for CPUs that others hold; it starts by itself when they are free.",
    Reason.WAITS_FOR_MEMORY: "Waiting for memory that others hold; it starts by itself when it is free.",
    Reason.AT_LIMIT: "A limit of its owner, team or profile is reached; it starts when enough is given back.",
    Reason.WAITS_FOR_RESERVATION: "The GPUs that it could use are reserved; with its time limit it would run into that.",
    Reason.WAITS_FOR_MAINTENANCE: "With its time limit it would run into a maintenance; it starts afterwards.",
    Reason.WAITS_FOR_NODE: "No machine takes anything new now; it starts when an administrator opens one again.",
    Reason.WAITS_FOR_ENGINE: "The Docker Engine does not answer. Nothing is lost; it starts when the Engine is back.",
    Reason.WAITS_FOR_DISK: "The data disk is full. Nothing is lost; it starts when there is room again.",
    Reason.WAITS_FOR_RETRY: "An attempt failed; it is tried again after a pause that grows with every failure.",
    Reason.EXITED: "The command ended.",
    Reason.SUCCEEDED_WITH_CHILD_OOM: "It ended with exit code 0, but one of its processes was killed for want of memory. Check the results, or ask for more memory.",
    Reason.COMMAND_NOT_FOUND: "The command was not found in the image. Check its name, or install it.",
    Reason.COMMAND_NOT_EXECUTABLE: "The command's file may not be executed. Try `chmod +x`, or name the interpreter first.",
    Reason.KILLED_BY_SIGNAL: "The command was ended by a signal.",
    Reason.OUT_OF_MEMORY: "It used more memory than it asked for and was ended. Ask for more memory, or use less.",
    Reason.TIMED_OUT: "It reached its time limit and was ended; what it had written to /artifacts is kept. Ask for more time, or keep checkpoints in /storage.",
    Reason.DISK_LIMIT: "It was ended for that; what it had written to /artifacts is kept. Write less, delete on the way what is not needed, or ask for more, such as --disk 200G.",
    Reason.GPU_IDLE: "It was ended so that others can use the GPUs; what it had written to /artifacts is kept. Ask for no GPU, or look in its log for what it waited for.",
    Reason.CANCELLED: "It was cancelled; what it had written to /artifacts is kept.",
    Reason.PREEMPTED: "It gave way to somebody before it and is in line again; it starts by itself. Keep checkpoints in /storage.",
    Reason.OVER_SHARE: "It used more than its share of a shared GPU's memory and was ended, as the administrator wants it; what it had written to /artifacts is kept. Use less, or ask for more, such as shared:24GB.",
    Reason.IMAGE_MISSING: "Its image is not on this machine any more. Choose another image, or ask an administrator to bring it back.",
    Reason.WORKSPACE_BROKEN: "The submitted files could not be read back. Submit again; tell an administrator if it happens twice.",
    Reason.START_FAILED: "Its container could not be started.",
    Reason.CANNOT_RUN: "It can never run on this platform as it is now. Change what it asks for and submit again.",
    Reason.NODE_REBOOTED: "The machine was restarted while it ran. Run it again.",
    Reason.ENGINE_STOPPED: "The Docker Engine was stopped while it ran. Run it again.",
    Reason.VANISHED: "Its container was removed by somebody while it ran; the log is kept. Run it again.",
    Reason.DISK_FULL: "The disk was full. Delete what is not needed, then run it again.",
}

WAITING_REASONS = frozenset(
    {
        Reason.IN_LINE,
        Reason.WAITS_FOR_GPUS,
        Reason.WAITS_FOR_CPUS,
        Reason.WAITS_FOR_MEMORY,
        Reason.AT_LIMIT,
        Reason.WAITS_FOR_RESERVATION,
        Reason.WAITS_FOR_MAINTENANCE,
        Reason.WAITS_FOR_NODE,
        Reason.WAITS_FOR_ENGINE,
        Reason.WAITS_FOR_DISK,
        Reason.WAITS_FOR_RETRY,
    }
)


def sentence(reason: Reason, detail: str = "") -> str:
    """Return the plain sentence for a reason; a detail, where there is one, says what happened here."""
    return f"{detail} {SENTENCES[reason]}".strip() if detail else SENTENCES[reason]
