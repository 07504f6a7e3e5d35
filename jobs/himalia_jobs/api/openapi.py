"""`openapi.json`: the routes, described from the same models that the handlers read and answer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from himalia import models as m
from himalia.version import VERSION

from ..settings import SERVICE_PREFIX
from .base import HimaliaHandler

#: (method, path, what it does, scope, request, answer, query arguments)
Row = tuple[str, str, str, str, type[BaseModel] | None, type[BaseModel] | None, tuple[str, ...]]

READ, SUBMIT, ADMIN = "custom:jobs:read", "custom:jobs:submit", "custom:jobs:admin"
LEASE, OPERATE, NONE = "custom:jobs:lease", "custom:jobs:operate", ""

ROUTES: tuple[Row, ...] = (
    ("post", "snapshots", "Which of these contents are missing?", SUBMIT, m.SnapshotRequest, m.SnapshotView, ()),
    (
        "put",
        "snapshots/{id}/contents",
        "Send a streamed pack of contents; with the last that is missing the snapshot is committed.",
        SUBMIT,
        None,
        m.SnapshotView,
        (),
    ),
    ("post", "snapshots/{id}/commit", "Commit a snapshot that is complete.", SUBMIT, None, m.SnapshotView, ()),
    (
        "get",
        "jobs",
        "List jobs, newest first.",
        READ,
        None,
        m.JobPage,
        ("project", "experiment", "state", "owner", "limit", "cursor"),
    ),
    ("post", "fetches", "Fetch a repository and submit its files.", SUBMIT, m.FetchRequest, m.FetchView, ()),
    ("get", "fetches/{id}", "How far a fetch is.", SUBMIT, None, m.FetchView, ()),
    ("delete", "fetches/{id}", "End a fetch while there is no job yet.", SUBMIT, None, None, ()),
    ("post", "jobs", "Submit a job.", SUBMIT, m.JobRequest, m.JobView, ()),
    ("get", "jobs/{id}", "Show a job.", READ, None, m.JobView, ()),
    ("delete", "jobs/{id}", "Delete a job that has ended, with its log and artifacts.", SUBMIT, None, None, ()),
    ("post", "jobs/{id}/cancel", "Cancel a job.", SUBMIT, None, m.JobView, ()),
    ("post", "jobs/{id}/rerun", "Run the same files and image once more.", SUBMIT, None, m.JobView, ()),
    ("post", "jobs/{id}/extend", "Give a job more time.", SUBMIT, m.ExtendRequest, m.JobView, ()),
    ("post", "jobs/{id}/move", "Another place among one's own jobs in line.", SUBMIT, m.MoveRequest, m.JobView, ()),
    (
        "get",
        "jobs/{id}/logs",
        "The log's bytes from an offset, or its lines: the last, since a moment, those that match.",
        READ,
        None,
        None,
        ("attempt", "offset", "follow", "tail", "since", "grep", "ignore_case", "timestamps", "exact", "marked"),
    ),
    (
        "get",
        "jobs/{id}/artifacts",
        "What is in /artifacts, a page at a time.",
        READ,
        None,
        m.ArtifactList,
        ("attempt", "limit", "cursor"),
    ),
    ("get", "jobs/{id}/artifacts/{path}", "One file of the artifacts.", READ, None, None, ("attempt",)),
    ("get", "jobs/{id}/artifacts.zip", "All artifacts as a zip.", READ, None, None, ("attempt",)),
    ("get", "jobs/{id}/files", "The manifest of the files as they were submitted.", READ, None, m.Manifest, ()),
    ("get", "jobs/{id}/files/{path}", "One file as it was submitted.", READ, None, None, ()),
    ("get", "jobs/{id}/diff", "What the files had over their commit, as git writes it.", READ, None, None, ()),
    ("get", "jobs/{id}/metrics", "What the job used, sampled.", READ, None, m.SampleView, ()),
    ("get", "jobs/{id}/packages", "What an attempt could import, as `pip freeze`.", READ, None, None, ("attempt",)),
    (
        "get",
        "events",
        "Every change, as server-sent events. Who takes nothing for two minutes is cut off, and comes again with `Last-Event-ID`.",
        READ,
        None,
        m.Event,
        ("after",),
    ),
    ("get", "notices", "What one is told, and may answer.", READ, None, m.NoticeView, ()),
    ("post", "notices/{id}/answer", "Answer what one is told.", SUBMIT, m.AnswerRequest, m.NoticeView, ()),
    ("get", "projects", "List projects.", READ, None, m.ProjectView, ()),
    ("post", "projects", "Make a project.", SUBMIT, m.ProjectRequest, m.ProjectView, ()),
    ("get", "projects/{owner}/{name}", "Show a project.", READ, None, m.ProjectView, ()),
    (
        "patch",
        "projects/{owner}/{name}",
        "Change a project's description.",
        SUBMIT,
        m.ProjectRequest,
        m.ProjectView,
        (),
    ),
    ("delete", "projects/{owner}/{name}", "Delete a project without jobs.", SUBMIT, None, None, ()),
    ("get", "gpus", "Slots, holders, what is free, the queue.", READ, None, m.GPUsView, ()),
    ("post", "gpus/{id}/quarantine", "Give a GPU to nobody.", ADMIN, m.QuarantineRequest, m.GPUsView, ()),
    ("delete", "gpus/{id}/quarantine", "Give a GPU out again.", ADMIN, None, None, ()),
    ("post", "gpus/{id}/drain", "Give a GPU to nobody after its holder.", ADMIN, m.QuarantineRequest, m.GPUsView, ()),
    ("post", "gpus/{id}/release", "End what holds a GPU.", ADMIN, m.QuarantineRequest, m.GPUsView, ()),
    ("get", "interventions", "What administrators did.", ADMIN, None, m.Intervention, ()),
    ("get", "usage", "GPU hours by user, team or project.", READ, None, m.UsageView, ("by", "from", "to")),
    ("get", "usage.csv", "The same as a table.", READ, None, None, ("by", "from", "to")),
    ("get", "gpus/{id}/mode", "Show how a GPU is given out.", ADMIN, None, m.GPUModeView, ()),
    (
        "put",
        "gpus/{id}/mode",
        "Give a GPU out whole, by seats, or to nobody.",
        ADMIN,
        m.GPUModeRequest,
        m.GPUModeView,
        (),
    ),
    ("delete", "gpus/{id}/mode", "Give a GPU out as the operator's file says.", ADMIN, None, m.GPUModeView, ()),
    ("post", "gpus/{id}/ask", "Ask the holder of a GPU that one waits for.", SUBMIT, None, m.AskView, ()),
    ("get", "servers", "One's running servers: how long idle, how long they may go on.", READ, None, m.ServerView, ()),
    ("post", "leases", "Ask for a share of a node for a server.", LEASE, m.LeaseRequest, m.LeaseView, ()),
    ("get", "leases", "What a server waits for by itself.", LEASE, None, m.LeaseView, ("user", "server")),
    ("get", "leases/{id}", "Show a lease.", LEASE, None, m.LeaseView, ()),
    ("post", "leases/{id}/stay", "Let a server wait by itself.", LEASE, m.StayRequest, m.LeaseView, ()),
    ("post", "leases/{id}/bind", "Tell that the container is made.", LEASE, m.BindRequest, m.LeaseView, ()),
    ("delete", "leases/{id}", "Give a lease back.", LEASE, None, None, ()),
    ("get", "waiting", "One's own servers that wait in line.", READ, None, m.WaitingView, ()),
    ("get", "waiting/{id}", "Where in line a server is, or what became of it.", READ, None, m.WaitingView, ()),
    ("delete", "waiting/{id}", "Leave the line.", SUBMIT, None, None, ()),
    ("post", "waiting/{id}/start", "Start without GPUs now, and go on waiting.", SUBMIT, None, m.WaitingView, ()),
    ("post", "waiting/{id}/restart", "Restart with the GPUs that are kept.", SUBMIT, None, m.WaitingView, ()),
    ("get", "profiles", "What may be chosen, and what is free.", READ, None, m.ProfilesView, ("for",)),
    ("get", "people", "Who was here, and what is kept of them.", OPERATE, None, m.KnownPerson, ()),
    (
        "post",
        "people/{id}/attach",
        "Give a user of the hub what is kept under an internal id.",
        OPERATE,
        m.AttachRequest,
        m.Attached,
        (),
    ),
    ("get", "me", "Who asks.", READ, None, m.Me, ()),
    ("get", "health", "How the service is.", NONE, None, m.Health, ()),
)

#: What is answered with 201 when it is new; a delete is answered with 204.
NEW = frozenset({"snapshots", "fetches", "jobs", "jobs/{id}/rerun", "projects", "leases"})

#: Answers that are a list, under this name.
LISTS = {
    ("get", "notices"): "notices",
    ("get", "projects"): "projects",
    ("get", "servers"): "servers",
    ("get", "people"): "people",
    ("get", "leases"): "leases",
    ("get", "waiting"): "waiting",
    ("get", "jobs/{id}/metrics"): "samples",
    ("get", "interventions"): "interventions",
}

#: What is sent or answered otherwise than as JSON.
JSON = "application/json"
BYTES = "application/octet-stream"
SENT_AS = {"snapshots/{id}/contents": BYTES}
ANSWERED_AS = {
    "jobs/{id}/logs": BYTES,
    "jobs/{id}/artifacts/{path}": BYTES,
    "jobs/{id}/artifacts.zip": "application/zip",
    "jobs/{id}/files/{path}": BYTES,
    "jobs/{id}/diff": BYTES,
    "jobs/{id}/packages": "text/plain",
    "events": "text/event-stream",
    "usage.csv": "text/csv",
}


class OpenAPIHandler(HimaliaHandler):
    """`GET openapi.json`."""

    scope = None

    async def get(self) -> None:
        """Describe all routes."""
        self.answer(describe(self.service.settings.prefix))


def describe(prefix: str = SERVICE_PREFIX) -> dict[str, Any]:
    """Return the OpenAPI description."""
    used = {model for row in ROUTES for model in (row[4], row[5]) if model is not None}
    _, schemas = models_json_schema(
        [(model, "serialization") for model in sorted(used, key=lambda model: model.__name__)],
        ref_template="#/components/schemas/{model}",
    )
    paths: dict[str, dict[str, Any]] = {}
    for method, path, said, scope, request, answer, query in ROUTES:
        paths.setdefault(f"/{path}", {})[method] = _operation(method, path, said, scope, request, answer, query)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Himalia", "version": VERSION},
        "servers": [{"url": f"{prefix}api"}],
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}) | {"Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "A token of the hub."}},
        },
    }


_ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "fields": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        }
    },
}


def _operation(
    method: str,
    path: str,
    said: str,
    scope: str,
    request: type[BaseModel] | None,
    answer: type[BaseModel] | None,
    query: tuple[str, ...],
) -> dict[str, Any]:
    named = [part[1:-1] for part in path.replace(".zip", "").split("/") if part.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in named]
    parameters += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in query]
    operation: dict[str, Any] = {
        "summary": said,
        "operationId": f"{method}_{path}".replace("/", "_").replace("{", "").replace("}", "").replace(".", "_"),
        "parameters": parameters,
        "security": [{"token": [scope]}] if scope else [],
        "responses": _done(method, path, answer)
        | {"default": {"description": "What happened, and what to do.", **_content("Error")}},
    }
    if request is not None or path in SENT_AS:
        media = SENT_AS.get(path, JSON)
        operation["requestBody"] = {"required": True, **_content(request, media)}
    return operation


def _done(method: str, path: str, answer: type[BaseModel] | None) -> dict[str, Any]:
    """Return the answers to a request that went well."""
    if method == "delete":
        return {"204": {"description": "Done."}}
    content = _content(answer, ANSWERED_AS.get(path, JSON), LISTS.get((method, path)))
    done: dict[str, Any] = {"200": {"description": "Done.", **content}}
    if method == "post" and path in NEW:
        done["201"] = {"description": "It is new.", **content}
    return done


def _content(model: type[BaseModel] | str | None, media: str = JSON, under: str | None = None) -> dict[str, Any]:
    if model is None:
        return {} if media == JSON else {"content": {media: {"schema": {"type": "string", "format": "binary"}}}}
    name = model if isinstance(model, str) else model.__name__
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{name}"}
    if under is not None:
        schema = {"type": "object", "properties": {under: {"type": "array", "items": schema}}, "required": [under]}
    return {"content": {media: {"schema": schema}}}
