"""Addresses of repositories: https and a host's name, nothing else; a secret in one is never repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from himalia.errors import FieldError
from himalia.git import Git, parse_repository
from himalia.git.address import without_secret

NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)


@given(host=st.sampled_from(["github.com", "git.example.org:8443"]), owner=NAMES, name=NAMES, ref=NAMES | st.just(""))
def test_an_address_is_read_as_it_is_written(host, owner, name, ref):
    text = f"https://{host}/{owner}/{name}" + (f"@{ref}" if ref else "")

    found = parse_repository(text)

    assert (found.site, found.path, found.ref) == (host, f"{owner}/{name}", ref)
    assert str(found) == text


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("https://github.com/ada/digits@v1.0", "v1.0"),
        ("https://github.com/ada/digits.git@feature/one", "feature/one"),
        ("https://GitHub.com:443/ada/digits/", ""),
        ("https://github.com/ada/digits/tree/feature/one", "feature/one"),
        ("https://github.com/ada/digits/commit/" + "a" * 40, "a" * 40),
        ("https://gitlab.com/group/below/digits/-/tree/main", "main"),
    ],
)
def test_a_branch_a_tag_or_a_commit_stands_behind_it_also_as_a_browser_shows_it(text, ref):
    found = parse_repository(text)

    assert (found.name, found.ref) == ("digits", ref)
    assert found.host in ("github.com", "gitlab.com")


@pytest.mark.fault(90)
@pytest.mark.parametrize(
    "text",
    [
        "ext::sh -c 'touch /tmp/here'",
        "file:///etc",
        "/etc",
        "-uhttps://github.com/a/b",
        "--upload-pack=touch",
        "ssh://-oProxyCommand=touch/a",
        "ssh://git@github.com/a/b",
        "git@github.com:a/b.git",
        "git://github.com/a/b",
        "http://github.com/a/b",
        "https+ext://github.com/a/b",
        "https://127.0.0.1/a/b",
        "https://[::1]/a/b",
        "https://0x7f.1/a/b",
        "https://0x7f000001/a/b",
        "https://2130706433/a/b",
        "https://127.1/a/b",
        "https://0177.0.0.1/a/b",
        "https://169.254.169.254/latest/meta-data",
        "https://github.com",
        "https://github.com/../b",
        "https://github.com/a/%2e%2e/b",
        "https://github.com/-u/b",
        "https://github.com/a/b?x=1",
        "https://github.com/a/b#x",
        "https://github.com/a b",
        "https://github.com/a/b\n",
        "https://github.com\\@evil.example/a/b",
        "https://gıthub.com/a/b",
        "https://github.com:0/a",
        "https://github.com:99999/a",
        "https://github.com/a@--upload-pack=x",
        "https://github.com/a@x..y",
        "https://github.com/a@+x:refs/heads/main",
        "https://github.com/a@x y",
        "https://github.com/a@",
        "",
    ],
)
def test_any_other_way_to_name_a_repository_is_refused_before_a_request_leaves(text):
    if text.endswith("\n"):
        assert parse_repository(text).path == "a/b"  # a line that was pasted with its end
        return

    with pytest.raises(FieldError) as refused:
        parse_repository(text)

    assert refused.value.field == "git"


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(FieldError) as refused:
        parse_repository("https://ada:s3cret@github.com/a/b")

    assert "--token-from" in refused.value.message
    assert "s3cret" not in refused.value.message


@given(text=st.text(max_size=60))
def test_whatever_stands_there_is_an_address_or_a_sentence(text):
    try:
        found = parse_repository(f"https://{text}")
    except FieldError:
        return
    assert parse_repository(str(found)) == found


@pytest.mark.parametrize(
    ("remote", "kept"),
    [
        ("https://ada:s3cret@github.com/a/b.git", "https://github.com/a/b.git"),
        ("https://s3cret@github.com/a/b.git?token=s3cret", "https://github.com/a/b.git"),
        ("ssh://git:s3cret@github.com/a/b", "ssh://git@github.com/a/b"),
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("/srv/git/a@b", "/srv/git/a@b"),
        ("https://github.com/a/b", "https://github.com/a/b"),
    ],
)
def test_a_remote_is_recorded_without_what_is_secret_in_it(remote, kept):
    assert without_secret(remote) == kept


def test_an_operator_names_hosts_and_networks_and_hears_of_a_typing_mistake():
    setting = Git(hosts=("GitHub.com", "git.example.org:8443"), networks=("10.1.0.0/16",))

    assert setting.hosts == ("github.com", "git.example.org:8443")
    with pytest.raises(ValidationError, match="no name of a host"):
        Git(hosts=("https://github.com",))
    with pytest.raises(ValidationError, match="has host bits set"):
        Git(networks=("10.1.2.3/16",))
