"""Asking the driver one question: not every GPU, driver and user gets an answer to each."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pynvml

from . import health


def ask(question: Callable[..., Any], *arguments: Any, no_answer: Collection[int] = ()) -> Any:
    """Return the answer, or None where this GPU or driver has none; `no_answer`: errors that mean the same here."""
    try:
        return question(*arguments)
    except pynvml.NVMLError as error:
        if error.value not in health.NO_ANSWER and error.value not in no_answer:
            raise
        return None
