"""The installed `himalia` against a real platform: what a person types, sees and gets."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
from live_platform import eventually, run

import himalia
from himalia.states import JobState

LOUD = "for i in $(seq 1 40); do echo line $i; sleep 0.1; done"


def test_a_submit_prints_the_output_and_ends_with_the_exit_code(shell, code):
    done = shell("submit", "--profile", "tiny", "--", "python3", "train.py", "3")

    assert (done.returncode, done.stdout) == (3, "hello from a job\n")
    assert f"sending {code.resolve()}: 2 files" in done.stderr
    assert done.stderr.endswith("failed. Exit code 3.\n")


def test_the_whole_road_from_the_terminal(shell, tmp_path):
    submitted = shell("submit", "--detach", "--name", "road", "--profile", "tiny", "--", "python3", "train.py")
    assert (submitted.returncode, submitted.stdout) == (0, "")
    job = shell.json("show", "last")[0]["id"]

    followed = shell("logs", "-f", job[:8])
    assert (followed.returncode, followed.stdout) == (0, "hello from a job\n")
    assert shell("wait", "last").returncode == 0
    assert shell("logs", "last").stdout == "hello from a job\n"
    assert shell.json("artifacts", job)[0]["path"] == "model.txt"
    downloaded = shell("download", "last", "*.txt", "--to", str(tmp_path / "out"))
    assert downloaded.stdout == f"{tmp_path}/out/model.txt\n"
    assert (tmp_path / "out" / "model.txt").read_text() == "42"

    again = shell("rerun", job)
    assert (again.returncode, again.stdout) == (0, "hello from a job\n")
    listed = shell.json("jobs", "--project", "cli-digits")
    assert [(line["name"], line["state"]) for line in listed][:2] == [("road", "succeeded")] * 2
    assert "road" in shell("jobs").stdout
    assert f"run again of {job}" in shell("show", "last").stdout
    eventually(lambda: "\nnumpy==" in shell("packages", job).stdout)

    assert shell("delete", job, "--yes").stderr == f"{job}: deleted.\n"
    gone = shell("show", job)
    assert (gone.returncode, gone.stderr) == (125, f"himalia: There is no job {job} that you may see.\n")


def test_json_lines_tell_every_state(shell):
    done = shell("submit", "--json", "--profile", "tiny", "--", "sh", "-c", "echo noise; exit 7")

    states = [json.loads(line)["state"] for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr, states[-1]) == (7, "", "failed")
    assert states == sorted(set(states), key=["queued", "starting", "running", "collecting", "failed"].index)


def test_what_there_is_can_be_asked_for(shell):
    assert len(shell.json("gpus")[0]["slots"]) == 4
    assert "4 × Simulated" in shell("gpus").stdout
    assert {line["name"] for line in shell.json("profiles")} >= {"cpu", "gpu", "tiny", "for-nlp"}
    assert shell("projects", "create", "by-hand").returncode == 0
    assert "user:ada/by-hand" in shell("projects", "show", "by-hand").stdout
    assert "by-hand" in {line["name"] for line in shell.json("projects")}
    assert shell("projects", "delete", "by-hand").returncode == 0
    assert shell("projects", "show", "by-hand").returncode == 125


@pytest.mark.parametrize(
    ("words", "code_", "said"),
    [
        (["--timeout", "2s", "--", "sleep", "600"], 124, "It reached its time limit"),
        (["--", "python3", "-c", "x = bytearray(10**9)"], 137, "It used more memory than it asked for"),
        (["--", "no-such-command"], 127, "The command was not found in the image"),
        (["--", "./pkg/__init__.py"], 126, "may not be executed"),
        (["--", "sh", "-c", "kill -TERM $$"], 143, "ended by a signal"),
    ],
    ids=["timed out", "out of memory", "not found", "not executable", "signal"],
)
def test_the_code_and_the_sentence_tell_how_it_ended(shell, words, code_, said):
    done = shell("submit", "--profile", "tiny", *words)

    assert done.returncode == code_, done.stderr
    assert said in done.stderr.splitlines()[-1]


def test_a_job_that_somebody_cancels_ends_its_follower_with_130(shell):
    follower = shell.start("submit", "--profile", "tiny", "--", "sh", "-c", "echo ready; sleep 600")
    assert follower.stdout is not None and follower.stdout.readline() == b"ready\n"

    assert "is being ended" in shell("cancel", "last").stderr

    _, words = follower.communicate(timeout=60)
    assert follower.returncode == 130
    assert b"cancelled. Cancelled by ada." in words


def test_ctrl_c_ends_the_following_and_not_the_job(shell, client):
    follower = shell.start("submit", "--profile", "tiny", "--", "sh", "-c", "echo ready; sleep 600")
    assert follower.stdout is not None and follower.stdout.readline() == b"ready\n"

    follower.send_signal(signal.SIGINT)

    _, words = follower.communicate(timeout=60)
    assert (follower.returncode, b"Traceback" in words) == (130, False)
    assert b"No longer following; the job goes on." in words
    assert shell.json("show", "last")[0]["state"] == "running"
    shell("cancel", "last")


@pytest.mark.fault(5)
def test_a_follower_gets_every_byte_though_the_service_is_killed(shell, live):
    follower = shell.start("submit", "--profile", "tiny", "--", "sh", "-c", LOUD)
    assert follower.stdout is not None and follower.stdout.readline() == b"line 1\n"

    live.kill("service")

    rest, words = follower.communicate(timeout=120)
    assert rest.splitlines() == [f"line {number}".encode() for number in range(2, 41)]
    assert (follower.returncode, b"Traceback" in words) == (0, False), words


def test_every_attempt_is_followed(shell):
    done = shell("submit", "--profile", "tiny", "--retries", "1", "--", "sh", "-c", "echo $HIMALIA_ATTEMPT; exit 5")

    job = shell.json("show", "last")[0]["id"]
    assert (done.returncode, done.stdout.split()) == (5, [f"{job}.1", f"{job}.2"])
    assert shell("logs", "last", "--attempt", "1").stdout == f"{job}.1\n"


def test_a_reader_that_leaves_ends_quietly(shell, client):
    job = run(client("ada"), "seq 1 200000", profile="tiny")

    done = subprocess.run(
        f"himalia logs {job.id} | head -1",
        shell=True,
        cwd=shell.folder,
        env=shell.env,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.stdout, done.stderr) == ("1\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--profile", "huge"], "There is no profile 'huge' for your jobs. There are: cpu, gpu, idle, tiny, for-nlp."),
        (["--image", "evil/image"], "The image 'evil/image' is not offered here. There are:"),
        (["--gpu", "99"], "4"),
        (["--gpu", "-1"], "'-1'"),
        (["--gpu", "1.5"], "1.5"),
        (["--gpu", "all"], "'all'"),
        (["--gpu", "H900:1"], "Simulated"),
        (["--cpus", "9999"], "more than this platform"),
        (["--cpus", "0"], "is no number of CPUs"),
        (["--memory", "900T"], "more than this platform"),
        (["--memory", "much"], "'much' is no size"),
        (["--timeout", "10d"], "allows 24 h at most"),
        (["--env", "LD_PRELOAD=x"], "The platform sets these itself: LD_PRELOAD"),
        (["--workdir", "../.."], "There is no ../.. in"),
        (["--retries", "1000"], "It must lie between 0 and 100"),
        (["--project", "a/b"], "is no name for this"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_in_a_sentence(shell, words, said):
    before = len(shell.json("jobs", "--all"))

    done = shell("submit", *words, "--", "true")

    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.splitlines()[-1].startswith("himalia: ") and said in done.stderr.splitlines()[-1]
    assert len(shell.json("jobs", "--all")) == before


@pytest.mark.parametrize("gpus", ["0", "none"])
def test_no_gpus_is_a_valid_wish(shell, gpus):
    assert shell("submit", "--profile", "tiny", "--gpu", gpus, "--", "true").returncode == 0


def test_another_persons_job_is_not_there(shell, client):
    job = run(client("eve"), "echo secret > /artifacts/x", profile="tiny")

    for command in ("show", "logs", "artifacts", "download", "cancel", "rerun", "wait"):
        done = shell(command, job.id)
        assert (done.returncode, done.stdout) == (125, "")
        assert done.stderr == f"himalia: There is no job {job.id} that you may see.\n"


def test_login_through_the_proxy_keeps_the_token_and_works(shell, live):
    bare = {"HIMALIA_API_URL": "", "HIMALIA_TOKEN": ""}
    assert "himalia login" in shell("jobs", env=bare).stderr

    done = shell("login", f"{live.url}/hub/home", stdin=live.person("ada").token, env=bare)

    assert "Logged in as ada." in done.stderr, done.stderr
    assert shell("submit", "--profile", "tiny", "--", "echo", "over the proxy", env=bare).stdout == "over the proxy\n"


def test_a_token_that_is_not_known_is_told(shell):
    done = shell("jobs", env={"HIMALIA_TOKEN": "f" * 32})

    assert done.returncode == 125
    assert done.stderr.startswith("himalia: The token is not known to the platform")


def test_a_service_or_a_hub_that_is_away_is_told(shell, live, client):
    with live.stopped("service"):
        assert "Nothing answers at" in shell("jobs").stderr
        through_the_proxy = shell("jobs", env={"HIMALIA_API_URL": f"{live.url}/services/jobs/api"})
        assert "The platform does not answer at the moment" in through_the_proxy.stderr
    eventually(lambda: shell("jobs").returncode == 0)
    with live.stopped("hub"):
        done = shell("jobs", env={"HIMALIA_TOKEN": "e" * 32})
        assert "The hub does not answer, so nobody can be recognised" in done.stderr
    eventually(lambda: client("ada").me())


def test_a_directory_that_is_too_large_is_refused_before_it_is_sent(shell, code):
    with (code / "data.bin").open("wb") as file:
        file.truncate(11 * 1024**3)

    done = shell("submit", "--", "true")

    assert done.returncode == 125
    assert "11.0 GB, more than the 10.0 GB that can be submitted (most of it: data.bin 11.0 GB" in done.stderr


def test_the_sdk_walks_the_same_road(client, code, tmp_path):
    ada = client("ada")
    job = himalia.submit(code, command=["python3", "train.py"], profile="tiny", client=ada)
    job.wait(120)

    assert job.state is JobState.SUCCEEDED
    assert job.download(to=tmp_path / "out") == [tmp_path / "out" / "model.txt"]
    assert himalia.job(job.id[:9], ada).exit_code == 0
    assert job.id in [found.id for found in himalia.jobs(ada, project="cli-digits")]
