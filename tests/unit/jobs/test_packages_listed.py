"""What an attempt could import: the image's packages, the person's before them, by the names of directories alone."""

from __future__ import annotations

import pytest

from himalia_jobs.engines.base import LaunchSpec, StorageMount
from himalia_jobs.engines.packages import NAME, ImagePackages, write_list
from himalia_jobs.layout import DataLayout

OWNER = "a" * 12
ATTEMPT = "b" * 12 + ".1"
SITE = "lib/python3.11/site-packages"
IMAGE = ImagePackages(packages={"numpy": "1.0", "Scikit_Learn": "1.5"}, base="/storage/.himalia/python/key", site=SITE)


@pytest.fixture
def layout(tmp_path) -> DataLayout:
    """A data directory with an attempt."""
    layout = DataLayout(data=tmp_path)
    layout.attempt(ATTEMPT).mkdir(parents=True)
    return layout


def listed(layout: DataLayout, **env: str) -> list[str]:
    """Write the list of an attempt and return it, without its head."""
    spec = LaunchSpec(
        attempt=ATTEMPT,
        job_id="b" * 12,
        owner="user:ada",
        user="ada",
        lease_id="l",
        image_id="sha256:1",
        argv=("true",),
        env=env,
        cpus=1,
        memory_bytes=1,
        mounts=(StorageMount(kind="storage", name=OWNER, target="/storage"),),
    )
    write_list(layout, spec, IMAGE)
    return [line for line in (layout.attempt(ATTEMPT) / NAME).read_text().splitlines() if not line.startswith("#")]


def added(layout: DataLayout, *names: str):
    """Put directories where pip puts what a person installs; return that place."""
    place = layout.storage(OWNER) / ".himalia/python/key" / SITE
    for name in names:
        (place / name).mkdir(parents=True)
    return place


def test_an_image_alone_is_listed_sorted(layout):
    assert listed(layout) == ["numpy==1.0", "Scikit_Learn==1.5"]


def test_what_a_person_added_comes_before_what_the_image_has(layout):
    added(layout, "scikit_learn-1.6.dist-info", "my_tool-0.1+local.dist-info", "old-2.egg-info", "numpy", "__pycache__")

    assert listed(layout) == ["my-tool==0.1+local", "numpy==1.0", "old==2", "scikit-learn==1.6"]
    assert listed(layout, PYTHONNOUSERSITE="1") == ["numpy==1.0", "Scikit_Learn==1.5"]


def test_another_base_of_the_jobs_own_is_looked_into(layout):
    place = layout.storage(OWNER) / "mine" / SITE / "torch-3.0.dist-info"
    place.mkdir(parents=True)

    assert "torch==3.0" in listed(layout, PYTHONUSERBASE="/storage/mine")
    assert "torch==3.0" not in listed(layout, PYTHONUSERBASE="/elsewhere")
    assert "torch==3.0" not in listed(layout, PYTHONUSERBASE="/storage/../storage/mine")


def test_no_link_is_followed_and_no_odd_name_gets_a_line(layout, tmp_path):
    place = added(layout, "fine-1.dist-info", "two\nlines-1.dist-info", "-1.dist-info", "a b-1.dist-info")
    (tmp_path / "secrets" / "spy-1.dist-info").mkdir(parents=True)
    assert "fine==1" in listed(layout)

    place.rename(place.parent / "moved")
    place.symlink_to(tmp_path / "secrets")

    assert listed(layout) == ["numpy==1.0", "Scikit_Learn==1.5"]


def test_a_job_that_was_deleted_meanwhile_stays_deleted(layout):
    layout.attempt(ATTEMPT).rmdir()

    with pytest.raises(FileNotFoundError):
        listed(layout)

    assert not layout.attempt(ATTEMPT).exists()
