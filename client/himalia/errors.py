"""Errors that may be shown to people: what happened, then what to do.

HimaliaError
├── Unparsable (400)      ├── FieldError (422)
├── Unauthenticated (401) ├── TooMany (429)
├── Forbidden (403)       ├── Unavailable (503)
├── NotFound (404)        ├── DiskFull (507)
├── Busy (409)            └── LocalError (raised on the user's side only)
└── TooLarge (413)

Anything else is a bug: a 500 without details, and a traceback in the log.
"""

from __future__ import annotations

from typing import Any


class HimaliaError(Exception):
    """An error that may be shown to people."""

    status = 500
    code = "error"

    def __init__(self, message: str, *, fields: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields or {}

    def to_json(self) -> dict[str, Any]:
        """Return the body of an answer in the one shape of error."""
        return {"error": {"code": self.code, "message": self.message, "fields": self.fields}}


class Unparsable(HimaliaError):
    """What was sent cannot be read."""

    status = 400
    code = "unparsable"


class Unauthenticated(HimaliaError):
    """Nobody is logged in, or the token is not known (any more)."""

    status = 401
    code = "unauthenticated"


class Forbidden(HimaliaError):
    """The person is known but may not do this."""

    status = 403
    code = "forbidden"


class NotFound(HimaliaError):
    """It is not there, or it is not the asker's: the answer is the same."""

    status = 404
    code = "not_found"


class Busy(HimaliaError):
    """The thing is not in a state in which this can be done."""

    status = 409
    code = "conflict"


class TooLarge(HimaliaError):
    """More bytes or entries than the platform takes."""

    status = 413
    code = "too_large"


class FieldError(HimaliaError):
    """A field has a value that cannot be accepted."""

    status = 422
    code = "invalid"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, fields={field: message})
        self.field = field


class TooMany(HimaliaError):
    """The person has too many of these at once."""

    status = 429
    code = "too_many"


class Unavailable(HimaliaError):
    """Something the platform needs does not answer now."""

    status = 503
    code = "unavailable"


class DiskFull(HimaliaError):
    """There is no room on the platform's disk."""

    status = 507
    code = "disk_full"


class LocalError(HimaliaError):
    """Something on the user's own side does not allow it (a file, a setting, the network)."""

    status = 0
    code = "local"


BY_CODE: dict[str, type[HimaliaError]] = {
    error.code: error
    for error in (
        Unparsable,
        Unauthenticated,
        Forbidden,
        NotFound,
        Busy,
        TooLarge,
        TooMany,
        Unavailable,
        DiskFull,
    )
}


def from_json(status: int, body: Any) -> HimaliaError:
    """Rebuild the error of an answer, whatever its body looks like."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return _of(HimaliaError, f"The service answered {status} without a reason.", {}, status, "error")
    code, message = str(error.get("code", "error")), str(error.get("message", ""))
    fields = {str(key): str(value) for key, value in dict(error.get("fields") or {}).items()}
    if code == FieldError.code and fields:
        rebuilt: HimaliaError = FieldError(next(iter(fields)), message)
        rebuilt.fields = fields
        return rebuilt
    return _of(BY_CODE.get(code, HimaliaError), message, fields, status, code)


def _of(kind: type[HimaliaError], message: str, fields: dict[str, str], status: int, code: str) -> HimaliaError:
    error = kind(message, fields=fields)
    error.status, error.code = status, code
    return error
