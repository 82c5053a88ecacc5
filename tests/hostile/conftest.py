"""A genuine archive, and a directory with a copy of it beside what is the reader's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from daxa.archive import git
from tests.hostile.attacks import MISSION
from tests.publish.workshop import FIRST, SECOND, Workshop, observation, set_identity


@pytest.fixture(scope="session")
def genuine(tmp_path_factory) -> Path:
    """An archive of two observations, processed and tagged; its lock says little, since no DVC is asked."""
    place = tmp_path_factory.mktemp("genuine")
    with pytest.MonkeyPatch.context() as patch:
        set_identity(patch)
        workshop = Workshop(place / "a907")
        workshop.generate([MISSION], "")
        workshop.choose(MISSION, [observation(FIRST), observation(SECOND)])
        workshop.process(MISSION, [FIRST, SECOND])
        layout = workshop.layout
        shutil.copy(layout.ledger(MISSION, "fetch"), layout.root / "x.parquet")
        layout.upstream(MISSION).parent.mkdir()
        (layout.root / "x.parquet").unlink()
        _write_upstream(layout.upstream(MISSION))
        layout.lock.write_text("schema: '2.0'\nstages:\n  collect:\n    cmd: exec daxa stage collect\n")
        layout.metrics.write_text("{}\n")
        layout.report.mkdir()
        (layout.report / "index.html").write_text("<p>\n")
        git.initialise(layout.root)
        git.commit(layout.root, ["."], "first")
        git.create_tag(layout.root, "v1.0.0", "first")
    return layout.root


def _write_upstream(path: Path) -> None:
    import pyarrow as pa

    from daxa.parquet import write_parquet

    names = ("obs_id", "path", "url", "size", "sha256", "etag", "last_modified", "retrieved")
    values = {name: [0] if name == "size" else [FIRST if name == "obs_id" else ""] for name in names}
    write_parquet(path, pa.table(values).replace_schema_metadata({"daxa.origin": "{}"}))


@pytest.fixture
def place(genuine, tmp_path, identity, monkeypatch) -> Path:
    """A directory with a copy of the archive, and beside it what is the reader's own."""
    shutil.copytree(genuine, tmp_path / "clone", symlinks=True)
    outside = tmp_path / "outside"
    (outside / "thesis").mkdir(parents=True)
    (outside / "thesis" / "chapter1.tex").write_text("chapter\n")
    (outside / "keys").write_text("SECRET-OF-THE-READER\n")
    (outside / "sample.csv").write_text("name,ra,dec\na,149.6,-11.06\n")
    (tmp_path / "own").mkdir()
    for name in ("CACHE", "STORE"):
        monkeypatch.setenv(f"DAXA_{name}", str(tmp_path / "own" / name.lower()))
    monkeypatch.setenv("DAXA_CONFIG", str(tmp_path / "own" / "none.toml"))
    monkeypatch.setenv("HOME", str(tmp_path / "own"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "own"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "own"))
    # No service is there: a second attempt would only take its time.
    monkeypatch.setattr("daxa.query.tables.exchange._TRIES", 1)
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path
