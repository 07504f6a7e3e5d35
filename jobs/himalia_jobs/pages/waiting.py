"""The waiting page: where in line a server is, what is free meanwhile, and what can be done."""

from __future__ import annotations

from urllib.parse import quote

from himalia.errors import Busy
from himalia.models import WaitingView, WaitState
from himalia_gpus.request import parse_request

from ..person import SUBMIT
from ..store.records import LeaseRecord
from .base import PageHandler

SEE_OTHER = 303


class WaitsPage(PageHandler):
    """`GET waiting`."""

    async def get(self) -> None:
        """List one's own servers that wait."""
        self.page("waits.html", waits=await self.service.waiting.of(self.person), notices=self.planned())


class WaitPage(PageHandler):
    """`GET waiting/{id}`."""

    async def get(self, wait_id: str) -> None:
        """Show where in line a server is, or what became of it."""
        await self.show(await self.wait(wait_id))

    async def wait(self, wait_id: str) -> LeaseRecord:
        """Return a wait of this person."""
        return await self.service.waiting.find(wait_id, self.person)

    async def show(self, wish: LeaseRecord, said: str = "") -> None:
        """Answer with the page; `said` is why something was not done."""
        view = self.service.waiting.view(wish, self.person.reader)
        waits = view.state is WaitState.WAITING
        self.page(
            "wait.html",
            view=view,
            said=said,
            notices=self.planned(),
            choose=f"{self.service.settings.base}hub/spawn/{_path(view)}",
            without=waits and not view.meanwhile and parse_request(view.gpus).count > 0,
            offered=await self.service.ledger.profiles("servers", self.person) if waits else [],
        )


class LeavePage(WaitPage):
    """`POST waiting/{id}/leave`."""

    scope = SUBMIT

    async def post(self, wait_id: str) -> None:
        """Leave the line."""
        wish = await self.wait(wait_id)
        try:
            await self.service.waiting.leave(wish)
        except Busy as error:
            await self.show(await self.wait(wait_id), error.message)
            return
        self.redirect(f"{self.service.settings.prefix}waiting/{wait_id}", status=SEE_OTHER)


class StartPage(WaitPage):
    """`POST waiting/{id}/start`."""

    scope = SUBMIT

    async def post(self, wait_id: str) -> None:
        """Start the server without its GPUs, and lead to where the hub shows its start."""
        wish = await self.wait(wait_id)
        try:
            await self.service.waiting.start_without(wish)
        except Busy as error:
            await self.show(await self.wait(wait_id), error.message)
            return
        view = self.service.waiting.view(wish, self.person.reader)
        self.redirect(f"{self.service.settings.base}hub/spawn-pending/{_path(view)}", status=SEE_OTHER)


class RestartPage(WaitPage):
    """`POST waiting/{id}/restart`."""

    scope = SUBMIT

    async def post(self, wait_id: str) -> None:
        """Restart the server with the GPUs that are kept for it."""
        wish = await self.wait(wait_id)
        try:
            await self.service.waiting.restart(wish)
        except Busy as error:
            await self.show(await self.wait(wait_id), error.message)
            return
        self.redirect(f"{self.service.settings.prefix}waiting/{wait_id}", status=SEE_OTHER)


def _path(view: WaitingView) -> str:
    """Return a server's place in the hub's addresses."""
    owner = quote(view.user, safe="")
    return f"{owner}/{quote(view.server, safe='')}" if view.server else owner
