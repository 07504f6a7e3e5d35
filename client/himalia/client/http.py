"""One connection to the job service: JSON in, JSON out, and errors as the service meant them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote
from urllib.request import getproxies

import httpx
from pydantic import BaseModel, ValidationError

from ..errors import HimaliaError, LocalError, NotFound, TooLarge, Unavailable, from_json
from ..version import VERSION
from .address import checked_token, checked_url

Model = TypeVar("Model", bound=BaseModel)
TIMEOUT = httpx.Timeout(30.0, connect=10.0, write=120.0)
PUT_TIMEOUT = httpx.Timeout(120.0, connect=10.0)  #: what was sent is on the disk before the answer comes
TRIES = 5
FIRST_PAUSE_SECONDS = 0.3
NO_SUCH_RANGE = 416


class Http:
    """Requests with the token; safe ones are tried again when the connection breaks."""

    transport: ClassVar[httpx.BaseTransport | None] = None  #: what carries requests; none: the network

    def __init__(self, url: str, token: str, *, verify: bool | str = True) -> None:
        self.url = checked_url(url)
        self._headers = {
            "Authorization": f"Bearer {checked_token(token)}",
            "User-Agent": f"himalia/{VERSION}",
            # Logs and artifacts are bytes as they are: a proxy that squeezes them would break offsets.
            "Accept-Encoding": "identity",
        }
        self._verify = verify
        self._client = self._connected(self.url)
        self._elsewhere: httpx.Client | None = None  #: to an address that is encrypted while ours is not
        self._connecting = threading.Lock()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
        if self._elsewhere is not None:
            self._elsewhere.close()

    def json(
        self,
        method: str,
        path: str,
        *,
        body: BaseModel | dict[str, Any] | None = None,
        query: dict[str, Any] | None = None,
        again: bool | None = None,
    ) -> Any:
        """Send a request and return what the answer's JSON says; `again`: whether it may be repeated after a cut."""
        content = _encoded(body)
        headers = {"Content-Type": "application/json"} if content is not None else {}
        may_repeat = again if again is not None else method in ("GET", "DELETE")
        for attempt in range(TRIES):
            try:
                answer = self._client.request(
                    method, f"{self.url}/{path}", content=content, params=_given(query), headers=headers
                )
                return _read(answer)
            except NotFound:
                if method == "DELETE" and attempt:
                    return None  # the first try got through; its answer did not
                raise
            except (httpx.TransportError, Unavailable) as error:
                if not may_repeat or attempt == TRIES - 1:
                    raise for_people(error, self.url) from error
                time.sleep(FIRST_PAUSE_SECONDS * 2**attempt)
        raise AssertionError("unreachable")

    def model(self, kind: type[Model], method: str, path: str, **options: Any) -> Model:
        """Do as `json`, and return the answer as a model."""
        return understood(kind, self.json(method, path, **options))

    def models(self, kind: type[Model], path: str, key: str, **options: Any) -> list[Model]:
        """Ask for a list that the answer has under a key, as models."""
        body = self.json("GET", path, **options)
        found = body.get(key) if isinstance(body, dict) else None
        return [understood(kind, one) for one in (found if isinstance(found, list) else [None])]

    def text(self, path: str, query: dict[str, Any] | None = None) -> str:
        """Ask for text that is no JSON."""
        return self._plain(path, query).text

    def content(self, path: str) -> bytes:
        """Ask for bytes that fit into memory."""
        return self._plain(path, None).content

    def _plain(self, path: str, query: dict[str, Any] | None) -> httpx.Response:
        try:
            answer = self._client.get(f"{self.url}/{path}", params=_given(query))
        except httpx.TransportError as error:
            raise for_people(error, self.url) from error
        if answer.is_error or answer.is_redirect:
            _read(answer)
        return answer

    def put(self, path: str, chunks: Iterator[bytes], url: str | None = None, length: int | None = None) -> Any:
        """Send a stream of bytes, of a length that may be known, and return what the answer's JSON says.

        It goes to another address where the service gives one: never unencrypted where the service itself is asked encrypted.
        """
        to = self.url if url is None or (_is_https(self.url) and not _is_https(url)) else checked_url(url)
        headers = {"Content-Type": "application/octet-stream"}
        headers |= {"Content-Length": str(length)} if length is not None else {}
        try:
            answer = self._client_for(to).put(f"{to}/{path}", content=chunks, headers=headers, timeout=PUT_TIMEOUT)
            return _read(answer)
        except httpx.TransportError as error:
            raise for_people(error, to) from error

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        read_timeout_seconds: float | None = 60.0,
    ) -> Iterator[httpx.Response]:
        """Open an answer to be read piece by piece; a break while reading, or a range that is not there, is the caller's to handle."""
        timeout = httpx.Timeout(30.0, connect=10.0, read=read_timeout_seconds)
        url = f"{self.url}/{path}"
        with self._client.stream("GET", url, params=_given(query), headers=headers, timeout=timeout) as answer:
            if (answer.is_error and answer.status_code != NO_SUCH_RANGE) or answer.is_redirect:
                answer.read()
                _read(answer)
            yield answer

    def _client_for(self, url: str) -> httpx.Client:
        """Return connections that check certificates where the address has one; called from several threads."""
        if _is_https(url) == _is_https(self.url):
            return self._client
        with self._connecting:
            self._elsewhere = self._elsewhere or self._connected(url)
        return self._elsewhere

    def _connected(self, url: str) -> httpx.Client:
        return httpx.Client(
            headers=self._headers,
            timeout=TIMEOUT,
            # Only where there will be certificates to check, of the service or of a proxy: loading ours takes 50 ms.
            verify=self._verify if _is_https(url) or getproxies() else False,
            follow_redirects=False,
            transport=self.transport,
        )


