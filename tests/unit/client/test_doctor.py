"""`himalia doctor` on a laptop and beside any checks: what is asked, what is said, how the command ends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from himalia.cli.doctor import doctor
from himalia.client.http import Http
from himalia.doctor import Check, Outcome, all_checks, ask_all, connection_checks
from himalia.errors import LocalError
from himalia.settings import Connection, keep_connection, platform_config
from himalia.version import VERSION
from himalia_spawner.settings import config_file

ME = {
    "name": "ada",
    "admin": False,
    "teams": [],
    "scopes": [],
    "api_version": 1,
    "oldest_client": VERSION,
    "version": VERSION,
}
HEALTH = {"ok": True, "sentences": [], "version": VERSION, "installation": "abcdefghijkl"}
Answer = Callable[[str, int, dict[str, Any]], None]


@pytest.fixture(autouse=True)
def laptop(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Give a home of their own to the tests, and nothing of the environment."""
    for name in ("HIMALIA_API_URL", "HIMALIA_TOKEN", "JUPYTERHUB_API_TOKEN", "HIMALIA_CONFIG", "HIMALIA_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("himalia.doctor.gather.entry_points", lambda group: ())
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, tuple[int, dict[str, Any]]]]:
    """A platform that somebody is logged in to; a test changes what it answers."""
    keep_connection(Connection(url="https://gpu.example.org/services/jobs/api", token="t"))
    answers: dict[str, tuple[int, dict[str, Any]]] = {"me": (200, ME), "health": (200, HEALTH)}

    def answer(request: httpx.Request) -> httpx.Response:
        status, body = answers[request.url.path.rpartition("/")[2]]
        return httpx.Response(status, json=body)

    monkeypatch.setattr(Http, "transport", httpx.MockTransport(answer))
    return answers


PLACE = {"place": "/storage", "used_bytes": 5 * 1024**3, "limit_bytes": 10 * 1024**3, "files": 12}


def outcomes() -> dict[str, Outcome]:
    """Return what came of the checks of the connection."""
    return {check.name: outcome for check, outcome in ask_all(connection_checks())}


def checks_of(monkeypatch: pytest.MonkeyPatch, *outcomes: Outcome) -> None:
    """Let the machine have these checks."""
    checks = [Check(name=f"check-{number}", run=lambda found=found: found) for number, found in enumerate(outcomes)]
    monkeypatch.setattr("himalia.cli.doctor.all_checks", lambda config: checks)


def test_a_connection_that_is_well_is_told(platform):
    found = outcomes()

    assert {name: outcome.ok for name, outcome in found.items()} == dict.fromkeys(
        ("address", "token", "version", "your disk"), True
    )
    assert found["token"].message == "logged in as ada"


@pytest.mark.parametrize(
    ("places", "ok", "said"),
    [
        ([], True, "homes and storages have no limits here"),
        ([PLACE | {"limit_files": 1000}], True, "/storage 5.0 GB of 10.0 GB and 12 of 1,000 files"),
        (
            [PLACE | {"level": "nearly", "sentence": "Your /storage is nearly full."}],
            None,
            "Your /storage is nearly full.",
        ),
        ([PLACE | {"level": "full", "sentence": "Your /storage is full."}, PLACE], False, "Your /storage is full."),
    ],
)
def test_what_ones_storages_take_is_told_and_what_is_full(platform, places, ok, said):
    platform["me"] = (200, ME | {"disk": places})

    assert outcomes()["your disk"] == Outcome(ok=ok, message=said)


def test_who_is_not_logged_in_is_told_how_to(tmp_path):
    (check,) = connection_checks()

    assert check.outcome().ok is False
    assert "himalia login" in check.outcome().message


def test_a_platform_that_complains_is_passed_on(platform):
    platform["health"] = (200, HEALTH | {"ok": False, "sentences": ["The disk is full."]})

    assert outcomes()["address"] == Outcome(ok=False, message="The disk is full.", advice="Tell an administrator.")


def test_a_token_that_is_not_known_any_more_is_told(platform):
    platform["me"] = (401, {"error": {"code": "unauthenticated", "message": "This token is not known.", "fields": {}}})

    found = outcomes()["token"]

    assert (found.ok, found.message) == (False, "This token is not known.")
    assert "himalia login" in found.advice


def test_a_client_that_is_too_old_is_told_what_to_upgrade(platform):
    platform["me"] = (200, ME | {"version": "9.0.0", "oldest_client": "8.0.0"})

    found = outcomes()["version"]

    assert found.ok is False
    assert "himalia>=8.0.0" in found.message


def test_another_version_that_goes_together_is_a_note(platform):
    platform["me"] = (200, ME | {"version": "9.0.0"})

    assert outcomes()["version"].ok is None


def test_an_address_where_nobody_answers_is_told(monkeypatch, platform):
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    monkeypatch.setattr(Http, "transport", httpx.MockTransport(refuse))
    monkeypatch.setattr("himalia.client.http.time.sleep", lambda seconds: None)

    found = outcomes()["address"]

    assert found.ok is False
    assert "gpu.example.org" in found.message


def test_a_check_that_hangs_is_given_up_and_the_others_go_on():
    never = threading.Event()
    checks = [
        Check(name="hangs", run=lambda: Outcome(ok=never.wait(), message=""), limit_seconds=0.05),
        Check(name="answers", run=lambda: Outcome(ok=True, message="well")),
    ]

    (_, hanging), (_, answering) = list(ask_all(checks))

    assert (hanging.ok, answering.ok) == (False, True)
    assert "within 0.05 s" in hanging.message
    never.set()


