"""Pages: people come in by the hub's login, and nobody else acts in their name."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from doors import CHANGING
from service_at_work import AtWork, listening, settings_for

from himalia.errors import Unavailable
from himalia_jobs.pages import routes
from himalia_jobs.pages.base import PageHandler
from himalia_jobs.refusing import Refusing

pytestmark = pytest.mark.asyncio

FORGED = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
SUBMIT = {"project": "work", "command": "true"}


class FormPage(PageHandler):
    """A page with a form."""

    async def post(self) -> None:
        """Say who sent it."""
        self.page("error.html", message=f"Sent by {self.person.name}.", again=None, status=200)


@pytest.fixture(autouse=True)
def form_page(monkeypatch):
    """A page with a form beside the others, at `form`."""
    monkeypatch.setattr(routes, "PAGES", [*routes.PAGES, ("form", FormPage)])


async def log_in(work: AtWork, path: str = "") -> tuple[httpx.Response, str]:
    """Open a page as a browser that nobody knows; return where it is sent, and the cookie that remembers why."""
    sent = await work.open(path, None)
    return sent, "; ".join(f"{name}={value}" for name, value in sent.cookies.items())


async def test_who_is_not_logged_in_comes_back_from_the_hub_to_the_page_they_wanted(work: AtWork):
    sent, cookies = await log_in(work, "?from=lab")
    wanted = urlsplit(sent.headers["Location"])
    asked = parse_qs(wanted.query)

    back = await work.open(
        "oauth_callback", None, params={"code": "ada-code", "state": asked["state"][0]}, headers={"Cookie": cookies}
    )
    page = await work.open("", None, headers={"Cookie": "; ".join(f"{k}={v}" for k, v in back.cookies.items())})

    assert (sent.status_code, wanted.path) == (302, "/hub/api/oauth2/authorize")
    assert asked["client_id"] == ["service-jobs"]
    assert (back.status_code, back.headers["Location"]) == (302, "/services/jobs/?from=lab")
    assert "SameSite=Lax" in back.headers["Set-Cookie"]
    assert "HttpOnly" in back.headers["Set-Cookie"]
    assert page.status_code == 200
    assert ">ada<" in page.text.replace("\n", "")


async def test_a_login_that_another_browser_began_is_not_completed(work: AtWork):
    sent, _ = await log_in(work)
    state = parse_qs(urlsplit(sent.headers["Location"]).query)["state"][0]

    for params in ({"code": "ada-code", "state": state}, {"code": "ada-code"}, {"error": "access_denied"}):
        answer = await work.open("oauth_callback", None, params=params)

        assert answer.status_code == 403
        assert "Try again" in answer.text
        assert work.service.hub.auth.cookie_name not in answer.cookies


async def test_a_login_that_is_over_begins_anew(work: AtWork):
    del work.hub.tokens["ada-token"]

    answer = await work.open()

    assert (answer.status_code, urlsplit(answer.headers["Location"]).path) == (302, "/hub/api/oauth2/authorize")


async def test_a_page_says_what_it_may_load_and_is_held_by_no_other(work: AtWork):
    for answer in (await work.open(), await work.open("nothing"), await work.open("", None)):
        policy = answer.headers["Content-Security-Policy"]

        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


async def test_what_a_page_loads_is_there_and_may_be_kept(work: AtWork):
    page = (await work.open()).text
    loaded = {part.split('"')[0] for part in page.split('"/services/jobs/static/')[1:]}

    assert len(loaded) == 4
    for name in loaded:
        answer = await work.open(f"static/{name}", None)
        assert answer.status_code == 200
        assert "max-age=31536000" in answer.headers["Cache-Control"]
    assert (await work.open("static/../base.py", None)).status_code == 404
    assert "<style" not in page
    assert 'style="' not in page
    assert "<script>" not in page


async def test_a_form_of_another_page_is_refused_and_ours_is_taken(work: AtWork):
    ours = await work.browser()
    address, cookie = "/services/jobs/form", {"Cookie": ours["Cookie"]}
    forged = [
        await work.http.post(address, headers=cookie | FORGED, data={"why": "x"}),
        await work.http.post(address, headers=cookie | FORGED, data={"_xsrf": "guessed"}),
        await work.http.post(address, headers=cookie | FORGED | {"X-XSRFToken": "guessed"}),
    ]
    sent = await work.http.post(address, headers=cookie, data={"_xsrf": ours["X-XSRFToken"]})

    assert {answer.status_code for answer in forged} == {403}
    assert all("another page" in answer.text for answer in forged)
    assert (sent.status_code, "Sent by ada." in sent.text) == (200, True)


async def test_a_form_with_somebody_elses_token_is_refused(work: AtWork):
    ada, eve = await work.browser("ada"), await work.browser("eve")
    token = eve["X-XSRFToken"]
    mixed = {"Cookie": f"{work.cookie('ada')}; _xsrf={token}"}

    answer = await work.http.post("/services/jobs/form", headers=mixed, data={"_xsrf": token})

    assert answer.status_code == 403
    assert ada["X-XSRFToken"] != token


@pytest.mark.fault(85)
async def test_the_api_takes_a_cookie_with_the_pages_token_alone(work: AtWork):
    ours = await work.browser()
    forged = {"Cookie": ours["Cookie"], "Content-Type": "text/plain"} | FORGED

    for method, path in CHANGING:
        answer = await work.ask(
            method, path, None, headers=dict(forged), content=b'{"project": "w", "command": "true"}'
        )
        assert answer.status_code in (401, 403), (method, path)
    refused = await work.ask("POST", "jobs", None, headers=dict(forged), json=SUBMIT)
    taken = await work.ask("POST", "jobs", None, headers=ours, json=SUBMIT)

    assert (refused.status_code, "another page" in refused.text) == (403, True)
    assert taken.status_code == 201
    assert len((await work.ask("GET", "jobs")).json()["jobs"]) == 1


@pytest.mark.fault(84)
@pytest.mark.parametrize("path", ["", "api/me", "api/gpus"])
async def test_a_script_of_a_servers_page_reads_nothing_with_the_cookie(work: AtWork, path):
    script = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}

    refused = await work.open(path, headers=dict(script))
    ours = await work.http.get(f"/services/jobs/{path}", headers=await work.browser())

    assert refused.status_code == 403
    assert ">ada<" not in refused.text
    assert (await work.browser())["X-XSRFToken"] not in refused.text
    assert ours.status_code == 200


async def test_a_script_whose_login_is_over_is_told_and_not_sent_round(work: AtWork):
    answer = await work.open("", None, headers={"Sec-Fetch-Mode": "cors"})

    assert answer.status_code == 401


async def test_a_hub_that_is_away_is_told_and_the_page_tries_again(work: AtWork):
    await work.hub.hang_up()

    answer = await work.open()

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "The hub does not answer" in answer.text
    assert 'http-equiv="refresh"' in answer.text


async def test_a_service_that_must_not_work_says_so_as_a_page(tmp_path):
    refusing = Refusing(settings_for(tmp_path), Unavailable("The database is <missing>."))

    async with listening(refusing) as http:
        answer = await http.get("/services/jobs/", headers={"Accept": "text/html"})

    assert answer.status_code == 503
    assert "The database is &lt;missing&gt;." in answer.text


async def test_an_address_without_a_page_is_told_as_whoever_asks_can_read_it(work: AtWork):
    page, program = await work.open("nothing"), await work.http.get("/services/jobs/nothing")

    assert (page.status_code, program.status_code) == (404, 404)
    assert "There is nothing at this address." in page.text
    assert program.json()["error"]["code"] == "not_found"
    assert (await work.http.get("/services/jobs")).headers["Location"] == "/services/jobs/"


async def test_who_may_not_read_is_told_on_the_page(work: AtWork):
    work.hub.knows("weak", scopes=("access:services!service=jobs",))

    answer = await work.open(who="weak")

    assert answer.status_code == 403
    assert "lacks the scope custom:jobs:read" in answer.text


async def test_what_people_wrote_is_shown_and_never_run(work: AtWork):
    await work.service.reconciler.keeper.quarantine("GPU-0", "<script>alert(1)</script>", "root")

    page = await work.open(who="root")

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "<script>alert" not in page.text


async def test_an_administrator_is_asked_first_and_then_it_is_done(work: AtWork):
    ours = await work.browser("root")
    cookie, address = {"Cookie": ours["Cookie"], "Accept": "text/html"}, "/services/jobs/gpus/GPU-0/drain"

    asked = await work.http.get(address, headers=cookie)
    forged = await work.http.post(address, headers=cookie | FORGED, data={"why": "x"})
    assert (await work.ask("GET", "gpus", "root")).json()["slots"][0]["health"] == "ok"
    done = await work.http.post(address, headers=cookie, data={"_xsrf": ours["X-XSRFToken"], "why": "New <fans>."})
    page = await work.open(who="root")

    assert "Drain GPU 0?" in asked.text
    assert f'name="_xsrf" value="{ours["X-XSRFToken"]}"' in asked.text
    assert forged.status_code == 403
    assert (done.status_code, done.headers["Location"]) == (303, "/services/jobs/")
    assert "root empties it. New &lt;fans&gt;." in page.text
    assert "root drained GPU 0 (GPU-0). New &lt;fans&gt;." in page.text
    assert "gpus/GPU-0/return" in page.text


async def test_nobody_else_is_asked_or_does_it(work: AtWork):
    ours = await work.browser("ada")
    address = "/services/jobs/gpus/GPU-0/quarantine"

    asked = await work.open("gpus/GPU-0/quarantine")
    sent = await work.http.post(address, headers={"Cookie": ours["Cookie"]}, data={"_xsrf": ours["X-XSRFToken"]})

    assert (asked.status_code, sent.status_code) == (403, 403)
    assert "gpus/GPU-0/" not in (await work.open()).text
    assert (await work.ask("GET", "gpus", "root")).json()["slots"][0]["health"] == "ok"


async def test_what_cannot_be_done_is_told_on_a_page(work: AtWork):
    ours = await work.browser("root")
    form = {"_xsrf": ours["X-XSRFToken"]}

    async def send(path: str, **fields: str) -> httpx.Response:
        headers = {"Cookie": ours["Cookie"], "Accept": "text/html"}
        return await work.http.post(f"/services/jobs/gpus/{path}", headers=headers, data=form | fields)

    told = {
        "Nobody holds GPU 0.": await send("GPU-0/release"),
        "There is no GPU GPU-9.": await send("GPU-9/drain"),
        "500 letters at most": await send("GPU-0/drain", why="x" * 501),
        "no such GPU": await work.open("gpus/GPU-9/drain", "root"),
        "Nobody holds GPU 0 any more": await work.open("gpus/GPU-0/release", "root"),
        "nothing at this address": await work.open("gpus/GPU-0/explode", "root"),
    }

    for sentence, answer in told.items():
        assert answer.status_code in (404, 409, 422), sentence
        assert sentence in answer.text


async def test_a_machine_without_gpus_and_one_that_was_not_looked_at_are_told_apart(work: AtWork):
    work.service.ledger.nodes, nodes = [], list(work.service.ledger.nodes)
    await work.service.db.write(lambda db: db.exec_driver_sql("DELETE FROM slots"))

    looked_for = await work.open()
    work.service.ledger.nodes = nodes
    none = await work.open()

    assert "its GPUs are shown in a moment" in looked_for.text
    assert "No GPU was found on this platform." in none.text
    assert "None here" in none.text


async def test_an_administrator_gives_a_gpu_another_mode(work: AtWork):
    ours = await work.browser("root")
    cookie, address = {"Cookie": ours["Cookie"], "Accept": "text/html"}, "/services/jobs/gpus/GPU-0/mode"
    form = {"_xsrf": ours["X-XSRFToken"]}

    asked = await work.open("gpus/GPU-0/mode", "root")
    done = await work.http.post(address, headers=cookie, data=form | {"mode": "shared", "seats": "3"})
    slots = (await work.ask("GET", "gpus", "root")).json()["slots"]
    page = await work.open(who="root")

    assert "GPU 0 is exclusive: whole, to one holder at a time." in asked.text
    assert done.status_code == 303
    assert [(slot["kind"], slot["mode"]) for slot in slots] == [("seat", "shared")] * 3 + [("gpu", "exclusive")]
    assert "GPU 0 seat 2" in page.text
    assert "root set the mode of GPU 0 (GPU-0) to shared." in page.text

    await work.http.post(address, headers=cookie, data=form | {"mode": "file"})
    assert len((await work.ask("GET", "gpus", "root")).json()["slots"]) == 2
    for wrong in ({"mode": "striped"}, {"mode": "shared", "seats": "many"}, {"mode": "shared", "seats": "99"}, {}):
        assert (await work.http.post(address, headers=cookie, data=form | wrong)).status_code == 422
    assert (await work.http.post(address, headers=cookie, data={"mode": "off"})).status_code == 403
    assert (await work.open("gpus/GPU-0/mode", "ada")).status_code == 403
