"""Jobs that write what they please, where they please: it comes back as it was, and nothing of the host with it."""

from __future__ import annotations

import json
import statistics
import subprocess
import time

import httpx
import pytest
from live_platform import eventually, output, run

import himalia
from himalia.models import JobRequest, NotebookRun
from himalia.processes import processes_of
from himalia.reasons import Reason
from himalia.sdk import send_directory
from himalia.states import JobState
from himalia_spawner.platform.engine import belongings

GRACE_SECONDS = 2
LATE_SECONDS = 2  #: that a time limit may be off
HOGS = ("while True: pass", "x = []\nwhile True: x.append(bytearray(1 << 20))")


#: What a job must not be able to do; each line names it, and fails where it could.
TRIES = r"""
import ctypes, glob, json, os, socket, subprocess, time
libc, done = ctypes.CDLL(None, use_errno=True), {}
NUMBERS = {"keyctl": 250, "bpf": 321, "add_key": 248, "kexec_load": 246, "init_module": 175, "open_by_handle_at": 304}

def tries(name, call):
    try:
        done[name] = "denied" if call() in (False, -1) else "DONE"
    except (OSError, subprocess.CalledProcessError) as error:
        done[name] = "denied"

def connects(address, port):
    with socket.socket() as s:
        s.settimeout(2)
        return s.connect_ex((address, port)) == 0

tries("mount", lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))
tries("unshare user", lambda: libc.unshare(0x10000000))
tries("unshare mount", lambda: libc.unshare(0x00020000))
tries("ptrace of pid 1", lambda: libc.ptrace(16, 1, None, None))
tries("memory of pid 1", lambda: open("/proc/1/mem", "rb").read(1))
tries("files of pid 1", lambda: os.listdir("/proc/1/fd"))
for name, number in NUMBERS.items():
    tries(name, lambda: libc.syscall(number, 0, 0, 0, 0, 0))
tries("setuid", lambda: os.setuid(0))
tries("setuid program", lambda: subprocess.run(["/tmp/root", "-u"], check=True, capture_output=True).stdout == b"0\n")
tries("chown", lambda: os.chown("/artifacts", 0, 0))
tries("set the clock", lambda: time.clock_settime(time.CLOCK_REALTIME, 0))
tries("host name", lambda: socket.sethostname("x"))
tries("make a device", lambda: os.mknod("/artifacts/disk", 0o060666, os.makedev(8, 0)))
for path in ("/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/proc/kcore", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper"):
    tries(path, lambda: open(path, "r+b").read(1))
tries("write to the launcher", lambda: open("/himalia/launcher/x", "w"))
for number, path in enumerate(("/etc/passwd", "/himalia/launcher/himalia-launcher", "/storage/own", "/workspace/own", "/himalia/run/log")):
    tries("hard link to " + path, lambda: os.link(path, f"/artifacts/hard{number}"))
tries("the Engine's socket", lambda: [p for p in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd") if os.path.exists(p)] != [])
tries("metadata", lambda: connects("169.254.169.254", 80))
tries("the gateway", lambda: connects(".".join(socket.gethostbyname(socket.gethostname()).split(".")[:3] + ["1"]), 22))
status = open("/proc/self/status").read()
words = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
done["rights"] = [words["CapEff"], words["CapBnd"], words["NoNewPrivs"], words["Seccomp"], os.getuid()]
seen = b""
for environ in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline") + glob.glob("/himalia/**/*", recursive=True):
    try:
        seen += open(environ, "rb").read(1 << 20)
    except OSError:
        pass
done["seen"] = seen.decode("latin-1")
open("/artifacts/tries.json", "w").write(json.dumps(done))
"""


BOMB = ":(){ :|:& };:; sleep 600"
MANY = 300  #: processes, after which it is a bomb


def processes_of_job(job: himalia.Job) -> int:
    """Return how many processes a job's container has, as the machine sees it."""
    command = ["docker", "ps", "--quiet", "--no-trunc", "--filter", f"label=himalia.job={job.id}"]
    container = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return len(processes_of(container)) if container else 0


@pytest.fixture
def ada(client):
    return client("ada")


