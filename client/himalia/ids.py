"""Ids: 12 random characters of lower-case base32; an attempt is `<job id>.<n>`."""

from __future__ import annotations

import re
import secrets

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
LENGTH = 12
PATTERN = re.compile(rf"[{ALPHABET}]{{{LENGTH}}}")


def new_id() -> str:
    """Return a new random id (60 bits)."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def is_id(text: str) -> bool:
    """Tell whether the text has the form of an id."""
    return PATTERN.fullmatch(text) is not None


def attempt_id(job_id: str, number: int) -> str:
    """Return the id of a job's attempt; attempts are counted from 1 and never reused."""
    return f"{job_id}.{number}"


def split_attempt(attempt: str) -> tuple[str, int]:
    """Return the job id and the number of an attempt id."""
    job_id, _, number = attempt.partition(".")
    return job_id, int(number)
