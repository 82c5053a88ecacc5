"""``daxa select`` and ``daxa update``: what changes in an archive, and that it changes as a whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from astropy.table import Table
from filelock import FileLock
from mocpy import MOC

import daxa
from daxa.archive import git
from daxa.archive.layout import Layout
from daxa.archive.upstream import read_origin, row_ids
from daxa.cli import main
from daxa.errors import ArchiveError, CriteriaError
from daxa.query import read_criteria
from daxa.selection import read_selection, read_selection_metadata
from daxa.simulator import Observatory
from daxa.simulator.tap import TableService
from tests.query.rows import NUSTAR, XMM

KNOWN = {"status": "archived", "data_in_heasarc": "Y"}
FIRST, SECOND, THIRD, FAR = "0404910601", "0201901401", "0900000089", "0012345678"
ROWS = {
    FIRST: XMM | KNOWN,
    SECOND: XMM | KNOWN | {"obsid": SECOND, "__row": "9", "time": 53134.67, "end_time": 53134.85},
    THIRD: XMM | KNOWN | {"obsid": THIRD, "__row": "10", "time": 54134.67, "end_time": 54134.85},
    FAR: XMM | KNOWN | {"obsid": FAR, "__row": "11", "ra": 10.0, "dec": 20.0},
}
NEAR_IN_NUSTAR = NUSTAR | KNOWN | {
    "ra": 149.59,
    "dec": -11.06,
    "observation_mode": "SCIENCE",
    "spacecraft_mode": "INERTIAL",
    "ontime_a": 40000.0,
    "ontime_b": 40000.0,
}  # fmt: skip
PLACE = ("--position", "149.5916,-11.0638")


def tables(*obs_ids: str, **changes: object) -> dict[str, list]:
    return {"xmmmaster": [ROWS[obs_id] | changes for obs_id in obs_ids], "numaster": [NEAR_IN_NUSTAR]}


@pytest.fixture
def observatory(tmp_path, monkeypatch, identity):
    names = {"Abell 907": (149.5916, -11.0638)}
    with Observatory(tmp_path, tables(FIRST, SECOND, FAR), names) as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DAXA_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("DAXA_CONFIG", str(tmp_path / "none.toml"))
        yield server


@pytest.fixture
def archive(tmp_path, observatory, monkeypatch, capsys) -> Layout:
    """An archive of the two XMM observations of Abell 907."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", "a907", "--mission", "xmm", "--target", "Abell 907"]) == 0
    capsys.readouterr()
    monkeypatch.chdir(tmp_path / "a907")
    return Layout(tmp_path / "a907")


def serve(observatory: Observatory, served: dict[str, list]) -> None:
    observatory.service.close()
    observatory.service = TableService(served)


def ids(layout: Layout, mission: str = "xmm") -> list[str]:
    return read_selection(layout.selection(mission))["obs_id"].tolist()


def committed(layout: Layout) -> list[str]:
    """Paths of the last commit."""
    told = ("git", "show", "--name-only", "--format=", "HEAD")
    return subprocess.run(told, cwd=layout.root, capture_output=True, text=True, check=True).stdout.split()


def commits(layout: Layout) -> int:
    told = ("git", "rev-list", "--count", "HEAD")
    return int(subprocess.run(told, cwd=layout.root, capture_output=True, text=True, check=True).stdout)


def replays(layout: Layout, mission: str) -> bool:
    """Whether the stored criteria give the selection, on the table whose digest is stored."""
    config = daxa.open(layout.root).config
    asked = daxa.Mission(mission, criteria=config.missions[mission], offline=True)
    selection = asked.select()
    assert read_origin(layout.upstream(mission))["digest"] == selection.origin.digest
    assert set(row_ids(layout.upstream(mission))) == set(ids(layout, mission))
    return selection.table.equals(read_selection(layout.selection(mission)))


