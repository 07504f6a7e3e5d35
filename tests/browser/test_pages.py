"""The service's pages in a real browser: people come in by the hub, and another site's page does nothing in their name."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from faint import TOO_FAINT
from live_platform import eventually, run
from playwright.sync_api import Page, Response, expect
from quiet_network import QuietNetwork

if TYPE_CHECKING:
    from live_platform import LivePlatform

#: Sends what the API takes, in the two ways that need nobody's leave, with all cookies that the browser has.
EVIL = """<!doctype html><form method="post" enctype="text/plain" action="{form}"><input name='{{"why":"' value='"}}'></form>
<script>
fetch("{url}", {{method: "POST", mode: "no-cors", credentials: "include", body: '{{"project":"x","command":"true"}}'}})
  .finally(() => document.forms[0].submit());
</script>"""


@pytest.fixture
def evil_site(network: QuietNetwork) -> Iterator[Callable[[str], str]]:
    """Serves a page at an origin of its own, on this machine: for browsers the same *site* as the platform."""
    served = {"page": b""}

    class Evil(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer with the page."""
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(served["page"])

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    network.reach(server.server_port)

    def serve(page: str) -> str:
        served["page"] = page.encode()
        return f"http://127.0.0.1:{server.server_port}/"

    yield serve
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def open_service_page(live: LivePlatform, open_page: Callable[[], Page]) -> Callable[..., Page]:
    """Opens a page of the service with a browser that nobody has used before, and logs in where the hub asks."""

    def make(name: str, path: str = "") -> Page:
        page = open_page()
        page.goto(f"{live.url}/services/jobs/{path}")
        page.fill("#username_input", name)
        page.fill("#password_input", live.admin_password if name == "root-admin" else live.password)
        page.click("#login_submit")
        page.wait_for_url(f"**/services/jobs/{path}")
        return page

    return make


def test_who_is_not_logged_in_logs_in_and_sees_the_gpus(live, open_service_page):
    page = open_service_page("ada")

    expect(page.get_by_role("heading", name="GPUs", exact=True)).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("of 4 free")
    expect(page.locator(".gpu")).to_have_count(4)
    expect(page.locator(".who")).to_have_text("ada")


def test_a_page_of_another_origin_does_nothing_in_an_administrators_name(
    live, client, open_service_page, evil_site, complaints
):
    page, root = open_service_page("root-admin"), client("root-admin")
    api = f"{live.url}/services/jobs/api"
    uuid = root.gpus().slots[0].uuid
    before = [job.id for job in root.jobs()]
    form = f"{api}/gpus/{uuid}/quarantine"
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer) if answer.url in (f"{api}/jobs", form) else None)

    page.goto(evil_site(EVIL.format(url=f"{api}/jobs", form=form)))
    page.wait_for_url(form)
    complaints[:] = [said for said in complaints if "403" not in said]

    assert [(answer.url, answer.status) for answer in answers] == [(f"{api}/jobs", 403), (form, 403)]
    sent = {answer.url: answer.request.all_headers().get("cookie", "") for answer in answers}
    assert "service-jobs=" in sent[form], sent
    assert {slot.health for slot in root.gpus().slots} == {"ok"}
    assert [job.id for job in root.jobs()] == before


def test_the_page_changes_by_itself(live, client, open_service_page, picture):
    page = open_service_page("ada")
    expect(page.locator(".gpu[data-state='free']")).to_have_count(4)

    jobs = [
        run(client(name), "sleep 600", profile="gpu", wait=False, project="vision") for name in ("ada", "bob", "eve")
    ]
    expect(page.locator(".gpu[data-state='held']")).to_have_count(3)
    expect(page.locator(".gpu").first).to_contain_text(f"job {jobs[0].id} of ada")
    expect(page.locator(".gpu", has_text="in use")).to_have_count(1)  # a stranger's
    run(client("bob"), "true", gpus="2", wait=False, project="vision")
    expect(page.locator(".line li")).to_contain_text(["bob a job · 2 GPUs"])
    expect(page.get_by_role("status").first).to_contain_text("1 of 4 free · 1 waiting")
    picture(page, "gpu-page")
    page.emulate_media(color_scheme="dark")
    picture(page, "gpu-page-dark")

    jobs[0].cancel()
    expect(page.locator(".line li")).to_have_count(0)
    expect(page.get_by_text("Nobody waits")).to_be_visible()


def test_an_administrator_empties_a_gpu_and_gives_it_back_by_keyboard_alone(live, client, open_service_page):
    page = open_service_page("root-admin")
    card = page.locator(".gpu").first

    card.get_by_role("link", name="Drain: GPU 0").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Drain GPU 0?")).to_be_visible()
    page.get_by_label("Why").focus()
    page.keyboard.type("New fans.")
    page.keyboard.press("Enter")
    expect(card).to_contain_text("root-admin empties it. New fans.")

    back = card.get_by_role("link", name="Give back: GPU 0")
    back.focus()
    run(client("ada"), "true", project="tests")  # the page is written anew, and what has the focus stays
    eventually(lambda: back.evaluate("link => link === document.activeElement"))
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Give back").focus()
    page.keyboard.press("Enter")
    expect(card.locator(".mark")).to_have_text("free")
    expect(page.get_by_text("What administrators did")).to_be_visible()


def test_an_administrator_ends_a_job_and_the_holder_is_told(live, client, open_service_page):
    job = run(client("ada"), "sleep 600", profile="gpu", wait=False)
    page = open_service_page("root-admin")

    page.get_by_role("link", name="End hold: GPU 0").click()
    page.get_by_label("Why").fill("Needed for a demo.")
    page.get_by_role("button", name="End hold").click()

    assert job.wait(timeout=90).view.state == "cancelled"
    assert "root-admin" in job.view.cancelled_by
    assert "Needed for a demo." in [notice.sentence for notice in client("ada").notices()][-1]
    expect(page.locator(".gpu[data-state='free']")).to_have_count(4)


def test_all_can_be_read_light_and_dark_on_a_telephone(live, open_service_page, complaints):
    page = open_service_page("root-admin")
    page.set_viewport_size({"width": 360, "height": 740})

    for path, scheme in itertools.product(("", "usage", "nothing"), ("light", "dark")):
        page.emulate_media(color_scheme=scheme)
        page.goto(f"{live.url}/services/jobs/{path}")

        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.evaluate(TOO_FAINT, "body") == [], (path, scheme)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (path, scheme)
    complaints[:] = [said for said in complaints if "404" not in said]


def test_a_service_that_is_away_is_told_on_the_page_and_comes_back_by_itself(live, open_service_page, complaints):
    page = open_service_page("ada")

    with live.stopped("service"):
        expect(page.get_by_text("The service does not answer at the moment.")).to_be_visible()
        expect(page.locator(".gpu")).to_have_count(4)

    expect(page.get_by_text("The service does not answer at the moment.")).to_be_hidden()
    complaints.clear()
