"""Snapshots over HTTP: what is missing is sent, what was sent is checked, and nobody learns of another's contents."""

from __future__ import annotations

import asyncio
import os

import pytest
from blake3 import blake3
from service_at_work import AtWork, one_file

from himalia.models import Entry, Manifest
from himalia.snapshot import pack, scan
from himalia.snapshot.wire import END, PLAIN
from himalia.units import GiB
from himalia_jobs.api import snapshots as handlers
from himalia_jobs.disk.reserve import Room

pytestmark = pytest.mark.asyncio


async def opened(work: AtWork, manifest: Manifest, who: str = "ada", owner: str = "") -> dict[str, object]:
    """Open a snapshot."""
    wish = {"owner": owner or f"user:{who}", "manifest": manifest.model_dump(mode="json")}
    answer = await work.ask("POST", "snapshots", who, json=wish)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def packed_of(*contents: bytes) -> bytes:
    """Return a pack with these contents."""
    parts = [blake3(content).digest() + len(content).to_bytes(8, "big") + content for content in contents]
    return PLAIN + b"".join(parts) + END


def manifest_of(*contents: bytes) -> Manifest:
    """Return a manifest of files with these contents."""
    return Manifest(
        entries=tuple(
            Entry.model_validate(
                {
                    "path": f"f{number}",
                    "type": "file",
                    "size_bytes": len(content),
                    "chunks": (blake3(content).hexdigest(),),
                }
            )
            for number, content in enumerate(contents)
        )
    )


def drafts(work: AtWork) -> list[str]:
    """Return what is half written."""
    return [file for folder in ("blobs", "snapshots") for file in _names(work.service.layout.data / folder / ".drafts")]


def _names(folder: object) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []  # type: ignore[arg-type]


async def test_only_what_is_missing_is_asked_for(work: AtWork, tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "a").write_text("first")
    (folder / "b").write_text("second")
    await work.send(folder)

    (folder / "b").write_text("changed")
    packed = pack(scan(folder))
    again = await opened(work, packed.manifest)

    assert again["missing"] == [blake3(b"changed").hexdigest()]
    assert (await opened(work, packed.manifest, "eve"))["missing"] == sorted(
        [blake3(b"first").hexdigest(), blake3(b"changed").hexdigest()],
        key=[chunk for entry in packed.manifest.entries for chunk in entry.chunks].index,
    )


async def test_the_pack_with_the_last_content_commits_the_snapshot(work: AtWork):
    snapshot = await opened(work, manifest_of(b"a", b"b"))
    contents = f"snapshots/{snapshot['id']}/contents"

    first = (await work.ask("PUT", contents, content=packed_of(b"a"))).json()
    second = (await work.ask("PUT", contents, content=packed_of(b"b"))).json()

    assert (first["committed"], len(first["missing"])) == (False, 1)
    assert (second["committed"], second["missing"]) == (True, [])
    assert (await work.submit(snapshot=str(snapshot["id"])))["snapshot"] == snapshot["id"]


async def test_a_manifest_of_which_all_is_there_is_committed_at_once(work: AtWork):
    first = await opened(work, manifest_of(b"a", b"b"))
    await work.ask("PUT", f"snapshots/{first['id']}/contents", content=packed_of(b"a", b"b"))

    second = await opened(work, manifest_of(b"b"))

    assert (second["committed"], second["missing"]) == (True, [])
    assert second["id"] != first["id"]


async def test_the_same_manifest_is_the_same_snapshot(work: AtWork):
    first, second = await opened(work, manifest_of(b"x")), await opened(work, manifest_of(b"x"))

    assert (first["id"], first["digest"]) == (second["id"], second["digest"])


