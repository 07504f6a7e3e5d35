"""Submitting a repository: the platform fetches it, and tells how far it is."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress

from .client import Client
from .client.compatibility import refuse_if_too_old
from .client.patience import Patience
from .errors import HimaliaError, LocalError, NotFound, Unavailable, from_json
from .models import FetchRequest, FetchState, FetchView, JobRequest, JobView
from .models.fetches import FETCHED

FIRST_LOOK_SECONDS = 0.2
SLOWEST_LOOK_SECONDS = 2.0

#: Called with each new sentence about a fetch.
Told = Callable[[str], None]


def submit_repository(
    client: Client, git: str, token: str | None, request: JobRequest, told: Told | None = None
) -> JobView:
    """Have a repository fetched and submitted; raise what went wrong. Who is interrupted meanwhile ends the fetch."""
    refuse_if_too_old(client.me())
    key = request.idempotency_key or secrets.token_hex(16)
    wish = FetchRequest(git=git, token=token, job=request.model_copy(update={"idempotency_key": key}))
    try:
        fetch = client.fetch(wish)
    except NotFound as error:
        raise LocalError(
            "This platform does not fetch repositories yet. Clone it, and submit the directory; or ask an administrator to upgrade."
        ) from error
    try:
        return client.job(_job_of(_ended(client, wish, fetch, told)))
    except KeyboardInterrupt:
        with suppress(HimaliaError):  # there may be a job by now
            client.stop_fetch(fetch.id)
        raise


def _ended(client: Client, wish: FetchRequest, fetch: FetchView, told: Told | None) -> FetchView:
    """Wait for the end of a fetch; one that ended with its service is begun anew, under the same key."""
    pause, patience, said = FIRST_LOOK_SECONDS, Patience.short(), ""
    while fetch.state not in FETCHED:
        if told is not None and fetch.sentence != said:
            said = fetch.sentence
            told(said)
        time.sleep(pause)
        pause = min(SLOWEST_LOOK_SECONDS, pause * 1.3)
        try:
            fetch = client.fetch_state(fetch.id)
            patience.renew()
        except NotFound:
            fetch = client.fetch(wish)
        except Unavailable as error:
            patience.lose(error, client.http.url)
    return fetch


def _job_of(fetch: FetchView) -> str:
    if fetch.state is FetchState.FAILED or fetch.job_id is None:
        raise from_json(fetch.status, {"error": fetch.error}) if fetch.error else HimaliaError(fetch.sentence)
    return fetch.job_id
