"""Names and texts of strangers, so that they steer no terminal and do not look like something else."""

from __future__ import annotations

import re

#: Control characters, what turns the order of letters around, line ends of other kinds, and halves of letters.
STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def harmless(text: str) -> str:
    """Return a text with everything escaped that steers; line ends stay."""
    return STEERING.sub(lambda found: found[0] if found[0] == "\n" else repr(found[0])[1:-1], text)