def test_an_unchanged_selection_is_reported_and_makes_no_commit(archive, capsys):
    before = {
        path: path.read_bytes() for path in archive.root.rglob("*") if path.is_file() and ".git/" not in str(path)
    }
    assert main(["select", "--yes"]) == 0
    shown = capsys.readouterr()
    assert "2 -> 2 observations (the same observations)" in shown.out
    assert "nothing changes" in shown.err
    assert main(["update", "--json"]) == 0
    (record,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert record == {
        "mission": "xmm",
        "new": False,
        "before": 2,
        "after": 2,
        "added": [],
        "removed": [],
        "changed": {},
        "criteria_changed": False,
        "overrides_removed": [],
    }
    assert commits(archive) == 1
    assert {path: path.read_bytes() for path in before} == before


def test_an_update_without_anybody_to_ask_shows_all_of_it_and_says_what_accepts_it(
    archive, observatory, capsys, monkeypatch
):
    from daxa.fetch.replaced_files import Replaced
    from daxa.stages import redelivery

    serve(observatory, tables(FIRST, SECOND, THIRD))
    replaced = redelivery.Redelivered("xmm", FIRST, (Replaced("a.FTZ", "withdrawn", old_size=1),))
    found = redelivery.Redelivery(archive.root, (replaced,))
    monkeypatch.setattr(redelivery, "find_redelivered", lambda *args, **options: found)
    assert main(["update", "xmm", "--release", "--message", "more fields"]) == 5
    shown = capsys.readouterr()
    assert f"  + {THIRD}" in shown.out
    assert f"xmm {FIRST}: the archive has replaced 1 of its files" in shown.out
    assert "`daxa update --mission xmm --release --message 'more fields' --yes`" in shown.err
    assert commits(archive) == 1


def test_an_update_adds_what_is_new_and_says_what_changed(archive, observatory, capsys):
    serve(observatory, tables(FIRST, SECOND, THIRD, FAR, duration=25000.0))
    assert main(["select"]) == 0, "the table at hand is used"
    assert main(["update"]) == 5, "nobody is there to ask"
    shown = capsys.readouterr()
    assert f"  + {THIRD}  RXCJ0958-1103" in shown.out
    assert f"  ~ {FIRST}  exposure: 20470 -> 25000" in shown.out
    assert "`daxa update --yes`" in shown.err
    assert ids(archive) == [SECOND, FIRST]
    assert commits(archive) == 1
    assert main(["update", "xmm", "--yes", "--json"]) == 0
    shown = capsys.readouterr()
    (record,) = map(json.loads, shown.out.splitlines())
    assert (record["added"], record["removed"]) == ([THIRD], [])
    assert record["changed"][FIRST] == {"exposure": [20470, 25000]}
    assert "committed as" in shown.err
    assert ids(archive) == [SECOND, FIRST, THIRD]
    assert committed(archive) == ["selection/xmm.parquet", "upstream/xmm.parquet"]
    assert git.changes(archive.root) == []
    assert replays(archive, "xmm")


def test_other_criteria_replace_the_present_ones(archive, capsys):
    config = archive.config.read_text()
    archive.config.write_text(config + "\n# kept\n[services]\n")
    git.commit(archive.root, ["."], "a comment")
    assert main(["select", *PLACE, "--start", "2005-01-01", "--or", "--obsid", FAR, "--yes"]) == 0
    assert f"  - {SECOND}" in capsys.readouterr().out
    assert ids(archive) == [FAR, FIRST]
    assert committed(archive) == ["daxa.toml", "selection/xmm.parquet", "upstream/xmm.parquet"]
    near = daxa.Mission("xmm").filter(position="149.5916,-11.0638", time=("2005-01-01", None)).criteria
    wanted = near | daxa.Mission("xmm").filter(obs_ids=FAR).criteria
    written = tomllib.loads(archive.config.read_text())
    xmm = daxa.Mission("xmm").spec
    assert read_criteria(xmm, written["missions"]["xmm"]) == wanted
    assert written | {"missions": 0} == tomllib.loads(config) | {"missions": 0, "services": {}}
    assert archive.config.read_text().startswith(config.partition("[missions")[0])
    assert json.loads(read_selection_metadata(archive.selection("xmm")).criteria) == wanted.to_plain()
    assert replays(archive, "xmm")


def test_also_joins_criteria_to_the_present_ones(archive):
    assert main(["select", "--also", "--obsid", FAR, "--yes"]) == 0
    assert ids(archive) == [FAR, SECOND, FIRST]
    assert main(["select", "--also", "--obsid", FAR, "--yes"]) == 0
    assert commits(archive) == 2
    assert main(["select", "--also"]) == 3


def test_criteria_that_select_the_same_are_a_commit_of_their_own(archive, capsys):
    assert main(["select", *PLACE, "--yes"]) == 0
    assert "the same observations, criteria changed" in capsys.readouterr().out
    assert committed(archive) == ["daxa.toml"]
    assert replays(archive, "xmm")


def test_a_commit_on_no_branch_is_said(archive, capsys):
    git.checkout(archive.root, "HEAD")
    assert main(["select", "--mission", "xmm", "--target", "Abell 907", "--radius", "20arcmin", "--yes"]) == 0
    assert "`git switch -c NAME`" in capsys.readouterr().err


def test_instruments_that_nothing_processes_are_not_selected(archive, capsys):
    before = commits(archive)
    assert main(["select", "--target", "Abell 907", "--instrument", "R1,OM", "--yes"]) == 8
    assert "the data of XMM-Newton R1, OM cannot be processed yet" in capsys.readouterr().err
    assert commits(archive) == before
    assert main(["select", "--target", "Abell 907", "--instrument", "PN,R1", "--yes"]) == 0


def test_a_new_mission_brings_its_stages_parameters_and_locks(archive, capsys):
    pipeline = archive.pipeline.read_text()
    assert main(["select", "--mission", "nustar", *PLACE, "--yes"]) == 0
    assert "NuSTAR: new, 1 observation (1 added)" in capsys.readouterr().out
    assert ids(archive, "nustar") == ["30101031002"]
    assert ids(archive) == [SECOND, FIRST]
    assert git.changes(archive.root) == []
    assert set(committed(archive)) == {
        *(".zenodo.json", "CITATION.cff", "README.md", "daxa.toml", "dvc.yaml", "software.toml"),
        *("params/nustar.toml", "selection/nustar.parquet", "upstream/nustar.parquet"),
    }
    assert replays(archive, "nustar")
    # The same files as if both had been there from the beginning.
    from daxa.archive.create import mission_answers
    from daxa.archive.template import render
    from daxa.run.steps import OWN_STEPS

    config = daxa.open(archive.root).config
    answers = [
        mission_answers(daxa.Mission(name, criteria=config.missions[name], offline=True).select(), OWN_STEPS)
        for name in ("xmm", "nustar")
    ]
    for path, text in render("a907", answers, creators=config.creators).items():
        if path != "daxa.toml":
            assert (archive.root / path).read_text() == text, path
    kept = pipeline.partition("  collect:")[0]
    assert archive.pipeline.read_text().startswith(kept), "present stages stay as they are"


def test_a_new_mission_needs_conditions_and_a_pipeline_that_is_ours(archive, capsys):
    assert main(["select", "--mission", "nustar"]) == 3
    assert "nustar is not in this archive" in capsys.readouterr().err
    assert main(["select", "--mission", "rxte", *PLACE]) == 8
    archive.pipeline.write_text(archive.pipeline.read_text() + "\n  mine:\n    cmd: 'true'\n")
    assert main(["select", "--mission", "nustar", *PLACE, "--yes"]) == 5
    assert "dvc.yaml is not what daxa renders" in capsys.readouterr().err
    assert commits(archive) == 1


def test_edited_descriptions_are_kept(archive):
    (archive.root / "README.md").write_text("mine\n")
    git.commit(archive.root, ["README.md"], "my own words")
    assert main(["select", "--mission", "nustar", *PLACE, "--yes"]) == 0
    assert (archive.root / "README.md").read_text() == "mine\n"
    assert "README.md" not in committed(archive)


def test_a_criterion_that_selects_nothing_is_an_error(archive, observatory, capsys):
    assert main(["select", "--position", "200,60", "--yes"]) == 3
    serve(observatory, tables(FAR))
    assert main(["update", "--yes"]) == 3
    assert capsys.readouterr().err.count("no observation of XMM-Newton meets") == 2
    assert ids(archive) == [SECOND, FIRST]
    assert commits(archive) == 1


def test_uncommitted_changes_are_not_swept_up(archive, capsys):
    text = archive.config.read_text()
    archive.config.write_text(text + "\n# a thought\n")
    assert main(["select", "--obsid", FAR, "--yes"]) == 5
    assert "uncommitted changes in daxa.toml" in capsys.readouterr().err
    archive.config.write_text(text)
    (archive.root / "notes.txt").write_text("mine")
    subprocess.run(["git", "add", "notes.txt"], cwd=archive.root, check=True)
    assert main(["select", "--obsid", FAR, "--yes"]) == 0
    assert "notes.txt" not in committed(archive)
    assert git.changes(archive.root) == ["notes.txt"]


@pytest.mark.parametrize("what", ["stage", "dvc", "rwlock"])
def test_while_something_runs_nothing_is_written(archive, what, capsys):
    import fcntl

    stage = FileLock(archive.places("xmm", "clean").lock)
    tmp = archive.root / ".dvc" / "tmp"
    tmp.mkdir(parents=True, exist_ok=True)
    Path(stage.lock_file).parent.mkdir(parents=True, exist_ok=True)
    before = ids(archive)
    with (tmp / "lock").open("w") as stream:
        if what == "stage":
            stage.acquire()
        elif what == "dvc":
            fcntl.flock(stream, fcntl.LOCK_EX)
        else:
            held = {"read": {"selection/xmm.parquet": [{"pid": os.getpid(), "cmd": "dvc repro"}]}}
            (tmp / "rwlock").write_text(json.dumps(held))
        assert main(["select", "--obsid", FAR, "--yes"]) == 5
        assert "-> wait" in capsys.readouterr().err
    assert ids(archive) == before
    assert not archive.accepted.exists()
    assert commits(archive) == 1
    stage.release()
    (tmp / "rwlock").write_text("{}")
    assert main(["select", "--obsid", FAR, "--yes"]) == 0
    assert ids(archive) == [FAR]


def test_offline_an_update_is_an_error_with_a_remedy(archive, monkeypatch, capsys):
    monkeypatch.setenv("DAXA_OFFLINE", "1")
    assert main(["update", "--yes"]) == 3
    shown = capsys.readouterr().err
    assert "an update needs the network" in shown
    assert "daxa select" in shown
    assert main(["select"]) == 0


def test_from_python_a_plan_is_a_value_until_it_is_applied(archive, observatory):
    serve(observatory, tables(FIRST, THIRD, FAR))
    opened = daxa.open(archive.root)
    plan = opened.update()
    assert (plan.added, plan.removed, plan.changed) == ({"xmm": (THIRD,)}, {"xmm": (SECOND,)}, {"xmm": {}})
    assert THIRD in plan._repr_html_()
    assert ids(archive) == [SECOND, FIRST]
    assert opened.accept(plan) == git.commit_of(archive.root)
    assert ids(archive) == [FIRST, THIRD]
    assert not opened.select()
    assert opened.select().apply() == ""
    nustar = daxa.Mission("nustar").filter(position="149.5916,-11.0638")
    late = opened.select([nustar])
    both = opened.select(["xmm", daxa.Mission("nustar").filter(position="149.5916,-11.0638", min_exposure="1 ks")])
    both.apply()
    with pytest.raises(ArchiveError) as caught:
        late.apply()
    assert caught.value.code == "archive.changed-meanwhile"
    with pytest.raises(CriteriaError, match="twice"):
        opened.select(["xmm", "xmm"])
    assert "2" in opened._repr_html_()
    assert "<b>a907</b>" in opened._repr_html_()


def test_exports_hold_the_present_selection(archive, tmp_path, capsys):
    assert main(["select", "--mission", "nustar", *PLACE, "--yes"]) == 0
    assert main(["select", "--export", str(tmp_path / "all.vot")]) == 0
    table = Table.read(tmp_path / "all.vot", format="votable")
    assert [str(one) for one in table["mission"]] == ["xmm", "xmm", "nustar"]
    assert str(table["exposure"].unit) == "s"
    assert main(["select", "--export", str(tmp_path / "xmm.mrt"), "--mission", "xmm"]) == 0
    assert [str(one) for one in Table.read(tmp_path / "xmm.mrt", format="ascii.mrt")["obs_id"]] == [SECOND, FIRST]
    assert main(["select", "--export", str(tmp_path / "field.moc.fits")]) == 0
    assert 0 < MOC.from_fits(tmp_path / "field.moc.fits").sky_fraction < 1e-4
    capsys.readouterr()
    assert main(["select", "--export", str(tmp_path / "x.docx")]) == 3
    assert main(["select", "--export", str(tmp_path / "x.csv"), "--mission", "chandra"]) == 3
    assert main(["select", "--export", str(tmp_path / "x.csv"), *PLACE]) == 3
    assert not list(tmp_path.glob("x.*"))
    assert commits(archive) == 2


def test_a_table_travels_to_a_machine_without_a_network(archive, tmp_path, monkeypatch, capsys):
    assert main(["select", "--snapshot", str(tmp_path / "xmm.parquet")]) == 0
    monkeypatch.setenv("DAXA_CACHE", str(tmp_path / "another"))
    monkeypatch.setenv("DAXA_OFFLINE", "1")
    search = ("search", "--mission", "xmm", *PLACE, "--csv")
    assert main([*search]) == 10
    capsys.readouterr()
    assert main([*search, "--snapshot", str(tmp_path / "xmm.parquet")]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("\n") == 3
    assert "imported the table of xmm" in shown.err
    assert main([*search]) == 0
    assert main(["search", "--mission", "nustar", "--snapshot", str(tmp_path / "xmm.parquet"), *PLACE]) == 3


@pytest.mark.parametrize(
    ("answer", "code", "kept"), [("y", 0, [FAR]), ("n", 1, [SECOND, FIRST]), ("", 1, [SECOND, FIRST])]
)
def test_on_a_terminal_it_asks(archive, observatory, answer, code, kept):
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "daxa", "select", "--obsid", FAR]
    with subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True) as asked:
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        shown, _ = asked.communicate(timeout=120)
    os.close(ours)
    assert asked.returncode == code
    assert f"  - {FIRST}" in shown
    assert "Write and commit" not in shown
    assert ids(archive) == ([SECOND, FIRST] if code else [FAR])