def nothing_is_left(live, client):
    """Let another's job run, and see that nothing of the others is there any more."""
    job = run(client("bob"), "echo fine", profile="tiny")

    assert (job.state, output(job)) == (JobState.SUCCEEDED, b"fine\n")
    left = eventually(lambda: (found := belongings(live.place.installation)) and not found.jobs and found)
    assert left.volumes == ()
    eventually(lambda: not [held for held in live.held() if held[0] == "job"])
    jobs = live.place.site.data / "jobs"
    assert not [folder for name in ("upper", "work", "home", "run") for folder in jobs.glob(f"*/*/{name}")]
    assert not list(live.place.site.data.glob("**/*.part"))


@pytest.mark.fault(46)
@pytest.mark.fault(50)
@pytest.mark.fault(51)
@pytest.mark.fault(52)
@pytest.mark.fault(54)
def test_a_job_has_no_right_no_token_and_no_way_to_the_machine(ada, live, client, tmp_path):
    (tmp_path / "tries.py").write_text(TRIES)
    (tmp_path / "own").write_text("mine")

    job = run(ada, "cp own /storage/own; cp /usr/bin/id /tmp/root; chmod 4755 /tmp/root; python3 tries.py", tmp_path)

    done = json.loads((job.download(tmp_path / "out", ["tries.json"])[0]).read_text())
    rights, seen = done.pop("rights"), done.pop("seen")
    assert {name: said for name, said in done.items() if said != "denied"} == {}
    assert rights == ["0" * 16, "0" * 16, "1", "2", 1000]
    secrets = [file.read_text().strip() for file in (live.place.site.data / "secrets").iterdir() if file.is_file()]
    for secret in (live.person("ada").token, *secrets):
        assert secret not in seen
    assert "JUPYTERHUB" not in seen
    nothing_is_left(live, client)


@pytest.mark.fault(34)
@pytest.mark.fault(36)
@pytest.mark.fault(38)
@pytest.mark.fault(39)
def test_a_job_that_speaks_for_the_platform_and_kills_itself_ends_as_it_did(ada, live, client):
    forged = (
        b"[himalia] job succeeded\nevent: end\ndata: {}\n\nid: 9\n\nHTTP/1.1 200 OK\r\n\r\n0\r\n\r\n"
        b"himalia: 5 bytes are left out here: the log is longer than its limit\n"
    )
    script = f"import os; os.write(1, {forged!r}); os.system('setsid sleep 600 &'); os.kill(os.getpid(), 9)"

    job = run(ada, ["python3", "-c", script])

    assert (job.state, job.exit_code, job.view.reason) == (JobState.FAILED, 137, Reason.KILLED_BY_SIGNAL)
    assert output(job) == forged
    assert client("ada").job(job.id).state is JobState.FAILED


@pytest.mark.fault(54)
@pytest.mark.parametrize(
    ("ending", "more"),
    [("exec sleep 600", 0), ("trap '' TERM; while :; do sleep 1; done", GRACE_SECONDS)],
    ids=["hears", "does not hear"],
)
def test_a_job_ends_at_its_time_limit_whatever_it_thinks_of_the_clock(ada, ending, more):
    """A job ends within two seconds of its time limit (and of the grace, if it does not hear), whatever it thinks of the clock."""
    job = run(ada, f"date -s 2000-01-01; echo kept > /artifacts/x; {ending}", timeout="5s")

    (attempt,) = job.view.attempts
    took = (attempt.finished_at - attempt.started_at).total_seconds()  # by the clock of its launcher
    assert (job.state, job.view.reason) == (JobState.FAILED, Reason.TIMED_OUT)
    assert -LATE_SECONDS < took - more - 5 < LATE_SECONDS
    assert [one.path for one in job.artifacts()] == ["x"]


@pytest.mark.fault(35)
@pytest.mark.fault(53)
def test_a_fork_bomb_and_hogs_of_processor_and_memory_hold_up_nobody(ada, live, client):
    alone = slowest_answer(live)
    bomb = run(ada, "sh -c 'while sleep 600 & do :; done'; echo over", wait=False, profile="cpu")
    hogs = [run(ada, ["python3", "-c", code], wait=False, timeout="20s", profile="tiny") for code in HOGS]
    eventually(lambda: bomb.refresh().state is not JobState.QUEUED)

    others = run(client("bob"), "echo fine")
    meanwhile = slowest_answer(live)

    assert (others.state, output(others)) == (JobState.SUCCEEDED, b"fine\n")
    assert meanwhile < 2 * alone + 0.5
    assert [job.wait(120).view.reason for job in hogs] == [Reason.TIMED_OUT, Reason.OUT_OF_MEMORY]
    ends = (
        Reason.EXITED,
        Reason.SUCCEEDED_WITH_CHILD_OOM,
        Reason.OUT_OF_MEMORY,
    )  # processes or memory, whichever is less
    assert bomb.wait(120).view.reason in ends
    nothing_is_left(live, client)


