"""One connection: what breaks is tried again where that is safe, and what cannot be mended is said in words."""

from __future__ import annotations

import httpx
import pytest
from job_service import TOKEN, URL

from himalia.client import Client
from himalia.client.compatibility import refuse_if_too_old
from himalia.errors import (
    DiskFull,
    FieldError,
    HimaliaError,
    LocalError,
    NotFound,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

REFUSED = httpx.ConnectError("[Errno 111] Connection refused")
PAGE = "<html>Bad gateway</html>"


@pytest.fixture
def client(service):
    with Client(URL, TOKEN) as client:
        yield client


def test_a_question_is_asked_again_after_a_cut(service, client):
    service.breaks("GET", "me", REFUSED, httpx.ReadError("cut"), httpx.Response(503, text=PAGE))

    assert client.me().name == "ada"
    assert service.count("GET", "me") == 4


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (REFUSED, r"Nothing answers at gpu\.example\.org .*Is the platform up, and the address right\?"),
        (httpx.ConnectTimeout("x"), r"gpu\.example\.org did not answer in time"),
        (httpx.ReadError("reset"), r"The connection to gpu\.example\.org broke \(reset\)"),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), "not trusted here .*SSL_CERT_FILE"),
        (httpx.Response(502, text=PAGE), "The platform does not answer at the moment"),
        (Unavailable("The hub does not answer, so nobody can be recognised."), "The hub does not answer"),
    ],
)
def test_what_stays_broken_is_said_in_words(service, client, fault, said):
    service.breaks("GET", "me", *[fault] * 5)

    with pytest.raises(Unavailable, match=said):
        client.me()
    assert service.count("GET", "me") == 5


def test_a_rerun_is_not_repeated_for_it_could_be_two(service, client):
    job = service.add_job()
    service.breaks("POST", "jobs/.*/rerun", httpx.ReadError("cut"))

    with pytest.raises(Unavailable):
        client.rerun(job.view.id)
    assert len(service.jobs) == 1


def test_a_delete_whose_answer_was_lost_counts_as_done(service, client):
    service.breaks("DELETE", "jobs/.*", httpx.ReadError("cut"))

    client.delete("abcdefghijkl")


def test_a_delete_of_nothing_is_told(client):
    with pytest.raises(NotFound, match="There is no job abcdefghijkl"):
        client.delete("abcdefghijkl")


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (httpx.Response(302, headers={"Location": "/hub/login"}), LocalError, "leads elsewhere .*Log in again"),
        (httpx.Response(200, text=PAGE), LocalError, "is not Himalia's job service"),
        (httpx.Response(404, text=PAGE), LocalError, "is not Himalia's job service"),
        (httpx.Response(413, text=PAGE), TooLarge, "A proxy in front of the platform refuses"),
        (httpx.Response(200, json={"name": 3}), LocalError, "not understood. Upgrade himalia"),
        (httpx.Response(200), LocalError, "not understood. Upgrade himalia"),
        (httpx.Response(500, json={"error": "?"}), HimaliaError, "answered 500 without a reason"),
        (Unauthenticated("The token is not known here."), Unauthenticated, "not known here"),
        (DiskFull("There is no room on the platform's disk."), DiskFull, "no room"),
    ],
)
def test_every_answer_that_is_no_answer_is_told_apart(service, client, answer, kind, said):
    service.breaks("GET", "me", answer)

    with pytest.raises(kind, match=said):
        client.me()


def test_a_refused_field_keeps_its_name(service, client):
    service.breaks("GET", "jobs", FieldError("state", "'x' is no state."))

    with pytest.raises(FieldError) as refused:
        client.page(state="x")
    assert (refused.value.field, refused.value.fields) == ("state", {"state": "'x' is no state."})


@pytest.mark.parametrize("body", [None, [], {"profiles": 3}, {}, {"profiles": [{}]}])
def test_a_list_that_is_none_is_told(service, client, body):
    service.breaks("GET", "profiles", httpx.Response(200, json=body))

    with pytest.raises(LocalError, match="not understood"):
        client.profiles()


@pytest.mark.parametrize("url", ["", "gpu.example.org", "ftp://x", "https://", "https://x:port"])
def test_an_address_that_is_none_is_refused_before_anything_is_sent(service, url):
    with pytest.raises(LocalError, match="is no address"):
        Client(url or " ", TOKEN)


@pytest.mark.parametrize("token", ["", "a b", "tökén", "a\nb", "\0"])
def test_a_token_that_is_none_is_refused_before_anything_is_sent(service, token):
    with pytest.raises(LocalError, match="This is no token"):
        Client(URL, token)


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_never_leads_to_another_route(service, client, name):
    for call in (client.job, client.delete, client.artifacts, lambda name: client.delete_project("user:ada", name)):
        with pytest.raises(LocalError, match="is no name"):
            call(name)
    assert service.asked == []


def test_odd_letters_in_a_name_stay_in_their_part_of_the_path(service, client):
    with pytest.raises(NotFound):
        client.job("../me?x=1#y")
    assert service.count("GET", "me") == 0


def test_nothing_is_asked_for_squeezed_for_offsets_count_bytes(service, client):
    client.me()

    assert service.headers[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(("oldest", "refused"), [("0.1.0", False), ("0.0.9", False), ("0.1.1", True), ("1.0", True)])
def test_a_client_that_is_too_old_is_told_what_to_upgrade(service, client, oldest, refused):
    service.me = service.me.model_copy(update={"oldest_client": oldest})

    if not refused:
        refuse_if_too_old(client.me())
        return
    with pytest.raises(LocalError, match=f"too old for the platform .* pip install -U 'himalia>={oldest}'"):
        refuse_if_too_old(client.me())


def test_a_newer_services_answers_are_read_by_an_older_client(service, client):
    body = service.me.model_dump(mode="json") | {"new": "thing"}
    service.breaks("GET", "me", httpx.Response(200, json=body))

    assert client.me().name == "ada"


def test_jobs_come_page_by_page(service, client):
    ids = [service.add_job().view.id for _ in range(5)][::-1]

    assert [job.id for job in client.jobs(limit=2)] == ids
    assert service.count("GET", "jobs") == 3
