from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from daxa.errors import ArchiveError, DataError, ServiceError, StorageError, UntrustedArchive
from daxa.run.equality import file_digests
from daxa.run.journal import append_rows, open_journal
from daxa.run.ledger import read_ledger
from daxa.run.rows import shorten
from daxa.run.runner import plan_stage, run_stage
from daxa.run.task import Input, LedgerRow, ProductFile
from tests.run import works
from tests.run.works import places, stage, task

pytestmark = pytest.mark.usefixtures("shared_forks")

IDS = ["0093640901", "0404910601", "10-08-0012", "us701576n00"]


def contents(root: Path) -> dict[str, bytes]:
    """Every byte that a stage gives to Git or DVC."""
    found = {}
    for place in ("ledger", "data"):
        for path in sorted((root / place).rglob("*")):
            if path.is_file():
                found[str(path.relative_to(root))] = path.read_bytes()
    return found


def statuses(outcomes) -> dict[str, tuple[str, str]]:
    return {outcome.obs_id: (outcome.status, outcome.reason) for outcome in outcomes}


def test_a_stage_does_its_tasks_and_then_nothing(tmp_path):
    tasks = [task(obs_id) for obs_id in IDS]
    seen = []
    outcomes = run_stage(stage(tmp_path, tasks), observe=lambda *values: seen.append(values))
    assert statuses(outcomes) == dict.fromkeys(IDS, ("done", "new observation"))
    assert [(done, total) for _, done, total in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sorted(outcome.obs_id for outcome, _, _ in seen) == IDS
    before = contents(tmp_path)
    ledger = (tmp_path / "ledger" / "xmm-clean.parquet").stat()
    assert statuses(run_stage(stage(tmp_path, tasks))) == dict.fromkeys(IDS, ("kept", ""))
    assert contents(tmp_path) == before
    assert (tmp_path / "ledger" / "xmm-clean.parquet").stat().st_mtime_ns == ledger.st_mtime_ns
    assert not (tmp_path / "journal.jsonl").exists()
    assert not list((tmp_path / "scratch").iterdir())


def test_the_ledger_and_the_manifest_say_what_is_there(tmp_path):
    made = Input("events", ProductFile("events.fits", 5, "a" * 64, "b" * 64))
    one = task("0093640901", inputs=(made,), note="π")
    run_stage(stage(tmp_path, [one]))
    row = read_ledger(tmp_path / "ledger" / "xmm-clean.parquet")["0093640901"]
    directory = tmp_path / "data" / "clean" / "0093640901"
    assert [file.path for file in row.files] == ["PPS/list.dat", "events.dat", "manifest.json"]
    for file in row.files:
        assert file == file_digests(directory / file.path, file.path)
    assert (row.fingerprint, row.parts) == (one.fingerprint, shorten(one.parts))
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["inputs"] == [{"step": "events", "path": "events.fits", "science": "b" * 64}]
    assert manifest["parameters"] == {"note": "π"}
    assert [file["path"] for file in manifest["files"]] == ["PPS/list.dat", "events.dat"]
    assert manifest["fingerprint"] == one.fingerprint


@pytest.mark.parametrize(
    ("content", "kept"),
    [('{"a":1}\n', '{"a":1}'), ('{ "b": 2, "a": 1 }', '{"a":1,"b":2}'), ("{", ""), ("[NaN]", ""), ("[" * 60000, "")],
)
def test_what_a_task_measured_stands_in_the_ledger(tmp_path, content, kept):
    name = "obsid0000000001-instALL-subexpALL-en-measures.json"
    run_stage(stage(tmp_path, [task("0000000001", action="content", name=name, content=content)]))
    row = read_ledger(places(tmp_path).ledger)["0000000001"]
    assert (row.outcome, row.measures) == ("done", kept)
    assert name in [file.path for file in row.files]


def test_neither_order_nor_number_of_workers_changes_a_byte(tmp_path):
    ids = [f"{i:05d}" for i in range(30)]
    for name, order, workers in (("a", ids, 1), ("b", ids[::-1], 3)):
        tasks = [task(obs_id, action="data" if obs_id.endswith("7") else "") for obs_id in order]
        run_stage(stage(tmp_path / name, tasks, workers=workers))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_only_what_is_new_or_changed_runs(tmp_path):
    run_stage(stage(tmp_path, [task(obs_id) for obs_id in IDS[:3]]))
    changed = [task(IDS[0]), task(IDS[1], sigma=2.5), task(IDS[2], version="2"), task(IDS[3])]
    assert statuses(run_stage(stage(tmp_path, changed))) == {
        IDS[0]: ("kept", ""),
        IDS[1]: ("done", "parameters changed"),
        IDS[2]: ("done", "software changed"),
        IDS[3]: ("done", "new observation"),
    }


def test_what_is_not_selected_any_more_goes(tmp_path):
    run_stage(stage(tmp_path, [task(obs_id) for obs_id in IDS]))
    products = tmp_path / "data" / "clean"
    (products / ".hidden").mkdir()
    (products / ".DS_Store").write_bytes(b"litter")
    # Of another version, whose ledger is not here: its manifest says that it is daxa's.
    shutil.copytree(products / IDS[3], products / "0000000099")
    manifest = (products / IDS[3] / "manifest.json").read_text()
    (products / "0000000099" / "manifest.json").write_text(manifest.replace(IDS[3], "0000000099"))
    outcomes = statuses(run_stage(stage(tmp_path, [task(IDS[0])], skipped={IDS[1]: "input.failed"})))
    assert outcomes[IDS[1]] == ("skipped", "input.failed")
    gone = (IDS[2], IDS[3], "0000000099", ".hidden", ".DS_Store")
    assert {outcomes[name] for name in gone} == {("removed", "not selected")}
    assert [path.name for path in products.iterdir()] == [IDS[0]]
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == [f"{IDS[0]}.log", f"{IDS[1]}.log"]
    assert {row.obs_id: row.outcome for row in read_ledger(tmp_path / "ledger" / "xmm-clean.parquet").values()} == {
        IDS[0]: "done",
        IDS[1]: "skipped",
    }


def put(place: Path, text: str = "mine") -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


STRAYS = {
    "beside the observations": lambda products: put(products / "notes.txt"),
    "a directory": lambda products: put(products / "plots" / "notes.txt"),
    "in a kept observation": lambda products: put(products / IDS[0] / "notes.txt"),
    "deep in one": lambda products: put(products / IDS[0] / "PPS" / "notes.txt"),
    "in one that is done again": lambda products: put(products / IDS[1] / "notes.txt"),
    "in one that is not selected": lambda products: put(products / IDS[2] / "notes.txt"),
    "in one that is skipped": lambda products: put(products / IDS[3] / "notes.txt"),
    "a link": lambda products: (products / "notes.txt").symlink_to(products / IDS[0]),
    "a foreign manifest": lambda products: put(products / "notes.txt" / "manifest.json", '{"obs_id": "x"}'),
}


@pytest.mark.parametrize("stray", STRAYS.values(), ids=STRAYS)
def test_what_daxa_did_not_make_is_never_removed(tmp_path, stray):
    run_stage(stage(tmp_path, [task(obs_id) for obs_id in IDS]))
    stray(tmp_path / "data" / "clean")
    before = contents(tmp_path)
    wanted = stage(tmp_path, [task(IDS[0]), task(IDS[1], version="2")], skipped={IDS[3]: "input.failed"})
    with pytest.raises(ArchiveError, match=r"notes\.txt") as caught:
        run_stage(wanted)
    assert caught.value.code == "archive.stray-files"
    assert "notes.txt" in caught.value.remedy
    assert contents(tmp_path) == before, "nothing was begun"
    for path in (tmp_path / "data" / "clean").rglob("notes.txt"):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    assert statuses(run_stage(wanted))[IDS[1]][0] == "done"


def test_a_note_that_comes_while_the_stage_runs_stays(tmp_path):
    products = tmp_path / "data" / "clean"
    run_stage(stage(tmp_path, [task(IDS[0])]))
    note = products / IDS[0] / "notes.txt"
    with pytest.raises(ArchiveError, match=r"notes\.txt"):
        run_stage(stage(tmp_path, [task(IDS[0], version="2", action="note", note=str(note))]))
    assert note.read_text() == "mine"
    note.unlink()
    run_stage(stage(tmp_path, [task(IDS[0], version="2")]))


@pytest.mark.parametrize("component", ["data/clean", "data", "scratch"])
def test_no_link_is_followed_to_where_something_is_removed(tmp_path, component):
    tasks = [task(obs_id) for obs_id in IDS[:2]]
    run_stage(stage(tmp_path, tasks))
    outside = tmp_path / "outside"
    (tmp_path / component).rename(outside)
    put(outside / "thesis" / "chapter.tex")
    (tmp_path / component).symlink_to("outside" if "/" not in component else "../outside")
    before = {path: path.lstat().st_ino for path in outside.rglob("*")}
    with pytest.raises((UntrustedArchive, ArchiveError)):
        run_stage(stage(tmp_path, [task(IDS[0], version="2")]))
    assert {path: path.lstat().st_ino for path in outside.rglob("*")} == before


def test_fetched_files_that_no_ledger_names_stay(tmp_path):
    run_stage(stage(tmp_path, [task(IDS[0])], keep_absent=True))
    products = tmp_path / "data" / "clean"
    put(products / IDS[1] / "PPS" / "list.dat", "brought for another version")
    put(products / "notes.txt")
    assert statuses(run_stage(stage(tmp_path, [task(IDS[0], version="2")], keep_absent=True)))[IDS[0]][0] == "done"
    assert (products / IDS[1] / "PPS" / "list.dat").exists()
    assert (products / "notes.txt").exists()


def test_an_empty_stage_leaves_an_empty_directory(tmp_path):
    assert run_stage(stage(tmp_path, [])) == []
    assert list((tmp_path / "data" / "clean").iterdir()) == []
    assert read_ledger(tmp_path / "ledger" / "xmm-clean.parquet") == {}
    assert (tmp_path / "ledger" / "xmm-clean.parquet").is_file()


def same_size(path: Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])