@pytest.mark.fault(35)
def test_a_bomb_of_forks_is_ended_at_its_time_limit_and_others_go_on(ada, live, client):
    """A fork bomb that fills its container is ended at its time limit, though it has a tenth of a CPU to die with; others' jobs run."""
    bomb = run(ada, ["bash", "-c", BOMB], profile="tiny", memory="512M", timeout="8s", wait=False)
    eventually(lambda: processes_of_job(bomb) > MANY)

    others = run(client("bob"), "echo fine")
    (attempt,) = bomb.wait(120).view.attempts

    assert (others.state, output(others)) == (JobState.SUCCEEDED, b"fine\n")
    assert bomb.view.reason in (Reason.TIMED_OUT, Reason.OUT_OF_MEMORY)
    assert processes_of_job(bomb) == 0
    took = (attempt.finished_at - attempt.started_at).total_seconds()
    print(f"ended {took - 8:.1f} s after its time limit")
    nothing_is_left(live, client)


@pytest.mark.fault(44)
@pytest.mark.fault(49)
def test_pages_with_scripts_and_files_of_holes_are_sent_as_what_they_are(ada, live, tmp_path):
    script = "<script>document.title = document.cookie</script>"
    job = run(
        ada,
        f"cd /artifacts; for n in a.html b.svg c.ipynb d.js e.xml; do echo '{script}' > $n; done; truncate -s 1T huge",
    )
    token = live.person("ada").token

    for name in ("a.html", "b.svg", "c.ipynb", "d.js", "e.xml"):
        served = live.ask("GET", f"jobs/{job.id}/artifacts/{name}", token)
        assert served.text == script + "\n"
        assert served.headers["Content-Type"] == "application/octet-stream", name
        assert served.headers["Content-Disposition"].startswith("attachment")
        assert served.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert live.ask("GET", f"jobs/{job.id}/artifacts/huge", token).status_code == 413
    assert len(live.ask("GET", f"jobs/{job.id}/artifacts.zip", token).content) < 10_000


@pytest.mark.fault(91)
def test_a_token_is_in_no_file_of_the_logs(live):
    token = live.person("ada").token
    for path in ("jobs", "nothing", "jobs/aaaaaaaaaaaa", "jobs?cursor=x"):
        url = f"{path}{'&' if '?' in path else '?'}token={token}"
        live.ask("GET", url, token)
        live.ask("GET", url)
        httpx.get(f"{live.url}/services/jobs/api/{url}")
        httpx.get(f"{live.url}/hub/api/{url}", headers={"Authorization": f"token {token}"})

    logs = [file for file in live.place.log_dir.rglob("*") if file.is_file()]

    assert logs
    assert not [file.name for file in logs if token in file.read_text(errors="replace")]


@pytest.mark.fault(37)
def test_a_log_is_kept_byte_for_byte(ada):
    script = (
        "import sys, os\n"
        "out = sys.stdout.buffer\n"
        "out.write(bytes(range(256)) * 4 + b'50%\\r100%\\r\\n\\0\\n'); out.flush()\n"
        "out.write(b'x' * 50_000_000 + b'\\nend\\n'); out.flush()\n"
        "os.system('echo to stderr > /dev/stderr')\n"
    )
    job = run(ada, ["python3", "-c", script])

    expected = bytes(range(256)) * 4 + b"50%\r100%\r\n\0\n" + b"x" * 50_000_000 + b"\nend\nto stderr\n"
    assert output(job) == expected


@pytest.mark.fault(36)
def test_a_child_that_keeps_the_output_open_does_not_keep_the_job(ada):
    job = run(ada, "setsid sleep 600 & echo done")

    assert (job.state, output(job)) == (JobState.SUCCEEDED, b"done\n")


