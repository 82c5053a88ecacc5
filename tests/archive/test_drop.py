"""Observations and missions leave an archive as a whole or not at all, and take along what is theirs alone."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tomllib
from pathlib import Path

import pytest

import daxa
from daxa.archive import git
from daxa.archive.config import load_config
from daxa.archive.drop import _without, plan_drop, plan_mission_drop
from daxa.archive.gate import enter_archive
from daxa.archive.layout import STEPS, Layout
from daxa.archive.locktext import without_stages
from daxa.archive.upstream import row_ids
from daxa.errors import ArchiveError, CriteriaError, DataError
from daxa.missions import find_mission
from daxa.query import read_criteria
from daxa.run.ledger import read_ledger
from daxa.selection.selection_file import read_selection
from tests.publish.workshop import FIRST, SECOND, Workshop, observation, set_identity

NUSTAR = "30101031002"
_OWN = ("params", "selection", "ledger", "upstream")


def lock_text() -> str:
    """Stages as DVC writes them, one with a text of several lines."""
    stages = [f"{step}-{mission}" for mission in ("xmm", "nustar") for step in STEPS]
    regions = "    params:\n      params/x.toml:\n        regions: |\n          fk5\n\n          circle\n"
    entry = f"    cmd: exec daxa stage\n{regions}"
    return "schema: '2.0'\nstages:\n" + "".join(f"  {stage}:\n{entry}" for stage in [*stages, "collect"])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """An archive of two missions, committed and tagged; never to be changed."""
    import pyarrow as pa

    from daxa.parquet import write_parquet

    origin = {"service": "s", "table": "t", "query": "q", "time": "2026-01-01", "rows": 2, "digest": "0" * 64}
    with pytest.MonkeyPatch.context() as patch:
        set_identity(patch)
        workshop = Workshop(tmp_path_factory.mktemp("made") / "a907")
        layout = workshop.layout
        workshop.generate(["xmm", "nustar"], "")
        for mission, ids in (("xmm", [FIRST, SECOND]), ("nustar", [NUSTAR])):
            workshop.choose(
                mission, [observation(one) | {"instruments": "M1" if mission == "xmm" else "FPMA"} for one in ids]
            )
            workshop.process(mission, ids)
            names = ("obs_id", "path", "url", "sha256", "etag", "last_modified", "retrieved")
            table = {name: ["" for _ in ids] for name in names} | {"obs_id": ids, "url": [f"row:{one}" for one in ids]}
            table = pa.table(
                {"obs_id": table["obs_id"], "path": table["path"], "url": table["url"], "size": [0 for _ in ids]}
                | {name: table[name] for name in names[3:]}
            )
            from daxa.run.task import canonical

            layout.upstream(mission).parent.mkdir(exist_ok=True)
            write_parquet(layout.upstream(mission), table.replace_schema_metadata({"daxa.origin": canonical(origin)}))
        text = layout.params("xmm").read_text()
        layout.params("xmm").write_text(f'{text}\n# for a reason\n[clean.obs."{SECOND}"]\nflares = "none"\n')
        layout.lock.write_text(lock_text())
        git.initialise(layout.root)
        git.commit(layout.root, ["."], "first")
    return layout.root


@pytest.fixture
def layout(made, tmp_path, identity) -> Layout:
    return Layout(shutil.copytree(made, tmp_path / "a907", symlinks=True))


def contents(root: Path) -> dict[str, bytes]:
    """All but Git's own and daxa's private files."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".git/" not in path.as_posix()
    }


def test_an_observation_is_dropped_with_its_override_and_its_row(layout, monkeypatch):
    monkeypatch.setattr(
        "daxa.query.tables.snapshot.take_snapshot", lambda *_, **__: pytest.fail("no service is queried")
    )
    plan = plan_drop(layout, {"xmm": {SECOND}})
    assert plan.removed == {"xmm": (SECOND,)}
    assert plan.missions[0].overrides == (("clean", SECOND),)
    assert plan.apply()
    assert read_selection(layout.selection("xmm"))["obs_id"].tolist() == [FIRST]
    assert list(row_ids(layout.upstream("xmm"))) == [FIRST]
    assert "for a reason" not in layout.params("xmm").read_text()
    config = load_config(layout)
    assert read_criteria(find_mission("xmm"), config.missions["xmm"]) == plan.missions[0].selection.criteria
    assert SECOND in str(config.missions["xmm"])
    assert read_ledger(layout.ledger("xmm", "clean")).keys() == {FIRST, SECOND}, "the next run removes its products"
    assert git.changes(layout.root) == []
    with pytest.raises(ArchiveError, match="no observation of xmm would be left") as caught:
        plan_drop(layout, {"xmm": {FIRST}})
    assert "`daxa drop xmm`" in caught.value.remedy