@pytest.mark.fault(68)
@pytest.mark.fault(71)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "ended too early"),
        (PLAIN, "ended too early"),
        (b"NOTAPACK" + END, "no pack"),
        (packed_of(b"other"), "not asked for"),
        (packed_of(b"right")[:-40], "ended too early"),
        (packed_of(b"right") + b"more", "after the end"),
        (packed_of(b"right").replace(b"right", b"wrong"), "digest"),
        (packed_of(b"right").replace(b"right", b"rightly"), ""),
        (packed_of(b"right", b"right"), "not asked for"),
    ],
    ids=["nothing", "no end", "no pack", "not asked for", "cut", "more", "wrong digest", "longer", "twice"],
)
async def test_a_pack_that_cannot_be_is_refused_and_leaves_nothing_half(work: AtWork, body, said):
    snapshot = await opened(work, manifest_of(b"right"))

    answer = await work.ask("PUT", f"snapshots/{snapshot['id']}/contents", content=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unparsable")
    assert said in answer.json()["error"]["message"]
    assert drafts(work) == []


@pytest.mark.fault(66)
async def test_what_came_whole_before_a_cut_is_kept(work: AtWork):
    contents = (os.urandom(50_000), os.urandom(50_000))
    snapshot = await opened(work, manifest_of(*contents))

    cut = await work.ask("PUT", f"snapshots/{snapshot['id']}/contents", content=packed_of(*contents)[:70_000])

    assert cut.status_code == 400
    assert (await opened(work, manifest_of(*contents)))["missing"] == [blake3(contents[1]).hexdigest()]
    early = await work.ask("POST", f"snapshots/{snapshot['id']}/commit")
    assert (early.status_code, early.json()["error"]["code"]) == (409, "conflict")
    rest = await work.ask("PUT", f"snapshots/{snapshot['id']}/contents", content=packed_of(contents[1]))
    assert rest.json()["missing"] == []
    assert (await work.ask("POST", f"snapshots/{snapshot['id']}/commit")).json()["committed"]


@pytest.mark.fault(79)
async def test_what_another_upload_brought_meanwhile_may_come_again(work: AtWork):
    first, second = [await opened(work, manifest_of(b"right", b"other")) for _ in range(2)]

    one = await work.ask("PUT", f"snapshots/{first['id']}/contents", content=packed_of(b"right"))
    both = await work.ask("PUT", f"snapshots/{second['id']}/contents", content=packed_of(b"right", b"other"))

    assert [len(answer.json()["missing"]) for answer in (one, both)] == [1, 0]
    assert drafts(work) == []


@pytest.mark.fault(66)
async def test_a_connection_that_is_cut_leaves_nothing_half(work: AtWork):
    content = os.urandom(500_000)
    snapshot = await opened(work, manifest_of(content))
    port = work.http.base_url.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    path = f"/services/jobs/api/snapshots/{snapshot['id']}/contents"
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada-token\r\nContent-Length: 500200\r\n\r\n"

    writer.write(head.encode() + packed_of(content)[:300_000])
    await writer.drain()
    while not drafts(work):
        await asyncio.sleep(0.01)
    writer.close()

    async with asyncio.timeout(10):
        while drafts(work):
            await asyncio.sleep(0.01)
    assert (await opened(work, manifest_of(content)))["missing"]


async def test_a_pack_larger_than_any_other_body_is_taken(work: AtWork):
    content = os.urandom(6 * 1024 * 1024)  # the server of these tests takes 4 MB
    snapshot = await opened(work, manifest_of(content))

    answer = await work.ask("PUT", f"snapshots/{snapshot['id']}/contents", content=packed_of(content))

    assert answer.json()["missing"] == []


@pytest.mark.fault(66)
async def test_a_sender_who_never_stops_is_cut(work: AtWork, monkeypatch):
    monkeypatch.setattr(handlers, "DROPPED_BYTES", 1_000_000)
    snapshot = await opened(work, manifest_of(b"right"))
    _, writer = await asyncio.open_connection("127.0.0.1", work.http.base_url.port)
    path = f"/services/jobs/api/snapshots/{snapshot['id']}/contents"
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada-token\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    sent = 0

    with pytest.raises(ConnectionError):
        while sent < 200_000_000:
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()
            sent += 0x10000
    writer.close()

    assert sent < 50_000_000


async def test_a_sender_of_a_bad_pack_hears_why_after_all_of_it(work: AtWork):
    snapshot = await opened(work, manifest_of(bytes(10_000_000)))

    answer = await work.ask("PUT", f"snapshots/{snapshot['id']}/contents", content=b"x" * 10_000_000)

    assert answer.status_code == 400
    assert "no pack" in answer.json()["error"]["message"]


@pytest.mark.fault(66)
async def test_an_upload_of_which_nothing_comes_any_more_is_cut(work: AtWork, monkeypatch):
    monkeypatch.setattr(handlers, "PACE_SECONDS", 0.1)
    snapshot = await opened(work, manifest_of(b"right"))
    reader, writer = await asyncio.open_connection("127.0.0.1", work.http.base_url.port)
    path = f"/services/jobs/api/snapshots/{snapshot['id']}/contents"
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada-token\r\nContent-Length: 600000\r\n\r\n"

    writer.write(head.encode() + PLAIN)

    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


FILE = {"size_bytes": 1, "chunks": ("ab" * 32,)}


@pytest.mark.fault(70)
@pytest.mark.parametrize(
    ("manifest", "status", "said"),
    [
        (one_file("../up"), 422, "plain relative path"),
        (one_file("/etc/passwd"), 422, "plain relative path"),
        (one_file("a//b"), 422, "plain relative path"),
        (one_file("a/./b"), 422, "plain relative path"),
        (one_file("a/"), 422, "plain relative path"),
        (one_file(""), 422, "plain relative path"),
        (one_file("a\0b"), 422, "NUL"),
        (one_file("/".join("d" * 1000)), 422, "256 directories deep"),
        (one_file("x" * 256), 422, "too long"),
        (one_file("é" * 128), 422, "too long"),
        (one_file("/".join(["x" * 200] * 20)), 422, "too long"),
        (one_file("a", mode=0o4755), 422, "mode bits"),
        (one_file("a", mode=-1), 422, "mode bits"),
        (one_file("a", size_bytes=-1), 422, "size that cannot be"),
        (one_file("a", size_bytes=10**15), 413, "allowed"),
        (one_file("a", chunks=("zz",)), 422, "do not fit"),
        (one_file("a", chunks=("AB" * 32,)), 422, "do not fit"),
        (one_file("a", chunks=("ab" * 32, "cd" * 32)), 422, "do not fit"),
        (one_file("a", type="symlink", size_bytes=0, chunks=(), target=""), 422, "link target"),
        (one_file("a", type="symlink", size_bytes=0, chunks=(), target="a\0b"), 422, "link target"),
        (one_file("a", type="symlink", size_bytes=0, chunks=(), target="x" * 5000), 422, "link target"),
        (Manifest(entries=(*one_file("a").entries, *one_file("b", type="dir").entries)), 422, "size that cannot be"),
        (one_file("a", type="dir", size_bytes=0, chunks=()), 422, "empty"),
        (Manifest(entries=()), 422, "empty"),
        (Manifest(version=2, entries=one_file().entries), 422, "version 2"),
        (Manifest(entries=(*one_file("a").entries, *one_file("a").entries)), 422, "twice"),
        (Manifest(entries=(*one_file("a").entries, *one_file("a/b").entries)), 422, "no directory"),
        (Manifest(entries=(*one_file("a").entries, *one_file("b", size_bytes=2).entries)), 422, "another length"),
    ],
)
async def test_a_manifest_that_cannot_be_is_refused_with_its_entry(work: AtWork, manifest, status, said):
    wish = {"owner": "user:ada", "manifest": manifest.model_dump(mode="json")}

    answer = await work.ask("POST", "snapshots", json=wish)

    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]


