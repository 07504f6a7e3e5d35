"""What Lab opens in a person's notebook server: a terminal, and a kernel's channels."""

from __future__ import annotations

import itertools
import json
import re
from types import TracebackType

import websocket

from himalia_spawner.platform.person import Person

ANSWER_SECONDS = 60
CONTROL = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]|\x1b\][^\x07]*\x07")


def connect(person: Person, path: str) -> websocket.WebSocket:
    """Open a web socket of the person's server."""
    url = person.get(f"user/{person.name}/api").url.copy_with(scheme="ws", path=f"/user/{person.name}/{path}")
    header = {"Authorization": f"Bearer {person.token}"}
    return websocket.create_connection(str(url), header=header, timeout=ANSWER_SECONDS)


class Terminal:
    """A shell that runs commands one after the other."""

    def __init__(self, person: Person) -> None:
        made = person.post(f"user/{person.name}/api/terminals", {})
        made.raise_for_status()
        self._socket = connect(person, f"terminals/websocket/{made.json()['name']}")
        self._numbers = itertools.count(1)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def run(self, command: str) -> tuple[int, str]:
        """Type a command; return its exit code and all that the terminal showed meanwhile."""
        number = next(self._numbers)
        # What is typed is shown too: the two halves come together only in what is printed.
        self._socket.send(json.dumps(["stdin", f"{command}; echo ended'-'{number}:$?:\r"]))
        ended, shown = re.compile(rf"ended-{number}:(\d+):"), ""
        while not (found := ended.search(shown)):
            kind, *words = json.loads(self._socket.recv())
            assert kind != "disconnect", shown
            shown += CONTROL.sub("", words[0]) if kind == "stdout" else ""
        return int(found[1]), shown