@pytest.mark.parametrize("storage", ["", "[storage]\nshards = 1\n", '[storage.fetched.xmm]\n"0900000101" = "cached"\n'])
def test_a_mission_is_dropped_with_what_is_kept_of_its_files(tmp_path, storage):
    path = tmp_path / "daxa.toml"
    path.write_text(f'name = "a"  # ours\n{storage}[storage.fetched.nustar]\n"90900001002" = "cached"\n')
    written = _without(path, ["nustar"], ("missions",), ("storage", "fetched"))
    assert written == f'name = "a"  # ours\n{storage}'


def test_a_mission_is_dropped_with_everything_that_belongs_to_it(layout):
    before = contents(layout.root)
    plan = plan_mission_drop(layout, ["nustar"])
    with plan.preview() as there:
        assert list(load_config(there).missions) == ["xmm"]
    assert contents(layout.root) == before
    assert plan.apply()
    config = load_config(layout)
    assert list(config.missions) == ["xmm"]
    assert "nustar" not in tomllib.loads(layout.software.read_text())
    after = contents(layout.root)
    assert not [path for path in after if "nustar" in path]
    gone = [*(f"{one}-nustar" for one in STEPS), "collect"]  # The summary names missions, and is made again.
    assert layout.lock.read_text() == without_stages(before["dvc.lock"].decode(), gone)
    assert "  events-xmm:\n" in layout.lock.read_text()
    same = [path for path in before if "nustar" not in path and path not in ("daxa.toml", "software.toml", "dvc.yaml")]
    others = {"dvc.lock", "README.md", "CITATION.cff", ".zenodo.json"}
    assert {path for path in same if after[path] != before[path]} <= others
    assert git.changes(layout.root) == []
    assert daxa.open(layout.root, acting=True).root == layout.root, "the gate finds nothing foreign"
    with pytest.raises(CriteriaError, match="at least one mission"):
        plan_mission_drop(layout, ["xmm"])


def test_what_somebody_put_among_the_products_keeps_the_mission(layout):
    stray = layout.products("nustar", "clean") / NUSTAR / "thesis.txt"
    stray.write_text("mine")
    before = contents(layout.root)
    with pytest.raises(ArchiveError, match=r"thesis\.txt"):
        plan_mission_drop(layout, ["nustar"]).apply()
    assert contents(layout.root) == before
    stray.unlink()
    layout.config.write_text(layout.config.read_text() + "\n# mine\n")
    with pytest.raises(ArchiveError, match="uncommitted"):
        plan_mission_drop(layout, ["nustar"]).apply()


def test_a_mission_dropped_with_a_kill_at_any_moment_is_dropped_or_not(layout, tmp_path, made):
    plan_mission_drop(layout, ["nustar"]).apply()
    expected, before = contents(layout.root), contents(made)
    killed = unchanged = 0
    for at in range(1, 200):
        place = Layout(shutil.copytree(made, tmp_path / str(at), symlinks=True))
        if not dies_before(place, at):
            break
        killed += 1
        enter_archive(place)  # As every verb that acts begins.
        if contents(place.root) == before:
            unchanged += 1
            plan_mission_drop(place, ["nustar"]).apply()
        assert contents(place.root) == expected, at
        assert git.changes(place.root) == [], at
        shutil.rmtree(place.root)
    assert killed > 10
    assert 0 < unchanged < killed


def dies_before(layout: Layout, at: int) -> bool:
    """Drop the mission in a child that dies just before its rename or removal number `at`; whether it did."""
    if not (child := os.fork()):
        left = [at]

        def watch(event: str, arguments: tuple) -> None:
            own = event == "os.remove" and Path(os.fsdecode(arguments[0])).parent.name in _OWN
            if event == "os.rename" or own:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            plan_mission_drop(layout, ["nustar"]).apply()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) < 0


@pytest.mark.parametrize("text", ["", "[1]", "stages: 5\n", "a: [\n", "stages:\n- a\n"])
def test_a_lock_that_is_not_of_dvc_is_refused(text):
    with pytest.raises(DataError, match=r"dvc\.lock"):
        without_stages(text, ["a"])


def test_a_lock_without_stages_is_one():
    text = without_stages(lock_text(), [*(f"{step}-{one}" for one in ("xmm", "nustar") for step in STEPS), "collect"])
    assert text == "schema: '2.0'\nstages: {}\n"
