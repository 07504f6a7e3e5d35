"""One check, and what came of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ..errors import HimaliaError

LIMIT_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a check: `ok` is None for what is good to know but no fault."""

    ok: bool | None
    message: str
    advice: str = ""
    details: tuple[str, ...] = ()  #: for those who ask for more


@dataclass(frozen=True, kw_only=True)
class Check:
    """A named question about this machine."""

    name: str
    run: Callable[[], Outcome]
    limit_seconds: float = LIMIT_SECONDS

    def outcome(self) -> Outcome:
        """Ask; an error is an outcome too, so that one broken thing does not hide the others."""
        return _Asking(self).outcome()


def ask_all(checks: Iterable[Check]) -> Iterator[tuple[Check, Outcome]]:
    """Ask everything at once, and yield what came of it in order: what hangs holds up nothing else."""
    for asking in [_Asking(check) for check in checks]:
        yield asking.check, asking.outcome()


@dataclass
class _Asking:
    """A check that is being asked, in a thread that may be left behind."""

    check: Check
    found: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._ask, name=f"check {self.check.name}", daemon=True)
        self._thread.start()
        self._deadline = time.monotonic() + self.check.limit_seconds

    def outcome(self) -> Outcome:
        """Wait for the outcome, as long as the check may take."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        return self.found[0] if self.found else Outcome(ok=False, message=self._no_answer())

    def _ask(self) -> None:
        try:
            self.found.append(self.check.run())
        except HimaliaError as error:
            self.found.append(Outcome(ok=False, message=error.message))
        except Exception as error:
            message = f"The check itself failed: {type(error).__name__}: {error}."
            self.found.append(Outcome(ok=False, message=message))

    def _no_answer(self) -> str:
        return f"There was no answer within {self.check.limit_seconds:g} s. Something that it asks hangs."