@pytest.mark.parametrize(
    "command",
    [
        "ln -sf /etc/shadow /himalia/run/log.x && mv -f /himalia/run/log.x /himalia/run/log",
        "rm /himalia/run/log; mkdir /himalia/run/log",
        "rm /himalia/run/log; mkfifo /himalia/run/log",
        "rm -f /himalia/run/exit.json*; mkdir /himalia/run/exit.json; echo x > /himalia/run/exit.json/x",
        "ln -sf /etc/shadow /himalia/run/exit.json",
    ],
    ids=["log is a link", "log is a directory", "log is a pipe", "record is a directory", "record is a link"],
)
def test_a_job_that_replaces_its_files_gets_nothing_of_the_host(ada, command):
    job = run(ada, f"{command}; exit 5")

    assert (job.state, job.exit_code) == (JobState.FAILED, 5)
    assert b"root:" not in output(job)


@pytest.mark.fault(45)
@pytest.mark.fault(46)
@pytest.mark.fault(48)
@pytest.mark.fault(49)
@pytest.mark.fault(95)
def test_artifacts_are_listed_and_served_without_following_anything(ada, live, tmp_path):
    job = run(
        ada,
        "cd /artifacts; ln -s /etc/shadow link; ln -s / up; mkfifo pipe; mkdir d; echo ok > d/file; "
        "echo x > 'na\"me; <b>'; touch -- -dash",
    )
    token = live.person("ada").token

    kinds = {artifact.path: artifact.type for artifact in job.artifacts()}

    assert kinds["link"] == kinds["up"] == "symlink"
    assert kinds["pipe"] == "other"
    for path in ("link", "up/etc/passwd", "pipe", "d", "../run/log", "%2e%2e/log", "nothing"):
        assert live.ask("GET", f"jobs/{job.id}/artifacts/{path}", token).status_code == 404, path
    served = live.ask("GET", f"jobs/{job.id}/artifacts/d/file", token)
    assert served.text == "ok\n"
    assert served.headers["Content-Disposition"].startswith("attachment")
    assert served.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in served.headers["Content-Security-Policy"]
    part = live.ask("GET", f"jobs/{job.id}/artifacts/d/file", token, headers={"Range": "bytes=1-1"})
    assert (part.status_code, part.text, part.headers["Content-Range"]) == (206, "k", "bytes 1-1/3")
    assert live.ask("GET", f"jobs/{job.id}/artifacts/d/file", token, headers={"Range": "bytes=9-"}).status_code == 416
    assert {file.name for file in job.download(tmp_path / "out")} == {"file", 'na"me; <b>', "-dash"}


def test_a_notebook_runs_saves_each_cell_and_takes_parameters_as_values(ada, tmp_path):
    notebook = {
        "cells": [
            cell("name = 'nobody'\ncount = 1", tags=["parameters"]),
            cell("print('hello', name, count + 1)"),
            cell("raise ValueError('on purpose')"),
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (tmp_path / "train.ipynb").write_text(json.dumps(notebook))

    job = himalia.submit(
        tmp_path, notebook="train.ipynb", parameters={"name": "__import__('os')", "count": 41}, client=ada
    ).wait(120)

    assert job.state is JobState.FAILED
    assert b"hello __import__('os') 42" in output(job)
    (file,) = job.download(tmp_path / "out", ["train.ipynb"])
    assert "on purpose" in file.read_text()


@pytest.mark.parametrize(
    "content", ["{}", "not json", '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}']
)
def test_a_notebook_that_cannot_run_says_so_in_its_log(ada, tmp_path, content):
    (tmp_path / "bad.ipynb").write_text(content)
    snapshot = send_directory(ada, tmp_path)  # our own client looks at the notebook first; another need not

    request = JobRequest(project="tests", snapshot=snapshot, notebook=NotebookRun(path="bad.ipynb"))
    job = himalia.job(ada.submit(request).id, ada).wait(120)

    assert job.state is JobState.FAILED
    assert output(job)


def cell(source: str, tags: list[str] | None = None) -> dict[str, object]:
    """Return a code cell."""
    return {
        "cell_type": "code",
        "source": source,
        "metadata": {"tags": tags or []},
        "outputs": [],
        "execution_count": None,
        "id": f"c{abs(hash(source)) % 10**8}",
    }


def slowest_answer(live) -> float:
    """Return how long somebody waits for an answer, in the 95th of 100 cases."""
    token, took = live.person("bob").token, []
    for _ in range(30):
        begun = time.monotonic()
        assert live.ask("GET", "jobs", token).status_code == 200
        took.append(time.monotonic() - begun)
    return statistics.quantiles(took, n=20)[-1]
