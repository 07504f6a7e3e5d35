"""Checks of the platform's three processes: their ports, and whether they answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from himalia.doctor import Outcome

from ..engines.errors import EngineError
from .here import START, Here
from .listeners import Listener, listeners

ASK_SECONDS = 8.0
NEVER = Outcome(ok=None, message="never started yet")


def ports(here: Here) -> Outcome:
    """Tell whether the ports are free or ours."""
    wanted = _ports(here)
    there = listeners({port for _, _, port in wanted})
    taken, ours = [], []
    for setting, address, port in wanted:
        for listener in there:
            if listener.port != port or not listener.blocks(address):
                continue
            if _is_ours(listener, here.config):
                ours.append(port)
            else:
                taken.append(f"{port} ([platform] {setting}) is taken by {listener.name}")
    if taken:
        return Outcome(
            ok=False,
            message=f"Port {', port '.join(dict.fromkeys(taken))}.",
            advice=f"End what uses it, or choose another port in {here.file}.",
        )
    numbers = dict.fromkeys(port for _, _, port in wanted)
    return Outcome(ok=True, message=", ".join(f"{port} {'ours' if port in ours else 'free'}" for port in numbers))


def hub(here: Here) -> Outcome:
    """Tell whether the hub answers."""
    if not here.installation:
        return NEVER
    gateway = here.gateway
    if not gateway:
        return Outcome(ok=False, message="The servers' network, on which the hub listens, is not there.", advice=START)
    platform = here.site.platform
    url = f"http://{gateway}:{platform.hub_port}{platform.base_url}hub/health"
    return _answers(here, "hub", url)


def proxy(here: Here) -> Outcome:
    """Tell whether the proxy answers, and leads to the hub."""
    if not here.installation:
        return NEVER
    platform = here.site.platform
    address = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}.get(platform.address, platform.address)
    base = f"{'https' if here.site.tls.certificate else 'http'}://{address}:{platform.port}"
    itself = _answers(here, "proxy", f"{base}/_chp_healthz")
    if itself.ok is not True:
        return itself
    code = _status(f"{base}{platform.base_url}hub/health")
    if code != 200:
        return Outcome(
            ok=False,
            message=f"The proxy answers, but not the hub behind it ({code or 'no answer'}).",
            advice=f"Look at the check of the hub, and at {_log(here, 'proxy')}.",
        )
    return Outcome(ok=True, message=f"{base} answers and leads to the hub")


def service(here: Here) -> Outcome:
    """Tell whether the job service answers, is this installation's, and has nothing to complain about."""
    if not here.installation:
        return replace(NEVER, advice=START)
    url = f"http://127.0.0.1:{here.site.platform.service_port}/services/jobs/api/health"
    health = _health(url)
    if health is None:
        return _silent(here, "job service", "service", url)
    if health.get("installation") != here.installation:
        return Outcome(
            ok=False,
            message=f"What answers at {url} is no job service of this installation ({here.installation}).",
            advice=f"Choose another [platform] service_port in {here.file}, or stop the other one.",
        )
    complaints = [str(sentence) for sentence in health.get("sentences", ())]
    if complaints:
        return Outcome(ok=False, message=" ".join(complaints))
    return Outcome(ok=True, message=f"answers, version {health.get('version')}, with no complaint")


def _ports(here: Here) -> list[tuple[str, str, int]]:
    platform = here.site.platform
    wanted = [
        ("port", platform.address, platform.port),
        ("proxy_api_port", "127.0.0.1", platform.proxy_api_port),
        ("service_port", "127.0.0.1", platform.service_port),
    ]
    try:
        gateway = here.gateway
    except EngineError:  # without the Engine nobody can listen there
        gateway = ""
    if gateway:
        wanted += [("service_port", gateway, platform.service_port), ("hub_port", gateway, platform.hub_port)]
    return wanted


def _is_ours(listener: Listener, config: Path | None) -> bool:
    """Tell whether a program was started for this installation: all three know the operator's file."""
    if config is None:
        return False
    same = listener.config and Path(listener.config).resolve() == config
    return bool(same) or str(config) in listener.command.split()


def _answers(here: Here, name: str, url: str) -> Outcome:
    code = _status(url)
    return Outcome(ok=True, message=f"{url} answers") if code == 200 else _silent(here, name, name, url, code)


def _silent(here: Here, title: str, log: str, url: str, code: int = 0) -> Outcome:
    said = f"says {code}" if code else "does not answer"
    return Outcome(ok=False, message=f"The {title} {said} at {url}.", advice=f"{START} Its log: {_log(here, log)}.")


def _log(here: Here, name: str) -> str:
    """Return where a process keeps its log, under the supervisor or under systemd."""
    file = here.data / "logs" / f"{name}.log"
    return str(file) if file.exists() else f"`journalctl -u himalia-{'jobs' if name == 'service' else name}`"


def _status(url: str) -> int:
    """Return the status that is answered; 0 for none. The certificate is not looked at: this asks this very machine."""
    try:
        return httpx.get(url, timeout=ASK_SECONDS, trust_env=False, verify=False).status_code
    except httpx.HTTPError:
        return 0


def _health(url: str) -> dict[str, Any] | None:
    """Return what the service says of itself; None when it does not answer, or is something else."""
    try:
        answer = httpx.get(url, timeout=ASK_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return None
    try:
        said = answer.json()
    except ValueError:
        said = {}
    return said if isinstance(said, dict) else {}
