"""From one's own machine an upload goes through the proxy, squeezed where that is worth it, and arrives as it was."""

from __future__ import annotations

import hashlib
import os

from himalia.units import MiB


def test_a_submit_through_the_proxy_arrives_as_it_was_whether_it_shrinks_or_not(live, shell, code):
    rows = "".join(f"row {number}, {number * 7919 % 1000}\n" for number in range(500_000)).encode()
    noise = os.urandom(20 * MiB)
    contents = {"rows.txt": rows, "noise.bin": noise, "both.bin": noise[: 3 * MiB] + rows + noise[MiB : 2 * MiB]}
    for name, content in contents.items():
        (code / name).write_bytes(content)
    shell.env["HIMALIA_API_URL"] = f"{live.url}/services/jobs/api"

    done = shell("submit", "--profile", "tiny", "--", "sha256sum", *contents)

    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in contents.items()]
    assert (done.returncode, done.stdout.splitlines()) == (0, sums), done.stderr
    again = shell("submit", "--profile", "tiny", "--detach", "--", "true")
    assert again.returncode == 0
    assert "that the platform does not have yet" not in again.stderr
