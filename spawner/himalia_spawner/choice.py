"""The choice before a start, as a Spawner offers it: form, address and API all lead to `profile` and `clean`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from traitlets import List, Unicode, default
from traitlets.config import LoggingConfigurable

from . import profiles
from .leases import LeaseClient

if TYPE_CHECKING:
    from jupyterhub.spawner import Spawner as Base
else:
    Base = LoggingConfigurable  # JupyterHub asks of each direct child of Spawner that it starts and stops


class ChoiceMixin(Base):
    """Let people choose among the profiles that the job service offers them. Without `service_url` it changes nothing."""

    service_url = Unicode(
        "",
        help="""
        Address of the job service's API, such as http://127.0.0.1:8082/services/jobs/api.

        Empty: no leases; the class behaves like the Spawner it is mixed with.
        """,
    ).tag(config=True)
    service_token = Unicode("", help="Token of the hub's service `spawner`; it needs the scope custom:jobs:lease.").tag(
        config=True
    )
    known_profiles: Any = List(
        help="""
        Profiles (name, title, users, teams) that may be chosen; the form lists them while the job service does not answer.
        """
    ).tag(config=True)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.profile = ""  #: what was chosen for this start; empty: the first one that may be used
        self.clean = False  #: leave out what the person has installed
        self.wait = ""  #: the wait whose turn it is, where the job service asked for this start
        self.refusal: Exception | None = None  #: why this choice cannot be started

    @default("apply_user_options")
    def _default_apply_user_options(self) -> Any:
        return profiles.apply_options if self.service_url else {}

    async def get_options_form(self) -> Any:
        """Return the administrator's own form, or ours: the profiles, with what is free now."""
        form = await super().get_options_form()
        return await profiles.options_form(self) if self.service_url and not form else form

    def run_options_from_form(self, form_data: dict[str, list[str]]) -> Any:
        """Return the choice that was made in the form."""
        if self.service_url and not self.options_form:
            return profiles.options_from_form(form_data)
        return super().run_options_from_form(form_data)

    def options_from_query(self, query_data: dict[str, list[str]]) -> Any:
        """Return the choice that an address makes, such as `/hub/spawn?opt-profile=small`."""
        return self.run_options_from_form(query_data)

    def run_pre_spawn_hook(self) -> Any:
        """Refuse what cannot be chosen, then run the administrator's own hook."""
        self.must_be_allowed()
        return super().run_pre_spawn_hook()

    def must_be_allowed(self) -> None:
        """Raise the refusal of the choice, if there is one."""
        if self.refusal is not None:
            raise self.refusal

    def forget_choice(self) -> None:
        """Let the hub not take this choice again by itself: one is kept once a server runs with it."""
        self.keep_choice({})

    def keep_choice(self, options: dict[str, Any]) -> None:
        """Let the hub keep this choice for the next start that makes none."""
        if self.orm_spawner is not None:
            self.orm_spawner.user_options = options
            self.user.db.commit()  # at once: the hub's pages roll back what others leave open

    @property
    def teams(self) -> tuple[str, ...]:
        """The person's groups in the hub."""
        return tuple(sorted(group.name for group in self.user.groups))

    def client_of_service(self) -> LeaseClient:
        """Return a client of the job service; use it with `async with`."""
        return LeaseClient(self.service_url, self.service_token)
