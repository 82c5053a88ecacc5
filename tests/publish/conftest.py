"""Archives to try releases on: made once, copied for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from daxa.archive import git
from daxa.publish.sharing.push import push_releases
from tests.publish.workshop import FIRST, THIRD, Workshop, copy_archive, observation, set_identity


@pytest.fixture(autouse=True, scope="module")
def dvc_that_starts_at_once(quick_dvc):
    """What is published is tried here, and not how DVC starts."""


@pytest.fixture(scope="session")
def finished_once(make_once) -> Path:
    """An archive with two XMM and one NuSTAR observations, processed and recorded, never released."""

    def make(place: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            set_identity(patch)
            workshop = Workshop(place / "a907")
            workshop.generate(["xmm", "nustar"], str(place / "remote"))
            workshop.choose("xmm", [observation(FIRST), observation(THIRD)])
            workshop.choose("nustar", [observation("30101031002") | {"instruments": "FPMA,FPMB"}])
            git.initialise(workshop.layout.root)
            git.commit(workshop.layout.root, ["."], "Choose")
            workshop.process("xmm", [FIRST, THIRD])
            workshop.process("nustar", ["30101031002"])
            workshop.record()

    return make_once("workshop", make)


@pytest.fixture(scope="session")
def released_once(finished_once, make_once) -> Path:
    """The finished archive, released as v1.0.0 and pushed."""

    def make(place: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            set_identity(patch)
            workshop = copy_archive(finished_once, place)
            workshop.release("first data release")
            push_releases(workshop.layout)

    return make_once("workshop-released", make)


@pytest.fixture
def finished(finished_once, tmp_path, identity) -> Workshop:
    """A copy of the finished archive."""
    return copy_archive(finished_once, tmp_path)


@pytest.fixture
def released(released_once, tmp_path, identity) -> Workshop:
    """A copy of the released archive, with a remote of its own."""
    return copy_archive(released_once, tmp_path)
