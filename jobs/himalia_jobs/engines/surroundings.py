"""What the packet filter's rules have to know about this machine: its nameservers, its uplinks, its bridges."""

from __future__ import annotations

import ipaddress
from fnmatch import fnmatchcase
from pathlib import Path

from .rules import PRIVATE, Surroundings

#: The second one where the first names systemd's own resolver: Docker reads them the same way.
RESOLVER_FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
ROUTES = Path("/proc/net/route")
INTERFACES = Path("/sys/class/net")


def look_around(
    resolver_files: tuple[Path, ...] = RESOLVER_FILES, routes: Path = ROUTES, interfaces: Path = INTERFACES
) -> Surroundings:
    """Return what the rules have to know now; what cannot be read is left out."""
    uplinks = _uplinks(_text(routes))
    bridges = sorted(found.parent.name for found in interfaces.glob("*/bridge"))
    return Surroundings(
        nameservers=_nameservers(resolver_files),
        uplinks=tuple(name for name in uplinks if looks_private(name) or name in bridges),
        bridges=tuple(name for name in bridges if name not in uplinks and not looks_private(name)),
    )


def looks_private(interface: str) -> bool:
    """Tell whether an interface has the name of a container network's."""
    return any(fnmatchcase(interface, pattern.replace("+", "*")) for pattern in PRIVATE)


def _nameservers(files: tuple[Path, ...]) -> tuple[str, ...]:
    for file in files:
        rows = [line.split() for line in _text(file).splitlines()]
        named = [row[1] for row in rows if len(row) > 1 and row[0] == "nameserver"]
        outside = tuple(dict.fromkeys(name for name in named if _is_outside(name)))
        if outside:
            return outside
    return ()


def _is_outside(name: str) -> bool:
    """Tell whether it is an IPv4 address that containers ask themselves; loopback ones the Engine asks for them."""
    try:
        return not ipaddress.IPv4Address(name).is_loopback
    except ValueError:
        return False


def _uplinks(routes: str) -> tuple[str, ...]:
    """Return the interfaces with a default route, from the kernel's table."""
    rows = [line.split() for line in routes.splitlines()[1:]]
    return tuple(sorted({row[0] for row in rows if len(row) > 7 and row[1] == row[7] == "00000000"}))


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
