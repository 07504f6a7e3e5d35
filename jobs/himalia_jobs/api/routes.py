"""All addresses of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tornado.httputil import HTTPServerRequest
from tornado.web import Application

from ..pages.routes import page_routes
from ..settings import SERVICE_PREFIX
from .artifacts import ArtifactHandler, ArtifactsHandler, ArtifactsZipHandler, FileHandler
from .base import NotFoundHandler, log_answer
from .events import EventsHandler
from .fetches import FetchesHandler, FetchHandler
from .giving_back import AskHandler, ServersHandler
from .gpu_modes import GPUModeHandler
from .jobs import CancelHandler, ExtendHandler, JobHandler, JobsHandler, MoveHandler, RerunHandler
from .ledger import BindHandler, GPUsHandler, LeaseHandler, LeasesHandler, StayHandler
from .logs import LogsHandler
from .metrics import MetricsHandler
from .notices import AnswerHandler, NoticesHandler
from .openapi import OpenAPIHandler
from .operating import DrainHandler, InterventionsHandler, QuarantineHandler, ReleaseHandler
from .packages import PackagesHandler
from .people import AttachHandler, HealthHandler, MeHandler, PeopleHandler, ProfilesHandler
from .projects import ProjectHandler, ProjectsHandler
from .prometheus import PrometheusHandler
from .snapshots import CommitHandler, ContentsHandler, SnapshotsHandler
from .sources import DiffHandler, FilesHandler
from .usage import UsageHandler, UsageTableHandler
from .waiting import RestartHandler, StartWithoutHandler, WaitHandler, WaitingHandler

if TYPE_CHECKING:
    from ..refusing import Refusing
    from ..service import Service

API = f"{SERVICE_PREFIX}api"
JOB = r"jobs/([^/]+)"

ROUTES: list[tuple[str, type[Any]]] = [
    (r"snapshots", SnapshotsHandler),
    (r"snapshots/([^/]+)/contents", ContentsHandler),
    (r"snapshots/([^/]+)/commit", CommitHandler),
    (r"fetches", FetchesHandler),
    (r"fetches/([^/]+)", FetchHandler),
    (r"jobs", JobsHandler),
    (JOB, JobHandler),
    (rf"{JOB}/cancel", CancelHandler),
    (rf"{JOB}/rerun", RerunHandler),
    (rf"{JOB}/extend", ExtendHandler),
    (rf"{JOB}/move", MoveHandler),
    (rf"{JOB}/logs", LogsHandler),
    (rf"{JOB}/artifacts", ArtifactsHandler),
    (rf"{JOB}/artifacts\.zip", ArtifactsZipHandler),
    (rf"{JOB}/artifacts/(.+)", ArtifactHandler),
    (rf"{JOB}/files", FilesHandler),
    (rf"{JOB}/files/(.+)", FileHandler),
    (rf"{JOB}/diff", DiffHandler),
    (rf"{JOB}/metrics", MetricsHandler),
    (rf"{JOB}/packages", PackagesHandler),
    (r"events", EventsHandler),
    (r"notices", NoticesHandler),
    (r"notices/([^/]+)/answer", AnswerHandler),
    (r"projects", ProjectsHandler),
    (r"projects/([^/]+)/([^/]+)", ProjectHandler),
    (r"gpus", GPUsHandler),
    (r"gpus/([^/]+)/quarantine", QuarantineHandler),
    (r"gpus/([^/]+)/drain", DrainHandler),
    (r"gpus/([^/]+)/release", ReleaseHandler),
    (r"interventions", InterventionsHandler),
    (r"usage", UsageHandler),
    (r"usage\.csv", UsageTableHandler),
    (r"gpus/([^/]+)/mode", GPUModeHandler),
    (r"gpus/([^/]+)/ask", AskHandler),
    (r"servers", ServersHandler),
    (r"leases", LeasesHandler),
    (r"leases/([^/]+)", LeaseHandler),
    (r"leases/([^/]+)/stay", StayHandler),
    (r"leases/([^/]+)/bind", BindHandler),
    (r"waiting", WaitingHandler),
    (r"waiting/([^/]+)", WaitHandler),
    (r"waiting/([^/]+)/start", StartWithoutHandler),
    (r"waiting/([^/]+)/restart", RestartHandler),
    (r"profiles", ProfilesHandler),
    (r"people", PeopleHandler),
    (r"people/([^/]+)/attach", AttachHandler),
    (r"me", MeHandler),
    (r"health", HealthHandler),
    (r"openapi\.json", OpenAPIHandler),
]


class BelowBase(Application):
    """Finds an address also below the hub's base URL; reads no body that is larger than its handler takes."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Return what handles a request, by its path below the base URL; its `uri` stays as it was sent."""
        base = self.settings["base"]
        if base != "/" and request.path.startswith(f"{base.rstrip('/')}{SERVICE_PREFIX}".rstrip("/")):
            request.path = request.path.removeprefix(base.rstrip("/"))
        found: Any = super().find_handler(request, **kwargs)
        most = getattr(getattr(found, "handler_class", None), "largest_body_bytes", None)
        if most is not None:
            request.connection.set_max_body_size(most)  # type: ignore[union-attr]  # a real one
        return found


def make_application(service: Service | Refusing) -> Application:
    """Return the application with all routes; who comes through the hub's proxy has the base URL before them."""
    shared = {"service": service}
    return BelowBase(
        [
            *((f"{API}/{route}", handler, shared) for route, handler in ROUTES),
            (f"{SERVICE_PREFIX}metrics", PrometheusHandler, shared),
            *page_routes(shared, service.settings.prefix),
            (r".*", NotFoundHandler, shared),
        ],
        base=service.settings.base,
        cookie_secret=service.settings.credentials.cookie_secret,
        xsrf_cookies=False,  # `HimaliaHandler.prepare` checks, once it is known whether a cookie or a token spoke
        log_function=log_answer,
        default_handler_class=NotFoundHandler,
        default_handler_args=shared,
    )
