"""`himalia gpus`: the table, as it changes, and what administrators do."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from himalia.cli import watching
from himalia.cli.gpu_table import screen_of, table_of
from himalia.models import Event, EventKind, GPUProcessView, GPUsView, SlotView, WaiterView
from himalia.units import GiB

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


def gpu(index: int = 0, **changes: object) -> SlotView:
    """Return an idle GPU that nobody has."""
    values = {"uuid": f"GPU-{index}", "index": index, "model": "NVIDIA H200", "memory_bytes": 141 * GiB}
    return SlotView.model_validate(values | {"memory_used_bytes": 0, "busy_percent": 0} | changes)


def view(*slots: SlotView, **changes: object) -> GPUsView:
    """Return the ledger with these GPUs."""
    return GPUsView.model_validate({"slots": slots, "free": 1, "nodes": (), "queue": ()} | changes)


def test_gpus_are_a_table_and_what_keeps_one_back_is_said_below(service, himalia):
    seen = GPUProcessView(pid=4242, command="python3 train.py", user="bob", memory_bytes=4 * GiB)
    service.slots = [
        gpu(0, holder="ada's notebook", busy_percent=97, memory_used_bytes=70 * GiB, idle_seconds=9600.0),
        gpu(1, health="foreign", health_detail="Something uses it.", processes=(seen,), temperature_celsius=61),
        gpu(2),
    ]

    outcome = himalia("gpus")

    lines = [line.rstrip() for line in outcome.out.decode().splitlines()]
    assert lines[0] == "3 × NVIDIA H200, 141 GB"
    assert lines[1].split() == ["GPU", "MEMORY", "BUSY", "°C", "HELD", "BY", "UNTIL", "AT", "MOST"]
    assert lines[2].split() == [
        "0",
        "70/141",
        "GB",
        "97",
        "%",
        "ada's",
        "notebook",
        "idle",
        "2",
        "h",
        "40",
        "min",
    ]
    assert [line.split()[-1] for line in lines[3:]] == ["foreign", "free"]
    assert "61" in lines[3]
    assert "GPU 1 (GPU-1) is foreign. Something uses it." in outcome.err
    assert "GPU 1: python3 train.py (4242, user bob, 4.0 GB)" in outcome.err


def test_models_have_a_column_where_they_differ(service, himalia):
    service.slots = [gpu(0), gpu(1, model="Simulated", simulated=True)]

    out = himalia("gpus").out.decode()

    assert "MODEL" in out
    assert "Simulated (simulated)" in out


@pytest.fixture
def narrow() -> Console:
    """A terminal of 80 columns."""
    return Console(width=80, height=24, file=io.StringIO(), force_terminal=True, color_system=None)


def many(models: int = 1) -> GPUsView:
    """Return 64 GPUs with long names of holders, and somebody who waits."""
    return view(
        *(
            gpu(
                n,
                model=f"NVIDIA H100 80GB HBM{n % models}" if models > 1 else "NVIDIA H200",
                holder=f"job abcdefghjkmn of somebody-with-a-very-long-name-{n}",
                until=NOW + timedelta(days=9),
                memory_used_bytes=140 * GiB,
                busy_percent=100,
                temperature_celsius=88,
                health="drained",
            )
            for n in range(64)
        ),
        queue=(
            WaiterView(
                position=1, kind="job", user="eve", gpus="1", cpus=1, memory_bytes=1, since=NOW,
                reason="waits_for_gpus", sentence="1st in line. Waiting for 1 of: GPU 0 (in use)." + " more" * 40,
            ),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("models", [1, 3])
def test_64_gpus_fit_80_columns(narrow, models):
    narrow.print(table_of(many(models), width=80))

    lines = narrow.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) in (65, 66)
    assert max(map(len, lines)) <= 80
    for word in ("63", "140/141 GB", "100 %", "88", "job abcdef"):
        assert any(word in line for line in lines), word


def test_a_small_terminal_shows_what_fits_and_counts_the_rest(narrow):
    narrow.print(screen_of(many(), 24, 80, "12:00:00"))

    lines = narrow.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) <= 24
    assert lines[0].strip() == "1 of 64 GPUs free, 1 waiting   12:00:00"
    assert any("more GPUs; enlarge the window" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_watching_prints_a_line_of_json_for_each_change_until_ctrl_c(service, himalia, monkeypatch):
    told_of(service, monkeypatch)

    outcome = himalia("gpus", "--watch", "--json")

    assert outcome.code == 0
    assert [line["slots"][0]["holder"] for line in outcome.lines] == [None, "ada's notebook"]


def test_watching_without_a_terminal_prints_the_table_anew(service, himalia, monkeypatch):
    told_of(service, monkeypatch)

    outcome = himalia("gpus", "--watch")

    assert outcome.out.decode().count("HELD BY") == 2
    assert "\x1b" not in outcome.out.decode()


def test_watching_on_a_terminal_shows_it_in_place(service, himalia, monkeypatch):
    told_of(service, monkeypatch)
    shown = io.StringIO()
    monkeypatch.setattr(watching, "console", lambda: Console(file=shown, force_terminal=True, width=80, height=24))
    monkeypatch.setattr(watching.sys.stdout.__class__, "isatty", lambda self: True, raising=False)

    assert himalia("gpus", "--watch").code == 0

    assert "ada's notebook" in shown.getvalue()
    assert "\x1b[?1049l" in shown.getvalue()  # the terminal is as it was


def told_of(service, monkeypatch) -> None:
    """Let the GPU be free, then held; the service tells that by an event. Then somebody presses Ctrl-C."""
    monkeypatch.setattr(watching, "EVERY_SECONDS", 0.05)
    monkeypatch.setattr(watching, "PAUSE_SECONDS", 0.0)
    service.slots = [gpu(0)]
    service.events = [Event(seq=1, at=NOW, kind=EventKind.LEDGER)]
    asked = iter(["free", "free", "held", "held", "end"])
    real = type(service)._route

    def route(self, request, path):
        if path == "gpus":
            now = next(asked)
            if now == "end":
                raise KeyboardInterrupt
            self.slots = [gpu(0, holder="ada's notebook" if now == "held" else None)]
        return real(self, request, path)

    monkeypatch.setattr(type(service), "_route", route)


@pytest.mark.parametrize("named", ["1", "GPU-1"])
def test_a_gpu_is_taken_out_and_given_back(service, himalia, named):
    service.slots = [gpu(0), gpu(1)]

    out = himalia("gpus", "quarantine", named, "--why", "New fans.")
    assert "GPU 1 is given to nobody until `himalia gpus return 1`." in out.err
    assert (service.slots[1].health, service.slots[1].health_detail) == ("quarantined", "New fans.")

    back = himalia("gpus", "return", named)
    assert "given out again" in back.err
    assert service.slots[1].health == "ok"


def test_a_gpu_is_emptied(service, himalia):
    service.slots = [gpu(0, holder="ada's notebook"), gpu(1)]

    held, free = himalia("gpus", "drain", "0"), himalia("gpus", "drain", "1")

    assert held.err == "ada's notebook goes on; nobody gets GPU 0 next, until `himalia gpus return 0`.\n"
    assert free.err == "Nobody gets GPU 1 next, until `himalia gpus return 1`.\n"
    assert {slot.health for slot in service.slots} == {"drained"}


def test_a_hold_is_ended_only_after_a_yes(service, himalia):
    service.slots = [gpu(0, holder="ada's notebook"), gpu(1)]

    no = himalia("gpus", "release", "0", stdin="n\n")
    assert (no.code, "It ends ada's notebook on GPU 0" in no.err) == (130, True)
    assert not service.slots[0].ending

    yes = himalia("gpus", "release", "0", "--why", "Demo.", stdin="y\n")
    assert "ada's notebook is being ended." in yes.err
    assert service.slots[0].ending
    assert "Nobody holds GPU 1." in himalia("gpus", "release", "1", "--yes").err


def test_what_was_done_is_listed(service, himalia):
    assert "No administrator has done anything" in himalia("gpus", "log").err
    service.slots = [gpu(0)]

    assert himalia("gpus", "log").out.decode().rstrip().endswith("root drained GPU 0.")
    assert himalia("gpus", "log", "--json").lines[0]["by"] == "root"


def test_a_gpu_that_is_not_there_is_told(service, himalia):
    service.slots = [gpu(0, uuid=f"GPU-{x}", node_id=x) for x in "ab"]

    assert "No GPU has the number or UUID 7." in himalia("gpus", "quarantine", "7").err
    assert "Several GPUs have the number or UUID 0." in himalia("gpus", "return", "0").err


def test_a_gpu_gets_another_mode_and_the_files_again(service, himalia):
    service.slots = [gpu(0)]

    shared, file = himalia("gpus", "mode", "0", "shared", "--seats", "3"), himalia("gpus", "mode", "0", "file")

    assert (shared.err, file.err) == ("GPU 0 is shared, 3 seats.\n", "GPU 0 is exclusive.\n")
    assert himalia("gpus", "mode", "0", "striped").code == 125
    assert service.count("PUT", ".*/mode") == 1


def test_a_gpu_tells_its_mode_and_keeps_it(service, himalia):
    service.slots = [gpu(0)]

    told, half = himalia("gpus", "mode", "0"), himalia("gpus", "mode", "0", "--seats", "3")

    assert told.err == "GPU 0 is exclusive.\n"
    assert (half.code, "say shared or auto" in half.err) == (125, True)
    assert service.count("PUT", ".*/mode") == service.count("DELETE", ".*/mode") == 0


def seat(number: int, **changes: object) -> SlotView:
    """Return one of two seats of the first GPU."""
    return gpu(0, uuid=f"GPU-0#{number}", kind="seat", seats=2, **changes)


def test_seats_are_of_one_gpu_and_who_uses_too_much_is_said(service, himalia):
    over = {"holder": "job abc of ada", "memory_used_bytes": 90 * GiB, "over_share": True, "budget_bytes": 80 * GiB}
    service.slots = [seat(1, **over), seat(2)]

    outcome = himalia("gpus")

    lines = [line.split() for line in outcome.out.decode().splitlines()]
    assert lines[0] == ["1", "×", "NVIDIA", "H200,", "141", "GB"]
    assert [line[:4] for line in lines[2:]] == [["0", "seat", "1", "90/80"], ["0", "seat", "2", "0/70"]]
    assert (
        "GPU 0 seat 1: job abc of ada uses 90.0 GB, more than its share of 80.0 GB; shared memory is not fenced."
        in outcome.err
    )


def test_a_hold_on_a_shared_gpu_is_ended_by_its_seat(service, himalia):
    service.slots = [seat(1, holder="job abc of ada"), seat(2, holder="bob's notebook")]

    unclear, ended = himalia("gpus", "release", "0", "--yes"), himalia("gpus", "release", "0#2", "--yes")

    assert unclear.code != 0
    assert "GPU 0 is shared. Say which: 0#1, 0#2." in unclear.err
    assert "bob's notebook is being ended." in ended.err
    assert [slot.ending for slot in service.slots] == [False, True]