@pytest.mark.fault(70)
@pytest.mark.parametrize("place", ['"path": "\\ud800"', '"path": "a", "type": "symlink", "target": "\\udcff"'])
async def test_a_name_that_is_no_utf_8_is_refused(work: AtWork, place):
    entry = place if "type" in place else f'{place}, "type": "file"'
    body = f'{{"owner": "user:ada", "manifest": {{"entries": [{{{entry}}}]}}}}'

    assert (await work.ask("POST", "snapshots", content=body.encode())).status_code == 422


async def test_more_entries_than_a_workspace_may_have_are_refused(tmp_path):
    from service_at_work import at_work

    async with at_work(tmp_path, limits={"entries": 2}) as work:
        many = Manifest(entries=tuple(one_file(f"f{number}").entries[0] for number in range(3)))
        answer = await work.ask(
            "POST", "snapshots", json={"owner": "user:ada", "manifest": many.model_dump(mode="json")}
        )

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.fault(69)
async def test_a_strangers_snapshot_and_one_that_is_not_there_are_the_same(work: AtWork):
    snapshot = await opened(work, manifest_of(b"right"))
    nothing = "a" * 12

    for who in ("eve", "bob"):
        for method, part in (("PUT", "contents"), ("POST", "commit")):
            strange = await work.ask(method, f"snapshots/{snapshot['id']}/{part}", who)
            absent = await work.ask(method, f"snapshots/{nothing}/{part}", who)
            assert strange.status_code == absent.status_code == 404
            assert strange.text.replace(str(snapshot["id"]), nothing) == absent.text


