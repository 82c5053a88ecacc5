"""Files that the mission's archive replaced: found by what it says of them, taken anew, or kept for good."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import daxa
from daxa.archive import git
from daxa.archive.config import load_config
from daxa.archive.keeping import run_kept
from daxa.archive.layout import Layout
from daxa.archive.upstream import read_arrivals
from daxa.errors import ArchiveError, CriteriaError, DataError, UntrustedArchive
from daxa.fetch import replaced_files
from daxa.fetch.observation import FileProvenance
from daxa.publish.comparing.causes import find_causes, read_side
from daxa.publish.file_check import check_files, check_places, kept_rows
from daxa.run.ledger import read_ledger
from daxa.run.task import ProductFile
from daxa.simulator import Fault, Observatory
from daxa.stages.step import make_stage, run_step
from daxa.stages.work import _take_kept
from tests.journey.workbench import contents
from tests.publish.workshop import set_identity

FIRST, SECOND = "0900000101", "0900000201"
LIST = f"*{FIRST}M1*EVLI*"


@pytest.fixture(scope="module")
def served(sky):
    with Observatory(sky.root, sky.tables, sky.names) as server:
        yield server


@pytest.fixture(scope="module")
def fetched(tmp_path_factory, served) -> Path:
    """An archive of which everything was fetched, with its store beside it; never to be changed."""
    place = tmp_path_factory.mktemp("fetched")
    with pytest.MonkeyPatch.context() as patch:
        set_identity(patch)
        use(patch, served, place)
        mission = daxa.Mission("xmm").filter(target="Abell 907", instruments="M1")
        archive = daxa.Archive.create(place / "a907", [mission])
        run_step(archive.root, "fetch", "xmm")
        git.commit(archive.root, ["ledger", "upstream"], "fetched")
    return place


def use(patch: pytest.MonkeyPatch, served: Observatory, place: Path) -> None:
    for name, value in served.environ.items():
        patch.setenv(name, value)
    for name in ("STORE", "CACHE"):
        patch.setenv(f"DAXA_{name}", str(place / name.lower()))
    patch.setenv("DAXA_CONFIG", str(place / "none.toml"))
    patch.setenv("DAXA_WORKERS", "1")


@pytest.fixture
def archive(fetched, served, tmp_path, monkeypatch, identity):
    shutil.copytree(fetched, tmp_path / "x", symlinks=True)
    use(monkeypatch, served, tmp_path / "x")
    served.faults.clear()
    served.requests.clear()
    yield daxa.open(tmp_path / "x" / "a907")
    served.faults.clear()


@pytest.mark.parametrize(
    ("changes", "believed"),
    [
        ({}, True),
        ({"etag": ""}, True),
        ({"etag": "", "last_modified": ""}, False),
        ({"url": "https://mirror.example/list"}, False),
        ({"sha256": "cd" * 32}, False),
    ],
)
def test_a_server_is_believed_only_of_the_file_that_came_from_it(monkeypatch, changes, believed):
    """Whatever it says of its own file, a file here with another digest, or from elsewhere, is compared whole."""
    monkeypatch.setattr(replaced_files, "is_current", lambda *_: True)
    url, digest = "https://archive.example/list", "ab" * 32
    arrival = replace(FileProvenance("PPS/list", url, 4, digest, '"tag"', "Mon, 02 Nov 2026 10:00:00 GMT"), **changes)
    before = ProductFile("PPS/list", 4, digest, digest)
    assert replaced_files._still_served(SimpleNamespace(connection=None), url, arrival, before) is believed


def rows(archive) -> dict:
    return read_ledger(archive.layout.ledger("xmm", "fetch"))


def test_nothing_was_replaced_and_nothing_is_downloaded(archive, served):
    found = archive.redelivered()
    assert (found.observations, found.compared, found.failed) == ((), 2, ())
    files = sum(len(row.files) - 1 for row in rows(archive).values())
    asked = [request for request in served.requests if not request.path.endswith("/") and "/tap" not in request.path]
    assert len([request for request in asked if "." in request.path.rpartition("/")[2]]) == files


def test_a_replaced_file_is_found_and_taken_when_accepted(archive, served, fetched):
    served.faults.add(Fault("redelivered", LIST, value="21.0"))
    before = rows(archive)
    found = archive.redelivered("xmm")
    (one,) = found.observations
    (file,) = one.files
    assert (one.mission, one.obs_id, file.what) == ("xmm", FIRST, "replaced")
    assert file.versions["PROCVER"] == ("", "21.0")
    assert file.old_size != file.new_size
    assert file.old_date != file.new_date
    assert rows(archive) == before, "nothing changes before it is accepted"
    assert {task.obs_id for task in found.forecast().tasks} == {FIRST}
    assert [task.reason for task in found.forecast().tasks][:2] == ["redelivered", "follows"]
    archive.accept(found)
    after = rows(archive)
    assert after[SECOND] == before[SECOND]
    assert {file.sha256 for file in after[FIRST].files} - {file.sha256 for file in before[FIRST].files} >= {
        file.new_sha256
    }
    (cause,) = find_causes(read_side(Layout(fetched / "a907")), read_side(archive.layout))
    assert (cause.kind, cause.obs_id, cause.changes[file.path]) == (
        "redelivered",
        FIRST,
        (file.old_sha256, file.new_sha256),
    )
    assert not archive.redelivered()
    served.faults.clear()  # The old one again: that is found, too.
    assert [one.obs_id for one in archive.redelivered().observations] == [FIRST]


def test_the_same_content_compressed_again_is_not_a_replacement(archive, served):
    """Other validators, and other bytes, say nothing: the content is compared."""
    for kind in ("changing", "repacked"):
        served.faults.add(Fault(kind, LIST))
        served.requests.clear()
        assert archive.redelivered().observations == ()
        assert [one.status for one in served.requests if one.path.endswith("MIEVLI0000.FTZ") and FIRST in one.path]
        served.faults.clear()


def test_a_file_that_is_not_served_any_more_is_withdrawn_and_others_are_compared(archive, served):
    served.faults.add(Fault("missing", f"*{FIRST}*ATTTSR*"))
    served.faults.add(Fault("redelivered", f"*{SECOND}M1*EVLI*", value="21.0"))
    found = {one.obs_id: one.files for one in archive.redelivered().observations}
    assert [(file.what, "ATTTSR" in file.path) for file in found[FIRST]] == [("withdrawn", True)]
    assert [file.what for file in found[SECOND]] == ["replaced"]


def test_an_archive_that_does_not_answer_is_reported_without_an_error(archive, served):
    served.faults.add(Fault("denied", "/FTP/*"))
    found = archive.redelivered()
    assert (found.compared, found.observations) == (0, ())
    assert len(found.failed) == 2
    assert FIRST in found.failed[0]


def test_without_the_network_nothing_is_compared(archive, monkeypatch):
    monkeypatch.setenv("DAXA_OFFLINE", "1")
    with pytest.raises(CriteriaError, match="needs the network"):
        archive.redelivered()


def refuse(archive, served):
    served.faults.add(Fault("redelivered", LIST, value="21.0"))
    found = archive.redelivered()
    assert archive.refuse(found)
    return found


def test_a_refused_file_is_kept_marked_and_not_asked_about_again(archive, served):
    before = contents(archive.root, "data")
    (one,) = refuse(archive, served).observations
    layout, config = archive.layout, archive.config
    assert config.storage.fetched == {"xmm": {FIRST: "cached"}}
    assert "# The archive." in layout.config.read_text()
    assert f'"{FIRST}" = "cached"' in layout.config.read_text()
    assert "kept-xmm:" in layout.pipeline.read_text()
    assert git.changes(layout.root) == []
    daxa.open(layout.root, acting=True)  # The gate finds the pipeline to be the one that daxa writes.
    assert archive.redelivered().compared == 1
    table = layout.upstream("xmm")
    import pyarrow.parquet as pq

    marked = {row["path"]: row["superseded"] for row in pq.read_table(table).to_pylist() if row["superseded"]}
    assert list(marked) == [one.files[0].path]
    assert one.files[0].path in read_arrivals(table)[FIRST]
    run_kept(layout.root, "xmm")
    row = rows(archive)[FIRST]
    assert {
        path.removeprefix("data/xmm/kept/"): content for path, content in contents(layout.root, "data/xmm/kept").items()
    } == {path.removeprefix("data/xmm/fetch/"): content for path, content in before.items() if f"/{FIRST}/" in path}
    kept = kept_rows({"fetch": rows(archive)}, config.storage.fetched["xmm"], ["fetch"])
    assert check_files(layout, "xmm", "kept", kept).problems == ()
    assert check_places(layout, config.missions, config.steps, config.storage.fetched) == []
    assert check_places(layout, config.missions, config.steps) != []
    # Fetched again, the old files are taken, and where others are asked for, none.
    run_step(layout.root, "fetch", "xmm", only=[FIRST], again=[FIRST])
    assert rows(archive)[FIRST] == row
    params = layout.params("xmm").read_text()
    layout.params("xmm").write_text(params.replace("extra = []", 'extra = ["PPS/.*SUMMAR.*"]'))
    (failed,) = run_step(layout.root, "fetch", "xmm", only=[FIRST])
    assert (failed.status, failed.reason) == ("failed", "data.kept")
    layout.params("xmm").write_text(params)
    run_step(layout.root, "fetch", "xmm", only=[FIRST])
    assert rows(archive)[FIRST] == row
    # A clone has only what DVC keeps: the old file comes from there, and no server is asked.
    shutil.rmtree(layout.products("xmm", "fetch"))
    shutil.rmtree(os.environ["DAXA_STORE"])
    (task,) = [task for task in make_stage(layout, config, "events", "xmm").tasks if task.obs_id == FIRST]
    assert all(_take_kept(layout, task, layout.products("xmm", "fetch") / FIRST, file) for file in row.files)
    assert contents(layout.root, f"data/xmm/fetch/{FIRST}") == {
        path: content for path, content in before.items() if f"/{FIRST}/" in path
    }
    damaged = layout.kept("xmm") / FIRST / one.files[0].path
    damaged.write_bytes(damaged.read_bytes()[::-1])
    run_kept(layout.root, "xmm")
    assert check_files(layout, "xmm", "kept", kept).problems == ()


def test_no_file_is_kept_behind_a_link(archive, served, tmp_path):
    refuse(archive, served)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("mine")
    archive.layout.kept("xmm").symlink_to(tmp_path / "thesis")
    with pytest.raises(UntrustedArchive, match="kept"):
        daxa.open(archive.root, acting=True)
    with pytest.raises(UntrustedArchive):
        run_kept(archive.root, "xmm")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


def test_what_is_not_here_any_more_cannot_be_kept(archive, served):
    served.faults.add(Fault("redelivered", LIST, value="21.0"))
    found = archive.redelivered()
    shutil.rmtree(archive.layout.products("xmm", "fetch"))
    shutil.rmtree(Path(os.environ["DAXA_STORE"]) / "sha256")
    before = archive.layout.config.read_bytes()
    with pytest.raises(DataError, match="is no longer on this machine") as told:
        archive.refuse(found)
    assert "`daxa update --yes`" in told.value.remedy
    assert archive.layout.config.read_bytes() == before
    with pytest.raises(ArchiveError, match="keeps no fetched files"):
        run_kept(archive.root, "xmm")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('[storage.fetched.nustar]\n"30101031002" = "cached"\n', "no mission called 'nustar'"),
        ('[storage.fetched.xmm]\n"12" = "cached"\n', "12"),
        (f'[storage.fetched.xmm]\n"{FIRST}" = "somewhere"\n', "cached"),
        ("[storage]\nfetchd = 1\n", "did you mean fetched"),
    ],
)
def test_what_is_kept_is_judged_like_all_else(archive, table, said):
    archive.layout.config.write_text(f"{archive.layout.config.read_text()}\n{table}")
    with pytest.raises(Exception, match=said):
        load_config(archive.layout)


def test_files_kept_with_a_kill_at_any_moment_are_kept_in_the_end(archive, served, tmp_path):
    found = refuse_at(archive, served)
    killed = 0
    for at in range(1, 60):
        place = Path(shutil.copytree(archive.root, tmp_path / str(at), symlinks=True))
        if not dies_before(place, found, at):
            break
        killed += 1
        again = daxa.open(place, acting=True)
        if not again.config.storage.fetched:
            type(found)(place, found.observations).refuse()
        run_kept(place, "xmm")
        kept = kept_rows({"fetch": rows(again)}, [FIRST], ["fetch"])
        assert check_files(again.layout, "xmm", "kept", kept).problems == (), at
        assert git.changes(place) == []
        shutil.rmtree(place)
    assert killed >= 5


def refuse_at(archive, served):
    served.faults.add(Fault("redelivered", LIST, value="21.0"))
    return archive.redelivered()


def dies_before(place: Path, found, at: int) -> bool:
    """Refuse, and put the files into place, in a child that dies just before its rename number `at`; whether it did."""
    if not (child := os.fork()):
        left = [at]

        def watch(event: str, arguments: tuple) -> None:
            if event == "os.rename":
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            type(found)(place, found.observations).refuse()
            run_kept(place, "xmm")
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) < 0
