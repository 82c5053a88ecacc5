"""One archive, made once: released, pushed, and run again since; every test damages a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from daxa.archive import git
from daxa.publish.sharing.push import push_releases
from tests.publish.workshop import FIRST, THIRD, Workshop, copy_archive, observation, set_identity

NUSTAR = "30101031002"


@pytest.fixture(autouse=True, scope="module")
def dvc_that_starts_at_once(quick_dvc):
    """Damage is found and repaired here, however DVC starts."""


@pytest.fixture(scope="session")
def bases(make_once) -> dict[str, Path]:
    """``released``: v1.0.0, pushed.  ``news``: the same with one observation processed anew."""

    def make(place: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            set_identity(patch)
            workshop = Workshop(place / "released" / "a907")
            workshop.generate(["xmm", "nustar"], str(place / "released" / "remote"))
            workshop.choose("xmm", [observation(FIRST), observation(THIRD)])
            workshop.choose("nustar", [observation(NUSTAR) | {"instruments": "FPMA,FPMB"}])
            for mission in ("xmm", "nustar"):
                path = workshop.layout.upstream(mission)
                path.parent.mkdir(exist_ok=True)
                pd.DataFrame({"obs_id": [mission], "url": ["https://example.org"]}).to_parquet(path)
            git.initialise(workshop.layout.root)
            git.commit(workshop.layout.root, ["."], "Choose")
            workshop.process("xmm", [FIRST, THIRD])
            workshop.process("nustar", [NUSTAR])
            workshop.record()
            workshop.release("first")
            push_releases(workshop.layout)
            newer = copy_archive(place / "released", place / "news")
            newer.process("xmm", [FIRST, THIRD], salts={THIRD: "anew"})
            newer.record()

    place = make_once("damage", make)
    return {name: place / name for name in ("released", "news")}


@pytest.fixture
def released(bases, tmp_path, identity) -> Workshop:
    return copy_archive(bases["released"], tmp_path)


@pytest.fixture
def news(bases, tmp_path, identity) -> Workshop:
    return copy_archive(bases["news"], tmp_path)


@pytest.fixture
def stranger(released, tmp_path) -> Workshop:
    """A clone with an empty cache, which shares the remote."""
    place = tmp_path / "clone"
    git.clone(str(released.layout.root), place, "v1.0.0")
    shutil.copy(released.layout.root / ".dvc" / "config.local", place / ".dvc" / "config.local")
    return Workshop(place)
