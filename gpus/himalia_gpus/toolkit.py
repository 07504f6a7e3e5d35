"""Which weaknesses a version of the NVIDIA Container Toolkit has; each lets an image's author out of the container."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .devices import Way

Version = tuple[int, ...]
_VERSION = re.compile(r"\bversion:?\s+v?(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, kw_only=True)
class Weakness:
    """One published weakness, and the versions that are free of it."""

    cve: str
    fixed: Version
    fixed_with_cdi: Version | None = None  #: where GPUs come by CDI; () means that CDI never had it

    def is_open(self, version: Version, way: Way) -> bool:
        """Tell whether a version has it, where GPUs come this way."""
        fixed = self.fixed_with_cdi if way is Way.CDI and self.fixed_with_cdi is not None else self.fixed
        return version < fixed


#: From NVIDIA's security bulletins, oldest first.
WEAKNESSES = (
    Weakness(cve="CVE-2024-0132", fixed=(1, 16, 2), fixed_with_cdi=()),
    Weakness(cve="CVE-2024-0134", fixed=(1, 17, 0)),
    Weakness(cve="CVE-2024-0135", fixed=(1, 17, 3)),
    Weakness(cve="CVE-2024-0136", fixed=(1, 17, 3)),
    Weakness(cve="CVE-2024-0137", fixed=(1, 17, 3)),
    Weakness(cve="CVE-2025-23359", fixed=(1, 17, 4)),
    Weakness(cve="CVE-2025-23266", fixed=(1, 17, 8), fixed_with_cdi=(1, 17, 5)),
    Weakness(cve="CVE-2025-23267", fixed=(1, 17, 8)),
    Weakness(cve="CVE-2026-24260", fixed=(1, 19, 1)),
)


def toolkit_version(said: str) -> Version | None:
    """Return the version that `nvidia-ctk --version` names; None where it names none."""
    found = _VERSION.search(said)
    return tuple(int(number) for number in found.groups()) if found else None


def weaknesses_of(version: Version, way: Way) -> list[str]:
    """Return the names of the weaknesses that a version has, where GPUs come this way."""
    return [weakness.cve for weakness in WEAKNESSES if weakness.is_open(version, way)]


def in_words(version: Version) -> str:
    """Return a version as people write it."""
    return ".".join(map(str, version))
