"""Calls to the Docker Engine: in threads of their own, each with a time limit, its failures told apart."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import requests.exceptions
from docker.errors import APIError, DockerException

from .errors import EngineError, NotSent, Unknown

THREADS = 16
TIMEOUT_SECONDS = 60.0


class DockerCalls:
    """The low-level client of the Docker SDK. It is made when it is first needed: the Engine may not be there yet."""

    def __init__(self, host: str | None) -> None:
        self._host = host or "unix:///var/run/docker.sock"
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="docker")
        self._client: docker.APIClient | None = None
        self._lock = threading.Lock()
        self.answered = -math.inf  #: when the Engine last answered anything, by the monotonic clock

    async def __call__(self, method: str, *args: Any, timeout: float = TIMEOUT_SECONDS, **kwargs: Any) -> Any:
        """Call a method of the client; raise APIError as the Engine answered it, NotSent or Unknown otherwise."""
        call = asyncio.get_running_loop().run_in_executor(self._threads, self._call, method, args, kwargs)
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(call)
        except TimeoutError as error:
            raise Unknown(f"the Docker Engine did not answer `{method}` within {timeout:g} s") from error

    def client(self) -> docker.APIClient:
        """Return the client; raise NotSent while the Engine does not answer."""
        with self._lock:
            if self._client is None:
                try:
                    self._client = docker.APIClient(
                        base_url=self._host, version="auto", timeout=TIMEOUT_SECONDS, max_pool_size=THREADS + 4
                    )
                except (DockerException, requests.exceptions.RequestException) as error:
                    raise NotSent(f"no Docker Engine answers at {self._host}") from error
            return self._client

    def _call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        client = self.client()
        try:
            answer = getattr(client, method)(*args, **kwargs)
            self.answered = time.monotonic()
            return answer
        except APIError:
            self.answered = time.monotonic()
            raise
        except requests.exceptions.ConnectionError as error:
            self.answered = -math.inf
            raise _sent_or_not(error, method) from error
        except requests.exceptions.RequestException as error:
            self.answered = -math.inf
            raise Unknown(f"the Docker Engine did not finish `{method}`: {error}") from error

    def close(self) -> None:
        """Let go of the connections; calls under way are left to themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.close()


def is_missing(error: APIError) -> bool:
    """Tell whether the Engine said that there is no such thing."""
    return error.response is not None and error.response.status_code == 404


def is_conflict(error: APIError) -> bool:
    """Tell whether the Engine said that the name is taken, or that it is being done already."""
    return error.response is not None and error.response.status_code == 409


def is_gone(error: APIError) -> bool:
    """Tell whether the Engine said that there is no such container; a missing network or device is a 404 as well."""
    return is_missing(error) and "no such container" in said(error).lower()


def is_full(error: APIError) -> bool:
    """Tell whether the Engine said that its disk is full."""
    return "no space left on device" in said(error).lower()


def said(error: APIError) -> str:
    """Return what the Engine said, as a sentence for people."""
    return str(error.explanation or error).strip().rstrip(".") + "."


def _sent_or_not(error: Exception, method: str) -> EngineError:
    text = str(error)
    if "Connection refused" in text or "No such file" in text or "ConnectionRefused" in text or "FileNotFound" in text:
        return NotSent(f"the Docker Engine does not answer: {method} was not sent")
    return Unknown(f"the connection to the Docker Engine broke during `{method}`")
