"""What an engine may answer instead of a result. A time-out means *unknown*, never *failed*."""

from __future__ import annotations


class EngineError(Exception):
    """Base of all that an engine raises; the message is for people."""


class NotSent(EngineError):
    """The engine cannot be reached; nothing was done, the call may be repeated."""


class Unknown(EngineError):
    """The call may or may not have taken effect: ask `status`, then repeat the same call."""


class NetworkMissing(Unknown):
    """Somebody removed the network of a container that was to be started: make it again, then repeat the call."""


class NodeUnknown(EngineError):
    """There is no such node."""


class NodeDraining(EngineError):
    """The node takes no new containers."""


class StaleEpoch(EngineError):
    """A newer service has taken over; this one must not change anything any more."""


class Conflict(EngineError):
    """The attempt was launched before with another specification."""


class Finished(EngineError):
    """The attempt has ended before, or was stopped before it started: it is never started again."""

    def __init__(self, message: str, exit: object = None) -> None:
        super().__init__(message)
        self.exit = exit


class ImageMissing(EngineError):
    """The image is not on the node."""


class DeviceUnavailable(EngineError):
    """A device of the specification is not there."""


class Refused(EngineError):
    """The specification has a field that the node refuses."""


class StartFailed(EngineError):
    """The container was made but could not be started; nothing runs. The message is the Engine's."""


class BrokenOff(StartFailed):
    """The Engine was stopped in the middle of a start: the command began, and the Engine does not know of it."""


class StartLost(EngineError):
    """The Engine was stopped in the middle of a start; nothing began, and this container never will: make another attempt."""


class WorkspaceCorrupt(EngineError):
    """The snapshot's contents are not what its digest says."""


class NoSpace(EngineError):
    """There is no room on the node's disk."""


class OffsetPastEnd(EngineError):
    """The log is shorter than the offset."""
