"""`himalia-platform status`: how the platform is."""

from __future__ import annotations

from himalia.units import counted
from himalia_spawner.configuration import public_address

from .engine import running
from .place import Place
from .programs import programs
from .starting import answers, health
from .supervising import Supervisor
from .systemd import has_units, unit_state


def report(place: Place) -> tuple[list[str], bool]:
    """Return sentences about the platform, and whether all is well."""
    supervisor = Supervisor(place)
    supervised = supervisor.answers()
    lines, well = [], True
    for program in programs(place):
        up = answers(program.ready_url)
        words = "not under the supervisor of `himalia-platform up`"
        if has_units(place):
            words = f"{unit_state(program.name)}, under systemd"
        elif supervised:
            words = supervisor.state(program.name).words
        lines.append(f"{program.title:<12} {'answers' if up else 'does not answer':<16} {words}")
        well = well and up
    servers, jobs = running(place.installation)
    lines.append(f"Running: {counted(servers, 'notebook server')} and {counted(jobs, 'job')}.")
    sentences = health(place)
    lines += [f"The job service says: {sentence}" for sentence in sentences]
    lines.append(
        f"Address: {public_address(place.site) or place.proxy_url}   Data: {place.site.data}   Logs: {place.log_dir}"
    )
    return lines, well and not sentences