def ends_before(moment: int, place: Path, *command: str) -> int:
    """Give a command in a child that dies just before its rename number `moment`; its exit code, 9 when it died."""
    if not (child := os.fork()):
        left = [moment]

        def watch(event: str, arguments: tuple) -> None:
            if event == "os.rename":
                left[0] -= 1
                if not left[0]:
                    os._exit(9)

        sys.addaudithook(watch)
        code = 70
        try:
            code = main(["-C", str(place), *command])
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def state(layout: Layout) -> dict[str, bytes]:
    """The files that a selection changes."""
    names = [*layout.root.glob("*.*"), *(layout.root / "selection").iterdir(), *(layout.root / "upstream").iterdir()]
    return {path.relative_to(layout.root).as_posix(): path.read_bytes() for path in names if path.is_file()}


@pytest.mark.journey
def test_a_kill_at_any_moment_leaves_all_or_nothing(archive, tmp_path, observatory, identity, capsys):
    change = ("select", *PLACE, "--start", "2005-01-01", "--mission", "xmm", "--mission", "nustar", "--yes")
    assert main(["search", "--mission", "nustar", *PLACE]) == 0, "the tables are at hand"
    whole = shutil.copytree(archive.root, tmp_path / "whole" / "a907")
    assert main(["-C", str(whole), *change]) == 0
    wanted, untouched = state(Layout(whole)), state(archive)
    assert wanted != untouched
    moments = 0
    for moment in range(1, 40):
        place = Layout(shutil.copytree(archive.root, tmp_path / str(moment) / "a907"))
        if not (code := ends_before(moment, place.root, *change)):
            break
        assert code == 9
        moments += 1
        if place.accepted.exists():
            capsys.readouterr()
            assert main(["-C", str(place.root), "stage", "collect"]) == 5
            assert "daxa run" in capsys.readouterr().err
            before = state(place)
            assert main(["-C", str(place.root), "status"]) == 5
            assert state(place) == before, "looking writes nothing"
            daxa.open(place.root, acting=True)
            assert state(place) == wanted
        else:
            assert state(place) in (untouched, wanted)
        assert main(["-C", str(place.root), *change]) == 0
        assert state(place) == wanted
        assert git.changes(place.root) == []
        assert commits(place) == 2
        shutil.rmtree(place.root)
    assert moments >= 10


def test_an_archive_is_made_for_mission_software_and_stays_so(tmp_path, observatory, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    wanted = ["--mission", "xmm", "--target", "Abell 907"]
    assert main(["init", "never", *wanted, "--backend", "ciao"]) == 8
    assert "xmm is processed by native, sas" in capsys.readouterr().err
    assert not (tmp_path / "never").exists()
    assert main(["init", "a907", *wanted, "--backend", "sas", "--backend", "images=native"]) == 0
    assert "daxa doctor sas" in capsys.readouterr().err
    layout = Layout(tmp_path / "a907")
    text = layout.params("xmm").read_text()
    tables = tomllib.loads(text)
    assert (tables["events"]["backend"], tables["images"]["backend"]) == ("sas", "native")
    monkeypatch.chdir(layout.root)
    assert main(["check"]) == 0
    assert main(["select", "--position", "149.5916,-11.0638", "--yes"]) == 0
    assert main(["upgrade"]) == 0
    assert layout.params("xmm").read_text() == text
