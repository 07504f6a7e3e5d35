"""Trees: laid out whole or not at all, and nothing outside of them is touched, whatever a manifest says."""

from __future__ import annotations

import os
import resource
import threading
from typing import Any

import pytest
from blake3 import blake3
from sent_files import OWNER, take

from himalia.errors import DiskFull
from himalia.models import Entry, Manifest
from himalia_jobs.contents import ContentStore
from himalia_jobs.contents.trees import make_tree


@pytest.fixture
def code(tmp_path):
    """A directory to send."""
    folder = tmp_path / "code"
    (folder / "pkg").mkdir(parents=True)
    (folder / "train.py").write_text("print(1)")
    (folder / "pkg" / "same").write_text("print(1)")
    return folder


@pytest.fixture
def store(tmp_path):
    """An empty store."""
    return ContentStore(tmp_path / "data")


def entry(path: str, type: str = "file", **more: Any) -> Entry:
    """Return an entry of a manifest."""
    return Entry.model_validate({"path": path, "type": type} | more)


def test_no_manifest_makes_anything_outside_its_tree(tmp_path):
    """The service refuses such manifests before; what makes trees does not rely on it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "blobs").mkdir()

    for entries in (
        [entry("link", "symlink", target=str(outside)), entry("link/file")],
        [entry("link", "symlink", target=str(outside)), entry("link/folder", "dir")],
        [entry("link", "symlink", target="../../outside"), entry("link/file")],
        [
            entry("a", "dir"),
            entry("a/link", "symlink", target=str(outside)),
            entry("a/link/b/c", "symlink", target="x"),
        ],
        [entry("file", "symlink", target=str(outside / "file")), entry("file")],
        [entry("a"), entry("a", "symlink", target=str(outside))],
    ):
        with pytest.raises(OSError, match="."):
            make_tree(Manifest(entries=tuple(entries)), tmp_path / "blobs", tmp_path / "tree", tmp_path / "drafts")

    assert list(outside.iterdir()) == []
    assert not (tmp_path / "tree").exists()
    assert list((tmp_path / "drafts").iterdir()) == []


def test_a_stored_content_that_became_a_link_is_not_read(store, code, tmp_path):
    digest = take(store, code)
    content = blake3(b"print(1)").hexdigest()
    secret = tmp_path / "secret"
    secret.write_text("rooted!!")  # as long
    blob = tmp_path / "data" / "blobs" / OWNER / content[:2] / content
    blob.unlink()
    blob.symlink_to(secret)

    with pytest.raises(OSError, match="symbolic links"):
        store.materialize(OWNER, digest)


@pytest.mark.fault(70)
def test_names_that_differ_in_case_or_in_unicode_form_alone_stay_apart(store, tmp_path):
    twins = {
        "caf\u00e9": "composed",
        "cafe\u0301": "decomposed",
        "Caf\u00e9": "upper",
        "\u212b": "a",
        "\u00c5": "b",
        "A\u030a": "c",
    }
    folder = tmp_path / "twins"
    folder.mkdir()
    for name, content in twins.items():
        (folder / name).write_text(content)

    tree = store.materialize(OWNER, take(store, folder))

    assert {path.name: path.read_text() for path in tree.iterdir()} == twins


def test_a_tree_as_deep_as_one_may_be_needs_few_descriptors(store, tmp_path):
    folder = tmp_path / "deep"
    deepest = folder.joinpath(*"d" * 190)
    deepest.mkdir(parents=True)
    (deepest / "file").write_text("down here")
    digest = take(store, folder)
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)

    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, most))
    try:
        tree = store.materialize(OWNER, digest)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))

    assert (tree.joinpath(*"d" * 190) / "file").read_text() == "down here"


@pytest.mark.fault(78)
def test_a_tree_that_cannot_be_finished_is_not_there_and_can_be_made_later(store, code, monkeypatch, tmp_path):
    digest = take(store, code)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("himalia_jobs.contents.trees.os.copy_file_range", full)
    with pytest.raises(OSError, match="No space"):
        store.materialize(OWNER, digest)
    with pytest.raises(DiskFull):
        store.open_file(OWNER, digest, "train.py")
    monkeypatch.undo()

    assert not list((tmp_path / "data").rglob("tree*"))
    assert (store.materialize(OWNER, digest) / "pkg" / "same").read_text() == "print(1)"


def test_ten_who_need_one_tree_at_once_get_the_same(store, code):
    digest = take(store, code)
    found: list[int] = []

    threads = [
        threading.Thread(target=lambda: found.append(store.materialize(OWNER, digest).stat().st_ino)) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 10
    assert len(set(found)) == 1
