"""The routes under `himalia/api/`: thin, all alike, errors in the one shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from jupyter_server.base.handlers import APIHandler
from pydantic import BaseModel, ConfigDict, ValidationError
from tornado import web

from himalia.errors import FieldError, HimaliaError, Unparsable
from himalia.models import JobRequest
from himalia.version import API_VERSION, VERSION

from .room import Room
from .tokens import token_of

B = TypeVar("B", bound=BaseModel)
CODES = {
    400: "unparsable",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "not_found",
    413: "too_large",
}
BUG = "Something went wrong here that should not. Try again; if it stays, tell an administrator: the server's log has the details."


class PreviewRequest(BaseModel):
    """`POST preview`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: str


class SubmitRequest(BaseModel):
    """`POST submit`: a job without its snapshot, and the directory that becomes the snapshot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: str
    job: JobRequest


class HimaliaHandler(APIHandler):
    """Base of our handlers: reads models, answers models, and errors in the one shape."""

    def initialize(self, room: Room) -> None:
        """Take what the handlers share."""
        self.room = room

    def body_as(self, model: type[B]) -> B:
        """Return the request's body as a model; raise Unparsable or FieldError that name what is wrong."""
        try:
            body = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:
            raise Unparsable("The body is not JSON. Send an object as the API describes it.") from error
        if not isinstance(body, dict):
            raise Unparsable("The body is JSON but not an object. Send an object as the API describes it.")
        try:
            return model.model_validate(body)
        except ValidationError as error:
            raise _field_error(error) from error

    def answer(self, body: BaseModel | Mapping[str, Any], status: int = 200) -> None:
        """Answer a model or a mapping."""
        self.set_status(status)
        self.finish(body.model_dump_json() if isinstance(body, BaseModel) else json.dumps(body))

    def persons_token(self) -> str:
        """Return the token of who clicks."""
        return token_of(self, self.room.settings.server_token)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log bugs with a traceback; what is told to people is no bug."""
        if not isinstance(value, HimaliaError):
            super().log_exception(typ, value, tb)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer any error in the one shape."""
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, HimaliaError):
            # A LocalError has no status of its own: here it is about the files that were chosen.
            self.set_status(error.status or 422)
            body = error.to_json()
        else:
            said = error.log_message if isinstance(error, web.HTTPError) and status_code < 500 else None
            message = said or (self._reason if status_code < 500 else BUG)
            body = {"error": {"code": CODES.get(status_code, "error"), "message": message, "fields": {}}}
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(body))


class InfoHandler(HimaliaHandler):
    """`info`: versions, and where the page finds the service."""

    _track_activity = False

    @web.authenticated
    async def get(self) -> None:
        """Answer what the page needs to know first."""
        settings = self.room.settings
        self.answer(
            {
                "version": VERSION,
                "api_version": API_VERSION,
                "service_url": settings.page_url,
                "same_origin": settings.same_origin,
                "configured": bool(settings.api_url),
            }
        )


class PreviewHandler(HimaliaHandler):
    """`preview`: what would be sent, and what is left out."""

    _track_activity = False

    @web.authenticated
    async def post(self) -> None:
        """Walk a directory, in a thread, and tell what is in it."""
        request = self.body_as(PreviewRequest)
        self.answer(await self.room.preview(await self.room.find(request.directory)))


class SubmitHandler(HimaliaHandler):
    """`submit`: pack a directory and submit it as a job."""

    @web.authenticated
    async def post(self) -> None:
        """Answer the job once the service has it; a repeated key gives the same job."""
        request = self.body_as(SubmitRequest)
        if request.job.snapshot is not None or request.job.source is not None:
            raise FieldError("snapshot", "A directory is submitted here: leave 'snapshot' and 'source' out.")
        user, token = self.current_user.username, self.persons_token()
        job = await self.room.submit(user, request.directory, request.job, token)
        self.answer(job, status=201)


class SubmissionHandler(HimaliaHandler):
    """`submissions/{key}`: how far a submission is; end it."""

    _track_activity = False

    @web.authenticated
    async def get(self, key: str) -> None:
        """Answer the progress of one's own submission."""
        self.answer(self.room.submissions.progress((self.current_user.username, key)).to_json())

    @web.authenticated
    async def delete(self, key: str) -> None:
        """End one's own submission while there is no job yet."""
        self.room.submissions.cancel((self.current_user.username, key))
        self.set_status(204)
        self.finish()


def _field_error(error: ValidationError) -> HimaliaError:
    fields: dict[str, str] = {}
    for one in error.errors():
        where = [str(part) for part in one["loc"] if part != "job"] or ["body"]
        fields.setdefault(where[0], f"{'.'.join(where)}: {one['msg']}.")
    name, message = next(iter(fields.items()))
    refused = FieldError(name, message)
    refused.fields = fields
    return refused
