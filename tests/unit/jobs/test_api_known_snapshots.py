"""Snapshots over HTTP: a slow way is spared, and what is there already is found by its digest alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from blake3 import blake3
from service_at_work import AtWork

from himalia.snapshot import Packed, pack, scan
from himalia.snapshot.wire import can_squeeze

pytestmark = pytest.mark.asyncio


def packed_of(folder: Path, content: bytes) -> Packed:
    """Return a directory with one file, packed."""
    folder.mkdir()
    (folder / "a").write_bytes(content)
    return pack(scan(folder))


async def opened(work: AtWork, packed: Packed, **options: object) -> dict[str, object]:
    """Open a snapshot."""
    wish = {"owner": "user:ada", "manifest": packed.manifest.model_dump(mode="json")}
    return dict((await work.ask("POST", "snapshots", json=wish, **options)).json())


BY_PROXY = {"X-Forwarded-For": "192.0.2.7"}  #: what the proxy adds


async def test_who_comes_through_the_proxy_is_told_to_squeeze_and_where_to_send(tmp_path):
    from service_at_work import at_work

    async with at_work(tmp_path / "data", platform={"upload_url": "https://upload.example.org/"}) as work:
        code = packed_of(tmp_path / "code", b"right")
        far, near = await opened(work, code, headers=BY_PROXY), await opened(work, code)

    assert (far["squeeze"], far["upload_url"]) == (can_squeeze(), "https://upload.example.org/services/jobs/api")
    assert (near["squeeze"], near["upload_url"]) == (False, None)


@pytest.mark.parametrize(("headers", "waited"), [(BY_PROXY, 1_000_080), ({}, 0)])
async def test_only_what_comes_through_the_proxy_is_held_back(work: AtWork, tmp_path, monkeypatch, headers, waited):
    code, counted = packed_of(tmp_path / "code", os.urandom(1_000_000)), []
    snapshot = await opened(work, code)

    async def wait(count: int) -> None:
        counted.append(count)

    monkeypatch.setattr(work.service.proxied_uploads, "wait", wait)
    stream = b"".join(code.stream(code.sources))
    answer = await work.ask("PUT", f"snapshots/{snapshot['id']}/contents", content=stream, headers=headers)

    assert answer.json()["missing"] == []
    assert sum(counted) == waited


async def test_a_snapshot_of_which_all_is_there_is_found_by_its_digest_alone(work: AtWork, tmp_path):
    digest = packed_of(tmp_path / "code", b"a").digest
    first = await work.send(tmp_path / "code")
    teams = await work.send(tmp_path / "code", owner="team:nlp")

    mine = await work.ask("POST", "snapshots", json={"owner": "user:ada", "digest": digest})
    bobs = await work.ask("POST", "snapshots", "bob", json={"owner": "team:nlp", "digest": digest})

    assert (mine.status_code, mine.json()["id"], mine.json()["missing"]) == (201, first, [])
    assert bobs.json()["committed"] and bobs.json()["id"] != teams
    assert (await work.submit("bob", snapshot=bobs.json()["id"], owner="team:nlp"))["snapshot"] == bobs.json()["id"]


@pytest.mark.fault(69)
async def test_a_digest_of_somebody_elses_snapshot_is_one_that_is_not_there(work: AtWork, tmp_path):
    digest = packed_of(tmp_path / "code", b"a").digest
    await work.send(tmp_path / "code")

    strange = await work.ask("POST", "snapshots", "eve", json={"owner": "user:eve", "digest": digest})
    absent = await work.ask("POST", "snapshots", "eve", json={"owner": "user:eve", "digest": "0" * 64})

    assert strange.status_code == absent.status_code == 404
    assert strange.text.replace(digest[:12], "0" * 12) == absent.text


async def test_a_digest_is_not_enough_for_what_was_never_committed_or_has_lost_a_content(work: AtWork, tmp_path):
    code = packed_of(tmp_path / "code", b"a")
    half = await opened(work, packed_of(tmp_path / "half", b"never sent"))
    await work.send(tmp_path / "code")
    wish = {"owner": "user:ada", "digest": code.digest}

    assert (await work.ask("POST", "snapshots", json=wish)).is_success
    (lost,) = (tmp_path / "data" / "blobs").glob(f"*/*/{blake3(b'a').hexdigest()}")
    lost.unlink()
    assert (await work.ask("POST", "snapshots", json=wish)).status_code == 404
    wish = {"owner": "user:ada", "digest": half["digest"]}
    assert (await work.ask("POST", "snapshots", json=wish)).status_code == 404


@pytest.mark.parametrize("wish", [{}, {"digest": "../.."}, {"digest": "AB" * 32}, {"digest": "ab" * 31}])
async def test_neither_a_manifest_nor_a_digest_is_refused(work: AtWork, wish):
    answer = await work.ask("POST", "snapshots", json={"owner": "user:ada", **wish})

    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, ["digest"])
