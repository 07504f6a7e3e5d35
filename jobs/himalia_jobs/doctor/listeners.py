"""Who listens on a port of this machine, from /proc."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

LISTENING = "0A"
EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A program that listens on a port."""

    address: str
    port: int
    pid: int | None = None  #: None: it is somebody else's, and only root may see whose
    command: str = ""
    config: str = ""  #: the HIMALIA_CONFIG it was started with

    @property
    def name(self) -> str:
        """The program, for people."""
        program = Path(self.command.split(" ")[0]).name
        return f"{program} (process {self.pid})" if self.pid else "a program of another user"

    def blocks(self, address: str) -> bool:
        """Tell whether nobody else can listen on this address beside it."""
        return address == self.address or self.address in EVERYWHERE or address in ("", *EVERYWHERE)


def listeners(ports: set[int], proc: Path = Path("/proc")) -> list[Listener]:
    """Return who listens on these ports."""
    sockets = {}
    for name in ("tcp", "tcp6"):
        try:
            rows = (proc / "self" / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in map(str.split, rows):
            address, _, port = row[1].partition(":")
            if row[3] == LISTENING and int(port, 16) in ports:
                sockets[row[9]] = (_address(address), int(port, 16))
    owners = _owners(set(sockets), proc)
    return [_listener(*place, owners.get(inode), proc) for inode, place in sockets.items()]


def _listener(address: str, port: int, pid: int | None, proc: Path) -> Listener:
    if pid is None:
        return Listener(address=address, port=port)
    environment = dict(part.partition("=")[::2] for part in _words(proc / str(pid) / "environ"))
    return Listener(
        address=address,
        port=port,
        pid=pid,
        command=" ".join(_words(proc / str(pid) / "cmdline")),
        config=environment.get("HIMALIA_CONFIG", ""),
    )


def _owners(inodes: set[str], proc: Path) -> dict[str, int]:
    """Return which process has a socket open, as far as we may look."""
    found = {}
    for link in proc.glob("[0-9]*/fd/*") if inodes else ():
        try:
            target = os.readlink(link)
        except OSError:
            continue
        inode = target.removeprefix("socket:[").removesuffix("]")
        if target.startswith("socket:[") and inode in inodes:
            found[inode] = int(link.parts[-3])
    return found


def _words(file: Path) -> list[str]:
    try:
        return [word.decode(errors="replace") for word in file.read_bytes().split(b"\0") if word]
    except OSError:
        return []


def _address(text: str) -> str:
    """Return an address from how the kernel writes it: words of four bytes, each in the machine's own order."""
    raw = b"".join(struct.pack("=I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8))
    return socket.inet_ntop(socket.AF_INET6 if len(raw) == 16 else socket.AF_INET, raw)