async def test_a_job_runs_only_what_its_submitter_may_see_and_is_complete(work: AtWork, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a").write_text("a")
    mine = await work.send(tmp_path / "code")
    teams = await work.send(tmp_path / "code", owner="team:nlp")
    half = await opened(work, manifest_of(b"never sent"))

    async def submit(who: str, snapshot: object) -> int:
        wish = {"project": "x", "command": "true", "snapshot": snapshot}
        return (await work.ask("POST", "jobs", who, json=wish)).status_code

    assert await submit("ada", mine) == await submit("bob", teams) == 201
    assert await submit("eve", mine) == await submit("eve", teams) == await submit("eve", "a" * 12) == 404
    assert await submit("ada", half["id"]) == 409
    assert await submit("ada", "../..") == 404


@pytest.mark.fault(78)
async def test_a_full_disk_is_told_with_507_and_nothing_is_kept_half(work: AtWork, monkeypatch):
    snapshot = await opened(work, manifest_of(b"right"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("himalia_jobs.contents.settling.os.fsync", full)
    answer = await work.ask("PUT", f"snapshots/{snapshot['id']}/contents", content=packed_of(b"right"))
    monkeypatch.undo()

    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "disk_full")
    assert drafts(work) == []
    assert (await work.ask("PUT", f"snapshots/{snapshot['id']}/contents", content=packed_of(b"right"))).is_success


@pytest.mark.fault(78)
@pytest.mark.parametrize(
    ("room", "said"),
    [
        (Room(free_bytes=GiB + 3, free_files=None), "The data disk has 1.0 GB left; 1.0 GB are kept free."),
        (Room(free_bytes=2**40, free_files=9_999), "room for 9,999 more files only"),
    ],
)
async def test_an_upload_that_would_take_of_the_reserve_is_told_with_507_and_works_when_there_is_room(
    work: AtWork, monkeypatch, room, said
):
    snapshot = await opened(work, manifest_of(b"right"))
    monkeypatch.setattr("himalia_jobs.disk.reserve.room_on", lambda data: room)

    answer = await work.ask("PUT", f"snapshots/{snapshot['id']}/contents", content=packed_of(b"right"))
    monkeypatch.undo()

    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "disk_full")
    assert said in answer.json()["error"]["message"]
    assert drafts(work) == []
    assert (await work.ask("PUT", f"snapshots/{snapshot['id']}/contents", content=packed_of(b"right"))).is_success


async def test_the_files_as_submitted_come_back_and_nothing_else_of_the_host(work: AtWork, tmp_path):
    code = tmp_path / "code"
    (code / "pkg").mkdir(parents=True)
    (code / "pkg" / "größe.py").write_text("print(1)")
    (code / "link").symlink_to("/etc/passwd")
    (code / "up").symlink_to("..")
    job = await work.submit(snapshot=await work.send(code))

    served = await work.ask("GET", f"jobs/{job['id']}/files/pkg/gr%C3%B6%C3%9Fe.py")
    assert served.text == "print(1)"
    assert served.headers["Content-Disposition"].endswith("filename*=UTF-8''gr%C3%B6%C3%9Fe.py")
    for path in ("link", "up/etc/passwd", "pkg", "%2e%2e", "%2e%2e/manifest.json", "pkg/%2e%2e/pkg", "a%00b", "none"):
        assert (await work.ask("GET", f"jobs/{job['id']}/files/{path}")).status_code == 404, path
    empty = await work.submit()
    assert (await work.ask("GET", f"jobs/{empty['id']}/files/a")).status_code == 404


@pytest.mark.fault(94)
@pytest.mark.parametrize("place", [0, 450, 999])
async def test_of_a_long_list_the_entry_that_is_wrong_is_named(work: AtWork, place):
    files = [one_file(f"f{number}").entries[0].model_dump(mode="json") for number in range(1000)]
    files[place]["size_bytes"] = "many"

    answer = await work.ask("POST", "snapshots", json={"owner": "user:ada", "manifest": {"entries": files}})

    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (
        422,
        [f"manifest.entries.{place}.size_bytes"],
    )
