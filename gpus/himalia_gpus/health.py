"""What NVML's error codes mean, in words for the operator, and what they say about a GPU."""

from __future__ import annotations

from himalia.gpus import SlotHealth

# Numbers of the public NVML interface; the library's own names are not at hand where the library is missing.
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
INSUFFICIENT_SIZE = 7
DRIVER_NOT_LOADED = 9
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
VERSION_MISMATCH = 18
NO_DATA = 21
ARGUMENT_VERSION_MISMATCH = 25
TIMEOUT = 10
UNKNOWN = 999

#: A GPU that does not know the answer to one question is healthy all the same.
NO_ANSWER = frozenset(
    {NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND, INSUFFICIENT_SIZE, FUNCTION_NOT_FOUND, NO_DATA, ARGUMENT_VERSION_MISMATCH}
)

_SENTENCES = {
    1: "The NVIDIA driver was reloaded under the GPU sampler. It starts again by itself.",
    NO_PERMISSION: "The NVIDIA driver refuses this user. Run the job service as root, or allow it /dev/nvidia*.",
    8: "A power cable of the GPU is not connected. Check the cables.",
    DRIVER_NOT_LOADED: "The NVIDIA driver is installed but not loaded. Run `modprobe nvidia`, or restart the machine.",
    TIMEOUT: "The GPU did not answer in time. If it stays so, reset the GPU or restart the machine.",
    11: "The GPU's interrupts do not reach the driver. Restart the machine; check the BIOS settings if it stays so.",
    LIBRARY_NOT_FOUND: "No NVIDIA driver was found on this machine. Install it to use its GPUs, or simulate GPUs.",
    14: "The GPU's own memory of its settings is corrupt. Have the GPU looked at; it may need to be replaced.",
    GPU_IS_LOST: "The GPU has fallen off the bus. Restart the machine; if it happens again, have the GPU looked at.",
    RESET_REQUIRED: "The GPU must be reset. End what runs on it, then run `nvidia-smi --gpu-reset`, or restart.",
    17: "The operating system keeps the driver from the GPU. Check the cgroup and the security settings.",
    VERSION_MISMATCH: "The NVIDIA driver was upgraded, but the old one still runs. Restart the machine.",
    20: "The NVIDIA driver has no memory left on the host. Free some, or restart the machine.",
    UNKNOWN: "The NVIDIA driver answers with an unknown error. Look at `dmesg` for lines with NVRM or Xid.",
}


def sentence(code: int) -> str:
    """Return what an NVML error means and what to do."""
    told = _SENTENCES.get(code)
    return told or f"The NVIDIA driver answers with error {code}. Look at `dmesg` for lines with NVRM or Xid."


def health_of(code: int) -> tuple[SlotHealth, str]:
    """Return what an error on one GPU says about it, and the words."""
    if code in NO_ANSWER or code == 0:
        return SlotHealth.OK, ""
    return SlotHealth.SUSPECT, sentence(code)


#: Errors of the program that ran, not of the GPU: NVIDIA's own device plugin leaves these out as well.
XIDS_OF_PROGRAMS = frozenset({13, 31, 43, 45, 68, 109})

_RESET = "Run `nvidia-smi --gpu-reset` once nothing uses it, or restart the machine."
_XIDS = {
    48: f"an error in its memory that could not be corrected. {_RESET}",
    62: f"its internal controller halted. {_RESET}",
    63: f"a row of its memory is to be replaced by a spare one. {_RESET}",
    64: "a broken row of its memory could not be replaced. Have the GPU looked at.",
    74: f"an error on NVLink. Check the bridges; {_RESET[0].lower()}{_RESET[1:]}",
    79: "it has fallen off the bus. Restart the machine; if it happens again, have the GPU looked at.",
    94: f"an error in its memory, which ended the program that met it. {_RESET}",
    95: f"an error in its memory that could not be contained. {_RESET}",
    119: f"its system processor (GSP) did not answer. {_RESET}",
    120: f"its system processor (GSP) failed. {_RESET}",
}

#: NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, in the driver's numbers; 0 is that all is well.
_RECOVERY = {
    1: f"The driver says that the GPU must be reset. {_RESET}",
    2: "The driver says that this machine must be restarted to get the GPU back.",
    3: f"The driver says that the GPU's neighbours must be emptied before it is reset. {_RESET}",
    4: f"The driver says that the GPU must be emptied and reset. {_RESET}",
}


def xid_sentence(xid: int) -> str:
    """Return what a critical error of a GPU means and what to do."""
    known = _XIDS.get(xid, f"a critical error. Look it up in NVIDIA's list of Xid errors. {_RESET}")
    return f"The GPU reported Xid {xid}: {known}"


def recovery_sentence(action: int) -> str:
    """Return what the driver asks for to get a GPU well again; empty where it asks for nothing."""
    if not action:
        return ""
    return _RECOVERY.get(action, f"The driver asks for recovery action {action} on the GPU. {_RESET}")


def memory_sentence(*, uncorrected: int, remap_pending: bool, remap_failed: bool) -> str:
    """Return what is wrong with a GPU's memory and what to do; empty where nothing is."""
    if remap_failed:
        return "A broken row of the GPU's memory could not be replaced by a spare one. Have the GPU looked at."
    if remap_pending:
        return f"A broken row of the GPU's memory is replaced when the GPU is reset. {_RESET}"
    if uncorrected:
        return f"The GPU's memory had {uncorrected} errors that could not be corrected (ECC). {_RESET}"
    return ""


def heat_sentence(celsius: int | None) -> str:
    """Return the words for a GPU that the hardware slows down because it is too hot."""
    how = f" ({celsius} °C)" if celsius is not None else ""
    return f"The GPU is so hot{how} that its hardware slows it down. Check its fans and the room."
