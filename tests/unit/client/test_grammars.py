"""Ids, owners, sizes, durations and project names: what is written is what is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from himalia.errors import FieldError, LocalError
from himalia.ids import attempt_id, is_id, new_id, split_attempt
from himalia.owners import Owner
from himalia.snapshot import project_name
from himalia.units import format_duration, format_size, parse_duration, parse_size


@given(st.integers(min_value=1))
def test_an_attempts_id_tells_its_job_and_number(number):
    job = new_id()

    assert is_id(job)
    assert split_attempt(attempt_id(job, number)) == (job, number)


@pytest.mark.parametrize("text", ["", "a" * 11, "a" * 13, "A" * 12, "0" * 12, "a" * 12 + "\n", "ä" * 12])
def test_what_has_not_the_form_of_an_id_is_none(text):
    assert not is_id(text)


def test_ids_do_not_repeat():
    assert len({new_id() for _ in range(10_000)}) == 10_000


@given(st.sampled_from(["user", "team"]), st.text(min_size=1))
def test_an_owner_reads_back_as_written(kind, name):
    assert str(Owner.parse(f"{kind}:{name}")) == f"{kind}:{name}"


def test_a_user_and_a_team_of_one_name_are_two_owners():
    assert Owner.user("x") != Owner.team("x")


@pytest.mark.parametrize("text", ["", "ada", "user:", ":ada", "User:ada", "group:ada", "user"])
def test_what_is_no_owner_is_refused_with_how_to_write_one(text):
    with pytest.raises(FieldError, match="Write user:NAME or team:NAME"):
        Owner.parse(text)


@given(st.integers(min_value=1, max_value=2**60))
def test_a_number_of_bytes_is_exact(size):
    assert parse_size(size) == parse_size(str(size)) == size


@given(st.integers(min_value=1, max_value=10**6), st.sampled_from("KMG"), st.sampled_from(["", "B", "iB", "b"]))
def test_letters_are_powers_of_1024(number, letter, ending):
    power = 1024 ** ("KMG".index(letter) + 1)

    assert parse_size(f"{number}{letter}{ending}") == parse_size(f" {number} {letter.lower()} ") == number * power


@pytest.mark.parametrize(
    "text", ["", "G", "-1", "0", "1.5.2G", "1e3", "nan", "inf", "9" * 400, "8 giga", "٣G", "1G1", True, None]
)
def test_what_is_no_size_is_refused_in_few_words(text):
    with pytest.raises(FieldError, match="is no size. Write it like 512M or 8G") as refused:
        parse_size(text)
    assert len(refused.value.message) < 200


@given(st.integers(min_value=1, max_value=2**60))
def test_a_size_for_people_is_near_the_size(size):
    number, unit = format_size(size).split()
    power = {"byte": 0, "bytes": 0, "KB": 1, "MB": 2, "GB": 3, "TB": 4}[unit]

    assert abs(float(number) * 1024**power - size) <= 0.05 * size


@given(
    st.integers(min_value=0, max_value=300),
    st.integers(min_value=0, max_value=23),
    st.integers(min_value=0, max_value=59),
    st.integers(min_value=1, max_value=59),
)
def test_parts_of_a_duration_add_up(days, hours, minutes, seconds):
    whole = days * 86400 + hours * 3600 + minutes * 60 + seconds

    assert parse_duration(f"{days}d{hours}h{minutes}m{seconds}s") == whole
    assert parse_duration(f"{days}D {hours} h {minutes}m {seconds} s") == whole
    assert parse_duration(whole) == parse_duration(str(whole)) == whole


@pytest.mark.parametrize("text", ["", "h", "2 hours", "1h x", "-1h", "1y", "1h2", "٣h", "nan"])
def test_what_is_no_duration_is_refused_in_words(text):
    with pytest.raises(FieldError, match="is no duration. Write it like 90s"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0", "0s", "0.5", "367d", 0, "9" * 39])
def test_a_duration_out_of_range_is_refused_in_words(text):
    with pytest.raises(FieldError, match="between 1 second and 366 days"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["9" * 400, "1s" * 100])
def test_a_duration_without_end_is_refused_in_few_words(text):
    with pytest.raises(FieldError) as refused:
        parse_duration(text)
    assert len(refused.value.message) < 250


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3600, "1 h"),
        (9600, "2 h 40 min"),
        (273600, "3 d 4 h"),
        (86400, "1 d"),
    ],
)
def test_a_duration_for_people(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("digits", "digits"),
        ("my code (2)", "my-code-2"),
        ("Café", "Cafe"),
        (".hidden", "hidden"),
        ("проект", "project"),
        ("a" * 150, "a" * 100),
        ("-x-", "x"),
        ("v1.2_a-b", "v1.2_a-b"),
    ],
)
def test_a_project_is_named_after_its_directory(tmp_path, directory, name):
    assert project_name(tmp_path / directory) == name


@given(
    st.text(alphabet=st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=60)
)
def test_every_directory_has_a_name_that_the_service_takes(name):
    from himalia_jobs.submitting import PROJECT_NAME

    assert PROJECT_NAME.fullmatch(project_name(Path("/data") / "x" / name.replace("..", "x"), "/home/jovyan"))


def test_the_home_directory_is_home_however_it_is_written(home, tmp_path, monkeypatch):
    (home / "sub").mkdir()
    (tmp_path / "link").symlink_to(home)
    monkeypatch.chdir(home)

    for directory in (home, ".", "sub/..", "~", tmp_path / "link"):
        assert project_name(directory, home) == "home"
    assert project_name("sub", home) == "sub"


def test_the_root_directory_is_refused(monkeypatch):
    monkeypatch.chdir("/")

    for directory in ("/", ".", "/tmp/.."):
        with pytest.raises(LocalError, match="root directory cannot be submitted"):
            project_name(directory)


def test_a_directory_that_is_gone_is_told(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    os.rmdir(tmp_path / "gone")

    with pytest.raises(LocalError, match="is not there"):
        project_name(".")
