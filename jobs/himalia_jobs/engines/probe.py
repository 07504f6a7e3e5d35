"""What somebody who only looks asks the Docker Engine: nothing is made, nothing is changed."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import requests.exceptions
from docker.errors import APIError

from himalia.container import network_name

from .bridges import gateway_of
from .calls import DockerCalls, is_missing, said
from .errors import EngineError


class Probe:
    """Questions to the Docker Engine; each raises EngineError with why there is no answer."""

    def __init__(self, host: str | None = None) -> None:
        self._docker = DockerCalls(host)

    def close(self) -> None:
        """Let go of the connection."""
        self._docker.close()

    @cached_property
    def info(self) -> dict[str, Any]:
        """What the Engine says of itself."""
        return dict(self._ask("info") or {})

    def has_image(self, reference: str) -> bool:
        """Tell whether an image is on this machine."""
        return self._ask("inspect_image", reference) is not None

    def gateway(self, installation: str, kind: str = "server") -> str:
        """Return this machine's address on a bridge; empty where the bridge was not made yet."""
        found = self._ask("inspect_network", network_name(installation, kind))
        return gateway_of(found) if found else ""

    def _ask(self, method: str, *args: Any) -> Any:
        """Return what a method of the client gives; None where there is no such thing."""
        try:
            return getattr(self._docker.client(), method)(*args)
        except APIError as error:
            if is_missing(error):
                return None
            raise EngineError(said(error)) from error
        except requests.exceptions.RequestException as error:
            raise EngineError(f"the Docker Engine broke off: {error}") from error
