"""Repositories from the command line and from Python: what is asked for, what is told, and where a token comes from."""

from __future__ import annotations

import httpx
import pytest
from job_service import TOKEN, URL
from job_sources import ServiceThatFetches

import himalia
from himalia.client.http import Http
from himalia.errors import FieldError, LocalError

ADDRESS = "https://github.com/ada/digits@main"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> ServiceThatFetches:
    """A job service in memory that fetches, and an environment that points to it."""
    fake = ServiceThatFetches()
    monkeypatch.setattr(Http, "transport", httpx.MockTransport(fake))
    monkeypatch.setenv("HIMALIA_API_URL", URL)
    monkeypatch.setenv("HIMALIA_TOKEN", TOKEN)
    monkeypatch.setattr("himalia.fetching.FIRST_LOOK_SECONDS", 0.001)
    return fake


def only(service: ServiceThatFetches):
    (wish,) = service.fetches.values()
    return wish


def test_a_repository_is_submitted_and_its_way_is_told(service, himalia):
    outcome = himalia("submit", "--git", ADDRESS, "--profile", "small", "--", "python", "train.py")

    assert outcome.code == 0, outcome.err
    wish = only(service)
    assert (wish.git, wish.token) == (ADDRESS, None)
    assert (wish.job.project, wish.job.profile, wish.job.command) == ("digits", "small", ["python", "train.py"])
    told = outcome.err.splitlines()
    assert told[:3] == [f"{state} {ADDRESS}" for state in ("waiting", "fetching", "reading")]
    assert told[3].endswith("(digits): python train.py")


def test_show_and_the_list_say_which_commit_it_was(service, himalia):
    himalia("submit", "--git", ADDRESS, "--detach", "--", "true")

    shown = himalia("show", "last").out.decode()
    (listed,) = himalia("jobs", "--json").lines

    assert "source       main at 1a2b3c4d5e6f of https://github.com/ada/digits\n" in shown
    assert listed["source"]["commit"].startswith("1a2b3c4d5e6f")


@pytest.mark.parametrize("where", ["GITHUB_TOKEN", "file", "-"])
def test_a_token_comes_from_the_environment_a_file_or_the_standard_input(
    service, himalia, monkeypatch, tmp_path, where
):
    monkeypatch.setenv("GITHUB_TOKEN", "s3cret")
    (tmp_path / "token").write_text("s3cret\n")

    outcome = himalia(
        "submit",
        "--git",
        ADDRESS,
        "--token-from",
        f"file:{tmp_path / 'token'}" if where == "file" else where,
        "-d",
        "--",
        "x",
        stdin="s3cret\n",
    )

    assert only(service).token == "s3cret"
    assert "s3cret" not in outcome.err + outcome.out.decode()


def test_a_token_written_on_the_command_line_by_mistake_is_not_repeated(service, himalia):
    outcome = himalia("submit", "--git", ADDRESS, "--token-from", "ghp_s3cret", "--", "true")

    assert outcome.code == 125
    assert "There is no token where --token-from says" in outcome.err
    assert "s3cret" not in outcome.err


def test_what_went_wrong_with_a_fetch_is_one_sentence(service, himalia):
    service.wrong = FieldError("git", "github.com/ada/digits has no branch, tag or commit main.")

    outcome = himalia("submit", "--git", ADDRESS, "--", "true")

    assert outcome.code == 125
    assert outcome.err.splitlines()[-1] == "himalia: github.com/ada/digits has no branch, tag or commit main."


@pytest.mark.fault(90)
def test_an_odd_address_is_refused_before_anybody_is_asked(service, himalia):
    outcome = himalia("submit", "--git", "ext::sh -c touch", "--", "true")

    assert (outcome.code, service.asked) == (125, [])
    assert "Only addresses that begin with https://" in outcome.err


def test_a_directory_and_a_repository_are_not_submitted_together(service, himalia, code):
    assert "either a directory or a repository" in himalia("submit", ".", "--git", ADDRESS, "--", "true").err
    assert "give --git as well" in himalia("submit", "--token-from", "X", "--", "true").err


def test_the_file_of_the_directory_here_says_nothing_of_a_repository_elsewhere_but_may_name_one(service, himalia, code):
    (code / "himalia-job.toml").write_text('project = "other"\nenv = { A = "1" }\n')
    himalia("submit", "--git", ADDRESS, "-d", "--", "true")
    assert (only(service).job.project, only(service).job.env) == ("digits", {})

    service.fetches.clear()
    (code / "himalia-job.toml").write_text(f'git = "{ADDRESS}"\nproject = "other"\ncommand = "true"\n')
    himalia("submit", "-d")
    assert (only(service).git, only(service).job.project) == (ADDRESS, "other")


def test_a_fetch_that_ended_with_its_service_is_begun_anew_under_the_same_key(service):
    service.breaks("GET", "fetches/.*", httpx.Response(404, json={"error": {"code": "not_found", "message": "gone"}}))

    job = himalia.submit(git=ADDRESS, command=["true"])

    assert job.view.source is not None
    assert service.count("POST", "fetches") == 2
    assert len(service.jobs) == 1


def test_who_is_interrupted_ends_the_fetch(service):
    def interrupted(sentence: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        himalia.submit(git=ADDRESS, command=["true"], told=interrupted)

    assert service.stopped == list(service.fetches)


def test_an_older_platform_that_fetches_nothing_says_what_to_do(service):
    service.breaks("POST", "fetches", httpx.Response(404, json={"error": {"code": "not_found", "message": "Nothing."}}))

    with pytest.raises(LocalError, match="does not fetch repositories yet"):
        himalia.submit(git=ADDRESS, command=["true"])


def test_python_submits_a_private_repository_with_its_token(service):
    himalia.submit(git=ADDRESS, token="s3cret", command=["true"], project="mine")

    assert (only(service).token, only(service).job.project) == ("s3cret", "mine")
    assert "s3cret" not in repr(only(service))
    with pytest.raises(FieldError, match="give git"):
        himalia.submit(token="s3cret", command=["true"])