def test_checks_are_asked_all_at_once():
    both = threading.Barrier(2, timeout=10)

    def meet() -> Outcome:
        both.wait()
        return Outcome(ok=True, message="met")

    found = [outcome.message for _, outcome in ask_all([Check(name="a", run=meet), Check(name="b", run=meet)])]

    assert found == ["met", "met"]


def test_the_time_that_is_waited_is_that_of_the_slowest_check():
    began = time.monotonic()
    never = threading.Event()
    slow = [Check(name=str(n), run=lambda: Outcome(ok=never.wait(), message=""), limit_seconds=0.2) for n in range(5)]

    assert [outcome.ok for _, outcome in ask_all(slow)] == [False] * 5
    never.set()
    assert time.monotonic() - began < 0.9


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (LocalError("Mend it."), "Mend it."),
        (KeyError("x"), "The check itself failed: KeyError: 'x'."),
    ],
)
def test_an_error_in_a_check_is_an_outcome_and_no_traceback(error, message):
    def fail() -> Outcome:
        raise error

    assert Check(name="fails", run=fail).outcome() == Outcome(ok=False, message=message)


def test_the_command_ends_with_1_when_something_is_wrong(monkeypatch):
    checks_of(monkeypatch, Outcome(ok=True, message="well"), Outcome(ok=False, message="ill", advice="Mend it."))

    done = CliRunner().invoke(doctor, [], standalone_mode=False)

    assert done.return_value == 1
    assert done.output == "ok   check-0: well\nBAD  check-1: ill\n     Mend it.\n"


def test_a_note_is_no_fault(monkeypatch):
    checks_of(monkeypatch, Outcome(ok=None, message="good to know", advice="Perhaps mend it."))

    done = CliRunner().invoke(doctor, [], standalone_mode=False)

    assert (done.return_value, done.output) == (0, "note check-0: good to know\n     Perhaps mend it.\n")


def test_details_are_shown_to_those_who_ask(monkeypatch):
    checks_of(monkeypatch, Outcome(ok=True, message="in force", details=("rule 1", "rule 2")))

    assert "rule 1" not in CliRunner().invoke(doctor, [], standalone_mode=False).output
    assert "     rule 1\n     rule 2\n" in CliRunner().invoke(doctor, ["-v"], standalone_mode=False).output


def test_json_has_one_object_a_line(monkeypatch):
    checks_of(monkeypatch, Outcome(ok=None, message="m", advice="a", details=("d",)))

    done = CliRunner().invoke(doctor, ["--json"], standalone_mode=False)

    assert json.loads(done.output) == {"check": "check-0", "ok": None, "message": "m", "advice": "a", "details": ["d"]}


def test_a_machine_with_a_platform_has_its_checks_and_needs_no_login(monkeypatch, tmp_path):
    seen = _entry(monkeypatch, lambda file: [Check(name="docker", run=lambda: Outcome(ok=True, message=str(file)))])

    names = [check.name for check in all_checks(tmp_path / "himalia.toml")]

    assert (seen, names) == (["loaded"], ["docker"])


def test_on_a_laptop_that_is_logged_in_the_machine_is_nobodys_business(monkeypatch, platform):
    seen = _entry(monkeypatch, lambda file: [])

    assert [check.name for check in all_checks()] == ["address", "token", "version", "your disk"]
    assert seen == []


def test_a_laptop_has_the_client_alone(monkeypatch):
    _entry(monkeypatch, None)

    assert [check.name for check in all_checks()] == ["login"]


def test_a_platforms_machine_that_lacks_a_library_is_told_what_to_install(monkeypatch, tmp_path):
    _entry(monkeypatch, None)

    (check,) = all_checks(tmp_path / "himalia.toml")

    assert check.outcome().ok is False
    assert "No module named 'docker'" in check.outcome().message
    assert "himalia[hub,jobs]" in check.outcome().advice


@pytest.mark.parametrize("environment", [{}, {"HIMALIA_DATA": "there"}, {"HIMALIA_CONFIG": "own/himalia.toml"}])
def test_the_operators_file_is_found_as_the_platform_finds_it(monkeypatch, tmp_path, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    file = config_file()
    file.parent.mkdir(parents=True)
    file.touch()

    assert platform_config(tmp_path / "none") == file


def test_an_installed_platform_is_found_from_anywhere(tmp_path):
    unit = tmp_path / "himalia-jobs.service"
    unit.write_text("[Service]\nEnvironment=HIMALIA_CONFIG=/srv/himalia/himalia.toml HIMALIA_DATA=/srv/himalia\n")

    assert str(platform_config(unit)) == "/srv/himalia/himalia.toml"


def test_where_there_is_no_platform_none_is_found(tmp_path):
    assert platform_config(tmp_path / "none") is None


def _entry(monkeypatch: pytest.MonkeyPatch, checks: Callable[..., list[Check]] | None) -> list[str]:
    """Let the entry point give these checks; None: it cannot be loaded."""
    seen: list[str] = []

    class Found(EntryPoint):
        def load(self) -> Callable[..., list[Check]]:
            if checks is None:
                raise ModuleNotFoundError("No module named 'docker'")
            seen.append("loaded")
            return checks

    entry = Found("service", "himalia_jobs.doctor:checks", "himalia.doctor")
    monkeypatch.setattr("himalia.doctor.gather.entry_points", lambda group: (entry,))
    return seen