def understood(kind: type[Model], body: Any) -> Model:
    """Return an answer as a model; raise LocalError when it is none that this client knows."""
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise LocalError("The service's answer is not understood. Upgrade himalia: pip install -U himalia.") from error


def part(text: str) -> str:
    """Return one part of a path, escaped; raise LocalError for one that would lead elsewhere."""
    if text in ("", ".", ".."):
        raise LocalError(f"{text!r} is no name. Write the id or the name that you mean.")
    return quote(text, safe="")


def path_of(text: str) -> str:
    """Return a path of several parts, escaped but for its slashes."""
    return "/".join(part(step) for step in text.split("/"))


def _is_https(url: str) -> bool:
    return url.startswith("https:")


def _read(answer: httpx.Response) -> Any:
    if answer.is_redirect:
        raise LocalError(
            f"{answer.url} leads elsewhere ({answer.headers.get('Location', '')}). Log in again: himalia login."
        )
    try:
        body = answer.json() if answer.content else None
    except (ValueError, UnicodeDecodeError):
        raise _not_ours(answer) from None
    if answer.is_error:
        raise from_json(answer.status_code, body) if body is not None else _not_ours(answer)
    return body


def _not_ours(answer: httpx.Response) -> HimaliaError:
    """Return the error for an answer that somebody else gave: what stands in front, or another service."""
    if answer.status_code in (502, 503, 504):
        return Unavailable("The platform does not answer at the moment. Try again.")
    if answer.status_code == 413:
        return TooLarge("A proxy in front of the platform refuses to send this much. Tell an administrator.")
    return LocalError(
        f"What answers at {answer.url} ({answer.status_code}) is not Himalia's job service. Check the address, then: himalia login."
    )


def _encoded(body: BaseModel | dict[str, Any] | None) -> bytes | None:
    if body is None:
        return None
    return (body.model_dump_json(exclude_none=True) if isinstance(body, BaseModel) else json.dumps(body)).encode()


def _given(query: dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (query or {}).items() if value is not None}


def for_people(error: Exception, url: str) -> HimaliaError:
    """Return a failure of the connection as an error that may be shown to people."""
    if isinstance(error, HimaliaError):
        return error
    host = httpx.URL(url).netloc.decode()
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Unavailable(
            f"The certificate of {host} is not trusted here ({error}). If it is your site's own, name its file in SSL_CERT_FILE."
        )
    if isinstance(error, httpx.ConnectError):
        return Unavailable(f"Nothing answers at {host} ({error}). Is the platform up, and the address right?")
    if isinstance(error, httpx.TimeoutException):
        return Unavailable(f"{host} did not answer in time. Try again.")
    return Unavailable(f"The connection to {host} broke ({error or type(error).__name__}). Try again.")