DAMAGES = {
    "deleted file": (lambda place: (place / "events.dat").unlink(), "product missing"),
    "deleted directory": (shutil.rmtree, "product missing"),
    "truncated": (lambda place: os.truncate(place / "events.dat", 5), "product damaged"),
    "same size, other content": (lambda place: same_size(place / "events.dat"), "product damaged"),
    "litter": (lambda place: (place / "PPS" / ".DS_Store").write_text("stray"), "product damaged"),
    "manifest edited": (lambda place: same_size(place / "manifest.json"), "product damaged"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_products_are_made_again(tmp_path, damage, reason):
    tasks = [task(obs_id) for obs_id in IDS[:2]]
    run_stage(stage(tmp_path, tasks))
    before = contents(tmp_path)
    damage(tmp_path / "data" / "clean" / IDS[1])
    assert statuses(run_stage(stage(tmp_path, tasks))) == {IDS[0]: ("kept", ""), IDS[1]: ("done", reason)}
    assert contents(tmp_path) == before


def test_read_only_products_are_replaced(tmp_path):
    run_stage(stage(tmp_path, [task(IDS[0])]))
    place = tmp_path / "data" / "clean" / IDS[0]
    for path in (place / "PPS" / "list.dat", place / "PPS", place / "events.dat", place):
        path.chmod(0o555 if path.is_dir() else 0o444)
    assert statuses(run_stage(stage(tmp_path, [task(IDS[0], version="2")])))[IDS[0]][0] == "done"
    assert not list((tmp_path / "scratch").iterdir())


def test_a_failure_is_a_row_and_is_tried_again(tmp_path):
    good = [task(obs_id) for obs_id in IDS[:2]]
    run_stage(stage(tmp_path, good))
    failing = [task(IDS[0], action="data"), task(IDS[1]), task(IDS[2], action="bug"), task(IDS[3], action="exit")]
    assert statuses(run_stage(stage(tmp_path, failing))) == {
        IDS[0]: ("failed", "data.no-events"),
        IDS[1]: ("kept", ""),
        IDS[2]: ("failed", "bug.ZeroDivisionError"),
        IDS[3]: ("failed", "bug.SystemExit"),
    }
    assert [path.name for path in (tmp_path / "data" / "clean").iterdir()] == [IDS[1]]
    row = read_ledger(tmp_path / "ledger" / "xmm-clean.parquet")[IDS[0]]
    assert (row.outcome, row.reason, row.files) == ("failed", "data.no-events", ())
    log = (tmp_path / "logs" / f"{IDS[0]}.log").read_text()
    assert f"{IDS[0]} has no events" in log
    assert "choose another" in log
    assert "Traceback" not in log
    assert "Traceback" in (tmp_path / "logs" / f"{IDS[2]}.log").read_text(), "a bug shows where it is"
    again = plan_stage(stage(tmp_path, failing))
    assert [(decision.action, decision.reason) for decision in again] == [
        ("run", "failed before"),
        ("keep", ""),
        ("run", "failed before"),
        ("run", "failed before"),
    ]


def test_products_that_may_not_be_are_failures(tmp_path):
    tasks = [task(IDS[0], action="empty_link"), task(IDS[1], action="hidden")]
    assert statuses(run_stage(stage(tmp_path, tasks))) == {
        IDS[0]: ("failed", "data.product-kind"),
        IDS[1]: ("failed", "data.product-path"),
    }
    assert statuses(run_stage(stage(tmp_path / "b", [task(IDS[0])], work=works.nothing))) == {
        IDS[0]: ("failed", "data.no-products")
    }


def test_a_broken_environment_stops_the_stage_and_loses_nothing(tmp_path):
    ids = [f"{i:05d}" for i in range(40)]
    flag, trace = tmp_path / "broken", tmp_path / "trace"
    flag.touch()
    tasks = [
        task(obs_id, trace=str(trace), broken=str(flag), action="environment" if obs_id == "00005" else "")
        for obs_id in ids
    ]
    with pytest.raises(ServiceError, match="the archive is down"):
        run_stage(stage(tmp_path / "a", tasks))
    begun = trace.read_text().split()
    assert 6 <= len(begun) < 12
    flag.unlink()
    trace.unlink()
    outcomes = statuses(run_stage(stage(tmp_path / "a", tasks)))
    kept = {obs_id for obs_id, (status, _) in outcomes.items() if status == "kept"}
    assert kept == set(begun) - {"00005"}
    assert sorted(trace.read_text().split()) == sorted(set(ids) - kept)
    run_stage(stage(tmp_path / "b", tasks))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_full_disk_stops_the_stage(tmp_path):
    with pytest.raises(StorageError) as caught:
        run_stage(stage(tmp_path, [task(IDS[0], action="full")]))
    assert caught.value.code == "storage.full"
    assert not (tmp_path / "ledger").exists()


def test_a_running_stage_is_busy(tmp_path, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr("daxa.run.alone._WAIT", 0.2)
    with FileLock(tmp_path / "lock"), pytest.raises(ArchiveError) as caught:
        run_stage(stage(tmp_path, [task(IDS[0])]))
    assert caught.value.code == "archive.busy"
    assert statuses(run_stage(stage(tmp_path, [task(IDS[0])])))[IDS[0]][0] == "done"


def test_a_damaged_ledger_stops_the_stage(tmp_path):
    run_stage(stage(tmp_path, [task(IDS[0])]))
    (tmp_path / "ledger" / "xmm-clean.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        run_stage(stage(tmp_path, [task(IDS[0])]))


def test_an_obs_id_that_cannot_be_a_directory_never_becomes_one(tmp_path):
    with pytest.raises(DataError):
        run_stage(stage(tmp_path, [task("../evil")]))
    with pytest.raises(ValueError, match="twice"):
        run_stage(stage(tmp_path, [task(IDS[0]), task(IDS[0])]))


def test_planning_changes_nothing(tmp_path):
    tasks = [task(obs_id) for obs_id in IDS[:2]]
    run_stage(stage(tmp_path, tasks))
    (tmp_path / "data" / "clean" / "stray").write_text("")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert {decision.action for decision in plan_stage(stage(tmp_path, tasks))} == {"keep", "remove"}
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_fetched_files_may_be_absent_but_not_altered(tmp_path):
    tasks = [task(obs_id) for obs_id in IDS]
    options = {"keep_absent": True}
    run_stage(stage(tmp_path, tasks, **options))
    products = tmp_path / "data" / "clean"
    shutil.rmtree(products / IDS[0])
    (products / IDS[1] / "manifest.json").unlink()
    (products / IDS[2] / "events.dat").unlink()
    same_size(products / IDS[3] / "events.dat")
    ledger = (tmp_path / "ledger" / "xmm-clean.parquet").read_bytes()
    assert statuses(run_stage(stage(tmp_path, tasks, **options))) == {
        IDS[0]: ("kept", ""),
        IDS[1]: ("kept", ""),
        IDS[2]: ("done", "product damaged"),
        IDS[3]: ("done", "product damaged"),
    }
    assert (tmp_path / "ledger" / "xmm-clean.parquet").read_bytes() == ledger
    shutil.rmtree(products)
    assert {status for status, _ in statuses(run_stage(stage(tmp_path, tasks, **options))).values()} == {"kept"}
    assert not products.exists()


def journal_row(one, directory: Path) -> LedgerRow:
    files = tuple(file_digests(directory / name, name) for name in ("PPS/list.dat", "events.dat", "manifest.json"))
    return LedgerRow(one.obs_id, "done", "", one.fingerprint, shorten(one.parts), files)


@pytest.mark.parametrize("fetched", [False, True])
def test_a_row_that_is_ahead_of_its_files_is_done_again(tmp_path, fetched):
    one = task(IDS[0])
    run_stage(stage(tmp_path / "a", [one]))
    row = journal_row(one, tmp_path / "a" / "data" / "clean" / IDS[0])
    (tmp_path / "b").mkdir()
    with open_journal(tmp_path / "b" / "journal.jsonl") as journal:
        append_rows(journal, [row])
    outcomes = run_stage(stage(tmp_path / "b", [one], keep_absent=fetched))
    assert statuses(outcomes) == {IDS[0]: ("done", "product missing")}
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_journal_of_another_version_does_not_hide_the_ledger(tmp_path):
    """After an interrupted run somebody checked out the version before."""
    old, new = task(IDS[0]), task(IDS[0], sigma=3)
    run_stage(stage(tmp_path / "new", [new]))
    row = journal_row(new, tmp_path / "new" / "data" / "clean" / IDS[0])
    run_stage(stage(tmp_path / "a", [old]))
    with open_journal(tmp_path / "a" / "journal.jsonl") as journal:
        append_rows(journal, [row])
    assert statuses(run_stage(stage(tmp_path / "a", [old]))) == {IDS[0]: ("kept", "")}


def fits_stage(root: Path, **parameters):
    return stage(root, [task(IDS[0], **parameters)], work=works.tool_fits)


def test_equal_science_keeps_the_bytes(tmp_path):
    run_stage(fits_stage(tmp_path, date="2026-01-01", value=4))
    image = tmp_path / "data" / "clean" / IDS[0] / "image.fits"
    before = (image.read_bytes(), image.stat().st_ino)
    run_stage(fits_stage(tmp_path, date="2026-02-02", value=4))
    assert (image.read_bytes(), image.stat().st_ino) == before
    assert image.stat().st_nlink == 1
    rows = read_ledger(tmp_path / "ledger" / "xmm-clean.parquet")
    files = {file.path: file for file in rows[IDS[0]].files}
    assert files["image.fits"].sha256 == hashlib.sha256(before[0]).hexdigest()
    manifest = json.loads((image.parent / "manifest.json").read_text())
    assert manifest["parameters"]["date"] == "2026-02-02"
    assert {file["path"]: file["sha256"] for file in manifest["files"]}["image.fits"] == files["image.fits"].sha256
    assert {decision.action for decision in plan_stage(fits_stage(tmp_path, date="2026-02-02", value=4))} == {"keep"}
    run_stage(fits_stage(tmp_path, date="2026-02-02", value=5))
    assert image.read_bytes() != before[0]


def test_equal_science_does_not_keep_damaged_bytes(tmp_path):
    run_stage(fits_stage(tmp_path, date="2026-01-01", value=4))
    image = tmp_path / "data" / "clean" / IDS[0] / "image.fits"
    damaged = image.read_bytes()[:-1] + b"x"
    image.write_bytes(damaged)
    run_stage(fits_stage(tmp_path, date="2026-02-02", value=4))
    assert b"2026-02-02" in image.read_bytes()
    assert not image.read_bytes().endswith(b"x")


def test_scratch_left_by_a_kill_is_removed(tmp_path):
    left = tmp_path / "scratch" / "0093640901.1" / "PPS"
    left.mkdir(parents=True)
    (left / "half.dat").write_text("half")
    run_stage(stage(tmp_path, [task(IDS[0])]))
    assert not list((tmp_path / "scratch").iterdir())
    assert statuses(run_stage(stage(tmp_path, [task(IDS[0])]))) == {IDS[0]: ("kept", "")}
