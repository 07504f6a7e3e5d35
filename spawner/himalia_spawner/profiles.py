"""The choice before a start: the form with the profiles, what is free now, and reading the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader
from jupyterhub.spawner import SpawnException

from himalia.errors import HimaliaError
from himalia.models import LeaseView, ProfileView
from himalia.site import Profile
from himalia.units import counted, format_size
from himalia_gpus.request import parse_request

from .in_line import in_utc, page_of, sentence_of

if TYPE_CHECKING:
    from .choice import ChoiceMixin

TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
OPTIONS = frozenset({"profile", "clean"})
WAIT = "wait"  #: with a start that the job service asks for: the wait whose turn it is
NOT_OPTIONS = frozenset({"_xsrf", "display_name"})  #: fields of the hub's own page
YES = frozenset({True, "1", "on", "true", "yes"})
NO = frozenset({False, None, "", "0", "off", "false", "no"})


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One profile as the form shows it."""

    name: str
    title: str
    description: str = ""
    share: str = ""  #: CPUs, memory and GPUs in words
    sentence: str = ""  #: what is free, or who is before
    free: bool = True


async def options_form(spawner: ChoiceMixin) -> str:
    """Return the form: from the service what is free now, or the configured names when it does not answer."""
    try:
        async with spawner.client_of_service() as client:
            offered = await client.profiles(spawner.user.name, spawner.teams, admin=bool(spawner.user.admin))
            waiting = await client.waiting(spawner.user.name, spawner.name)
            ended = await client.ended(spawner.user.name, spawner.name)
    except HimaliaError as error:
        return _render(spawner, [_configured(entry) for entry in _allowed(spawner)], warning=error.message)
    notices = [in_utc(notice.text) for notice in offered.notices]
    choices = [choice_of(view) for view in offered.profiles]
    return _render(spawner, choices, notices=notices, waiting=waiting, ended=in_utc(ended))


def options_from_form(form_data: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the choice as the hub keeps it; what is not known is kept too, and refused later."""
    return {name: values[-1] for name, values in form_data.items() if values and name not in NOT_OPTIONS}


def apply_options(spawner: ChoiceMixin, options: Mapping[str, Any]) -> None:
    """Take the choice from a form, an address or the hub's API; what is not `profile` or `clean` becomes the refusal.

    It is raised a moment later (`must_be_allowed`): the hub takes whatever is raised here for a bug, and logs a traceback.
    """
    spawner.refusal = None
    spawner.wait = str(options.get(WAIT) or "")
    if spawner.wait:  # the next start is not for it
        options = spawner.user_options = {name: value for name, value in options.items() if name != WAIT}
        spawner.keep_choice(dict(options))
    try:
        spawner.profile, spawner.clean = _checked(spawner, options)
    except SpawnException as error:
        spawner.refusal = error
        spawner.forget_choice()


def _checked(spawner: ChoiceMixin, options: Mapping[str, Any]) -> tuple[str, bool]:
    """Return profile and clean start; raise SpawnException for what this person cannot choose."""
    unknown = sorted(set(options) - OPTIONS)
    if unknown:
        raise _refused(
            f"{', '.join(unknown)} cannot be chosen. Choose a profile; it says image, CPUs, memory and GPUs."
        )
    profile, clean = options.get("profile") or "", options.get("clean")
    if not isinstance(profile, str):
        raise _refused("`profile` must be the name of a profile.")
    if not isinstance(clean, str | int | None) or clean not in YES | NO:
        raise _refused("`clean` must be true or false.")
    known = [entry["name"] for entry in spawner.known_profiles]
    if profile and known and profile not in known:
        raise _refused(f"There is no profile {profile!r} for servers. There are: {', '.join(known)}.", 422)
    if profile in known and profile not in [entry["name"] for entry in _allowed(spawner)]:
        raise _refused(f"The profile {profile} is not for you. Choose another, or ask an administrator.", 403)
    return profile, clean in YES


def choice_of(view: ProfileView) -> Choice:
    """Return a profile of the service as the form shows it."""
    return Choice(
        name=view.name,
        title=view.title or view.name,
        description=view.description,
        share=share_in_words(view.cpus, view.memory_bytes, view.gpus),
        sentence=view.sentence,
        free=view.free_now,
    )


def known_profile(profile: Profile) -> dict[str, Any]:
    """Return what the form shows of a profile while the service does not answer."""
    return {
        "name": profile.name,
        "title": profile.title or profile.name,
        "description": profile.description,
        "share": share_in_words(profile.cpus, profile.memory, profile.gpus),
        "users": list(profile.users),
        "teams": list(profile.teams),
    }


def share_in_words(cpus: float, memory_bytes: int, gpus: str) -> str:
    """Return what a profile gives, for people."""
    return f"{counted(cpus, 'CPU')}, {format_size(memory_bytes)} memory, {parse_request(gpus).in_words}"


def _allowed(spawner: ChoiceMixin) -> list[dict[str, Any]]:
    """Return the configured profiles that this person may use."""
    user, teams = spawner.user.name, set(spawner.teams)
    return [
        entry
        for entry in spawner.known_profiles
        if not (entry.get("users") or entry.get("teams"))
        or spawner.user.admin
        or user in entry.get("users", ())
        or teams & set(entry.get("teams", ()))
    ]


def _configured(entry: Mapping[str, Any]) -> Choice:
    fields = ("description", "share")
    title = entry.get("title") or entry["name"]
    return Choice(name=entry["name"], title=title, **{field: entry.get(field, "") for field in fields})


def _render(
    spawner: ChoiceMixin,
    choices: list[Choice],
    *,
    warning: str = "",
    notices: Sequence[str] = (),
    waiting: Sequence[LeaseView] = (),
    ended: str = "",
) -> str:
    wishes = [
        {"page": page_of(lease.id, spawner.hub.base_url), "sentence": sentence_of(lease), "profile": lease.profile}
        for lease in waiting
    ]
    kept = (spawner.orm_spawner.user_options or {}) if spawner.orm_spawner else {}
    last = waiting[0].profile if waiting else kept.get("profile")
    names = [choice.name for choice in choices]
    # What was taken last time may be gone; then the first one is marked, so that the form can always be sent.
    chosen = last if last in names else names[0] if names else ""
    return TEMPLATES.get_template("options_form.html").render(
        choices=choices, chosen=chosen, warning=warning, notices=notices, wishes=wishes, ended=ended
    )


def _refused(message: str, status: int = 400) -> SpawnException:
    return SpawnException(message, reason="options", status_code=status)
