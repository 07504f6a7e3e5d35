"""The extension's application: wires settings, threads and routes into the notebook server."""

from __future__ import annotations

from pathlib import Path

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join

from himalia.version import VERSION

from .directories import Roots
from .handlers import InfoHandler, PreviewHandler, SubmissionHandler, SubmitHandler
from .passing import PassHandler
from .room import Room
from .settings import Settings, read_settings


class HimaliaExtension(ExtensionApp):
    """Himalia in a notebook server."""

    name = "himalia_server_extension"
    version = VERSION

    room: Room

    def initialize_handlers(self) -> None:
        """Add the routes under `himalia/api/`."""
        settings = read_settings()
        self.room = Room(settings=settings, roots=self._roots(settings))
        prefix = url_path_join("himalia", "api")
        shared = {"room": self.room}
        self.handlers.extend(
            [
                (f"/{prefix}/info", InfoHandler, shared),
                (f"/{prefix}/preview", PreviewHandler, shared),
                (f"/{prefix}/submit", SubmitHandler, shared),
                (rf"/{prefix}/submissions/([\w.-]{{1,100}})", SubmissionHandler, shared),
                (f"/{prefix}/service/.*", PassHandler, shared),
            ]
        )
        if not settings.api_url:
            self.log.warning("Himalia: HIMALIA_API_URL is not set, so no job can be submitted from this server.")

    async def stop_extension(self) -> None:
        """Take no more work."""
        await self.room.close()

    def _roots(self, settings: Settings) -> Roots:
        assert self.serverapp is not None
        root = Path(self.serverapp.contents_manager.root_dir)
        # A site may show the whole file system; what may be submitted stays the home.
        home = root if root != Path("/") else Path.home()
        return Roots(root=root, home=home, storage=settings.storage, team=settings.team)
