"""Hears of bytes that were added to logs, by the kernel's inotify: nobody has to look again and again.

What is watched is the file that was opened, never a name: a job may put anything under it. However fast jobs print, readers
are woken a hundred times a second at most. Where nothing can be watched (no log yet, a network's file system, all watches
in use), they are woken so often that nobody notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..hostile import open_regular
from .logfiles import LOG

IN_MODIFY, IN_ATTRIB, IN_CREATE, IN_DELETE_SELF, IN_IGNORED = 0x2, 0x4, 0x100, 0x400, 0x8000
NEWS = IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF  #: a file whose last name goes changes its link count first
HEAD = struct.Struct("iIII")  #: of an event: watch, what happened, cookie, length of the name behind it
BUFFER_BYTES = 64 * 1024
REST_SECONDS = 0.01  #: between two looks at what the kernel tells
POLL_SECONDS = 0.025  #: where nothing tells
KEPT_SECONDS = 30.0  #: a watch that nobody waits for


@dataclass(kw_only=True)
class Watched:
    """A log that somebody waits for."""

    watch: int = -1  #: the kernel's number; none: it cannot be watched (yet)
    is_log: bool = False  #: else the directory in which it will be
    number: int = 0  #: of the last news
    news: asyncio.Event = field(default_factory=asyncio.Event)
    waiters: int = 0
    beginning: asyncio.Lock = field(default_factory=asyncio.Lock)
    forget: asyncio.TimerHandle | None = None

    def tell(self) -> None:
        """Wake all who wait."""
        self.number += 1
        self.news.set()
        self.news = asyncio.Event()


class LogWatch:
    """All logs that are followed now. Every call comes from one event loop."""

    def __init__(self, in_thread: Callable[..., Awaitable[Any]]) -> None:
        self._in_thread = in_thread
        self._descriptor = -1
        self._watched: dict[Path, Watched] = {}
        self._paths: dict[int, Path] = {}
        self._libc = ctypes.CDLL(None)

    async def number(self, own: Path) -> int:
        """Return the number of the last news of an attempt's log; what comes after this call has another one."""
        watched = self._watched.setdefault(own, Watched())
        self._keep(own, watched)
        async with watched.beginning:
            if watched.watch < 0:
                await self._begin(own, watched)
        return watched.number

    async def wait(self, own: Path, seen: int, timeout_seconds: float) -> None:
        """Return once there are news after those that were seen, or when the time is over."""
        watched = self._watched.get(own)
        if watched is None or watched.number != seen:
            return
        if watched.watch < 0:
            await asyncio.sleep(min(POLL_SECONDS, timeout_seconds))
            return
        watched.waiters += 1
        try:
            async with asyncio.timeout(timeout_seconds):
                await watched.news.wait()
        except TimeoutError:
            pass
        finally:
            watched.waiters -= 1

    def close(self) -> None:
        """Watch nothing any more."""
        for own in list(self._watched):
            self._drop(own)
        if self._descriptor >= 0:
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    async def _begin(self, own: Path, watched: Watched) -> None:
        """Ask the kernel to tell of a log; before there is one, of what is made in its directory: no command runs yet."""
        log = await self._in_thread(_open, own, LOG)
        if log is None:
            folder = self._watch(await self._in_thread(_open, own, None), IN_CREATE)
            log = await self._in_thread(_open, own, LOG)
            if log is None:
                self._note(own, watched, folder, is_log=False)
                return
            self._unwatch(folder)  # it was made in this moment
        self._note(own, watched, self._watch(log, NEWS), is_log=True)

    def _note(self, own: Path, watched: Watched, watch: int, *, is_log: bool) -> None:
        watched.watch, watched.is_log = watch, is_log
        if watch >= 0:
            self._paths[watch] = own

    def _watch(self, file: int | None, mask: int) -> int:
        """Watch what was opened, and close it; return the kernel's number, -1 where that is not possible."""
        if file is None:
            return -1
        try:
            if self._descriptor < 0:
                self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
                if self._descriptor < 0:
                    return -1
                self._listen()
            return int(self._libc.inotify_add_watch(self._descriptor, f"/proc/self/fd/{file}".encode(), mask))
        finally:
            os.close(file)

    def _unwatch(self, watch: int) -> None:
        if watch >= 0:
            self._paths.pop(watch, None)
            self._libc.inotify_rm_watch(self._descriptor, watch)

    def _hear(self) -> None:
        """Wake whoever waits for the logs that the kernel tells of, then rest."""
        loop = asyncio.get_running_loop()
        try:
            told = os.read(self._descriptor, BUFFER_BYTES)
        except BlockingIOError:
            return
        for watch, happened in _events(told):
            own = self._paths.get(watch)
            watched = self._watched.get(own) if own is not None else None
            if own is None or watched is None:
                if watch < 0:  # more happened than the kernel keeps: anything may be new
                    for each in self._watched.values():
                        each.tell()
                continue
            if happened & IN_IGNORED:
                del self._paths[watch]
                watched.watch = -1
            elif not watched.is_log:  # there is a log now, perhaps
                self._unwatch(watch)
                watched.watch = -1
            watched.tell()
        loop.remove_reader(self._descriptor)
        loop.call_later(REST_SECONDS, self._listen)

    def _listen(self) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().add_reader(self._descriptor, self._hear)

    def _keep(self, own: Path, watched: Watched) -> None:
        if watched.forget is not None:
            watched.forget.cancel()
        watched.forget = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._drop, own)

    def _drop(self, own: Path) -> None:
        watched = self._watched.pop(own, None)
        if watched is None:
            return
        if watched.forget is not None:
            watched.forget.cancel()
        self._unwatch(watched.watch)
        watched.tell()


def _open(own: Path, name: str | None) -> int | None:
    """Open a log, or the directory that it will be in, whatever a job has put there; return None where there is none."""
    try:
        if name is None:
            return os.open(own / "run", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        return open_regular(own / "run", name)
    except OSError:
        return None


def _events(told: bytes) -> list[tuple[int, int]]:
    """Return (watch, what happened) of each event."""
    found, at = [], 0
    while at + HEAD.size <= len(told):
        watch, happened, _, length = HEAD.unpack_from(told, at)
        found.append((watch, happened))
        at += HEAD.size + length
    return found
