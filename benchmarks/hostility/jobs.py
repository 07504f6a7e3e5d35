"""Hostile jobs: what they do, and how they must end."""

from __future__ import annotations

from dataclasses import dataclass

import himalia
from himalia.states import JobState

from .target import Sent

LINES, FILES = 1_000_000, 20_000
PATIENCE_SECONDS = 120.0
#: Faults 37, 41, 44 to 46, 48, 49: leaves a log of a million lines, very many files, odd names, links, pipes and pages.
LEAVES = rf"""
import os, sys
os.chdir("/artifacts")
os.mkdir("many")
for number in range({FILES}):
    open(f"many/{{number:06}}", "w").close()
os.symlink("/etc/shadow", "link"); os.symlink("/", "up"); os.mkfifo("pipe"); os.symlink("loop", "loop")
for name in ("na\"me; <b>", "-dash", "..%2f", "\u202egnp.exe", "x" * 255, "two\nlines", "CON"):
    open(name, "w").write("x")
open(b"\xff\xfe", "w").close()
for name in ("a.html", "b.svg", "c.ipynb", "d.js"):
    open(name, "w").write("<script>document.title = document.cookie</script>")
os.truncate(os.open("huge", os.O_CREAT | os.O_RDWR), 10 ** 12)
open("large", "wb").write(os.urandom(1 << 20) * 32)
for number in range({LINES} // 1000):
    sys.stdout.write("a line of a log that nobody would ever read\n" * 1000)
"""
FLOODS = (
    f"import sys\nfor _ in range({LINES} // 1000): sys.stdout.write('data: x\\r\\n\\0\\x1b[2J event: end\\n' * 1000)"
)
CROWDS = f"import os\nos.chdir('/artifacts')\nfor n in range({FILES}): open(str(n), 'w').close()"
TRICKS = """
import os, threading
os.chdir('/artifacts')
def swaps():
    for _ in range(3000):
        open('x', 'w').close(); os.rename('x', 'y'); os.symlink('/etc/shadow', 'x'); os.rename('x', 'y')
threads = [threading.Thread(target=swaps)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
os.remove('/himalia/run/log'); os.symlink('/etc/shadow', '/himalia/run/log')
"""


@dataclass(frozen=True, kw_only=True)
class HostileJob:
    """A program, and the states in which it may end."""

    program: str
    ends: frozenset[JobState] = frozenset({JobState.SUCCEEDED})

    def run(self, client: himalia.Client) -> Sent:
        """Run it to its end."""
        command = ["python3", "-c", self.program]
        job = himalia.submit(None, command=command, project="hostile", timeout="90s", client=client).wait(
            PATIENCE_SECONDS
        )
        wrong = [] if job.state in self.ends else [f"a job ended {job.state}: {job.view.sentence}"]
        return Sent(count=1, wrong=wrong)


JOBS = {
    "37, 38 prints 1,000,000 lines": HostileJob(program=FLOODS),
    "41 leaves 20,000 files": HostileJob(program=CROWDS),
    "45, 47 swaps files for links": HostileJob(program=TRICKS),
}


def leave(client: himalia.Client) -> str:
    """Run the job whose log and artifacts are read by hostile requests; return its id."""
    command = ["python3", "-c", LEAVES]
    job = himalia.submit(None, command=command, project="hostile", timeout="90s", client=client).wait(PATIENCE_SECONDS)
    assert job.state is JobState.SUCCEEDED, job.view.sentence
    return job.id
