"""Asks something again and again, in a thread, and keeps how long each answer took."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import httpx

PAUSE_SECONDS = 0.01


class Probe:
    """Asks an address while a `with` block runs."""

    def __init__(self, url: str, token: str) -> None:
        self.milliseconds: list[float] = []
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="probe")

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def percentile(self, percent: float) -> float:
        """Return the time within which so many of a hundred answers came."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    def _ask(self) -> None:
        with httpx.Client(headers=self._headers, timeout=60, trust_env=False) as client:
            while not self._over.wait(PAUSE_SECONDS):
                begun = time.monotonic()
                client.get(self._url).raise_for_status()
                self.milliseconds.append((time.monotonic() - begun) * 1000)
