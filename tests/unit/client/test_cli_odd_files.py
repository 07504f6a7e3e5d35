"""`himalia submit` of directories with things in them that are no plain files, or that nobody may read."""

from __future__ import annotations

import os
import socket

from somebody import somebody_without_rights


def test_pipes_sockets_and_links_that_lead_round_do_not_hold_up_a_submit(service, code, himalia):
    os.mkfifo(code / "pipe")
    (code / "round").symlink_to(".")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(code / "sock"))
        outcome = himalia("submit", "--detach", "--", "true")

    assert outcome.code == 0, outcome.err
    assert "left out: pipe 0 bytes (it is a pipe)" in outcome.err
    assert "left out: sock 0 bytes (it is a socket)" in outcome.err


def test_a_file_that_nobody_may_read_is_named_and_nothing_is_submitted(service, code, himalia):
    (code / "secret").write_text("x")
    (code / "secret").chmod(0)

    with somebody_without_rights(code):
        outcome = himalia("submit", "--", "true")

    assert (outcome.code, service.jobs) == (125, {})
    assert "secret cannot be read (Permission denied)" in outcome.err


def test_from_a_home_keys_and_histories_stay_there_and_are_said_first(service, home, himalia, monkeypatch):
    monkeypatch.chdir(home)
    for name in (".ssh", ".aws", ".config"):
        (home / name).mkdir()
        (home / name / "token").write_text("secret")
    for name in (".bash_history", "train.py", "big.tmp"):
        (home / name).write_text("x")
    (home / ".gitignore").write_text("*.tmp\n")

    outcome = himalia("submit", "--detach", "--", "true")

    assert outcome.err.splitlines()[1:5] == [
        "left out: .aws, .config, .ssh (secrets)",
        "left out: .bash_history (history)",
        "Such things stay in a home, unless the ignore rules keep them by name, as `!.aws` does.",
        "left out: big.tmp 1 byte by .gitignore",
    ]
    (asked,) = service.manifests.values()
    assert {entry.path for entry in asked.manifest.entries} == {".gitignore", "train.py"}
    (job,) = service.jobs.values()
    assert job.view.project == "home"
