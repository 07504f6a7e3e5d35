"""The spawner's side of the lease API: ask, stay in line, bind, give back."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any

import httpx

from himalia.errors import Unavailable, from_json
from himalia.models import LeaseRequest, LeaseView, ProfilesView

API_PATH = "/services/jobs/api"
SILENT = "The job service does not answer, so nothing can be started now. Try again in a minute; tell an administrator if it stays so."
GATEWAY_ERRORS = frozenset({502, 503, 504})


class LeaseClient:
    """Asks the job service, with the spawner's token. Every method raises a HimaliaError that is fit for people."""

    def __init__(self, url: str, token: str, *, timeout_seconds: float = 10.0) -> None:
        self._timeout_seconds = timeout_seconds
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_seconds,
            # The service is on this machine: no proxy of the environment may stand between.
            trust_env=False,
            verify=url.startswith("https:"),
        )

    async def __aenter__(self) -> LeaseClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def ask(self, request: LeaseRequest) -> LeaseView:
        """Ask for a lease; repeating a `spawn_id` gives the same one."""
        return LeaseView.model_validate(await self._call("POST", "leases", json=request.model_dump(mode="json")))

    async def stay(self, lease_id: str, options: dict[str, Any]) -> LeaseView:
        """Let a server wait by itself: the service starts it with these options when it is its turn."""
        return LeaseView.model_validate(await self._call("POST", f"leases/{lease_id}/stay", json={"options": options}))

    async def waiting(self, user: str, server: str) -> tuple[LeaseView, ...]:
        """Return what a server waits for by itself; nothing where it does not."""
        answer = await self._call("GET", "leases", params={"user": user, "server": server})
        return tuple(LeaseView.model_validate(lease) for lease in answer["leases"])

    async def ended(self, user: str, server: str) -> str:
        """Return why the service ended the last start of a server, in words; nothing where it did not."""
        answer = await self._call("GET", "leases", params={"user": user, "server": server})
        return str(answer.get("ended") or "")

    async def bind(self, lease_id: str, container: str) -> LeaseView:
        """Tell that the container is made; raise Busy when the reservation has lapsed: do not start it."""
        return LeaseView.model_validate(
            await self._call("POST", f"leases/{lease_id}/bind", json={"container": container})
        )

    async def give_back(self, lease_id: str) -> None:
        """Release a lease, or leave the line; repeating it is harmless."""
        await self._call("DELETE", f"leases/{lease_id}")

    async def profiles(self, user: str, teams: Iterable[str], *, admin: bool) -> ProfilesView:
        """Return what a person may choose for a server, with what is free now, and what everybody should know."""
        query = {"for": "servers", "user": user, "teams": ",".join(teams), "admin": "1" if admin else "0"}
        return ProfilesView.model_validate(await self._call("GET", "profiles", params=query))

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        """Return the answer's JSON; raise the service's own error, or Unavailable when it is not there."""
        try:
            answer = await self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise Unavailable(SILENT) from error
        if answer.status_code == 204:
            return None
        try:
            body = answer.json()
        except ValueError as error:
            raise Unavailable(SILENT) from error
        if answer.is_success:
            return body
        if answer.status_code in GATEWAY_ERRORS and not (isinstance(body, dict) and "error" in body):
            raise Unavailable(SILENT)
        raise from_json(answer.status_code, body)
