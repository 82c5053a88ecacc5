"""Steps with a task for each exposure: each runs, fails, is logged, kept and interrupted for itself."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from uuid import uuid4

import pytest

from daxa.errors import DataError, ServiceError
from daxa.run import gathering, runner
from daxa.run.exposures import NO_EXPOSURES, group_inputs, split_task
from daxa.run.journal import read_journal
from daxa.run.ledger import read_columns, read_ledger, write_ledger
from daxa.run.rows import row_as_plain, row_from_plain
from daxa.run.runner import plan_stage, run_stage
from daxa.run.task import ExposureRow, Input, LedgerRow, ProductFile
from tests.run.processes import marked, start, wait_until
from tests.run.test_runner import contents, statuses
from tests.run.works import expose, places, stage, task

pytestmark = pytest.mark.usefixtures("shared_forks")

ID, OTHER = "0093640901", "0404910601"
NAMES = ("M1-S001", "M2-S002", "PN-S003")


def events(name: str, science: str = "b") -> Input:
    camera, exposure = name.split("-")
    path = f"obsid{ID}-inst{camera}-subexp{exposure}-en-events.fits"
    return Input("events", ProductFile(path, 5, "a" * 64, science * 64))


def exposed(root, *, names=NAMES, sciences=(), absent=(), **parameters):
    """A stage with these exposures of one observation; what the tasks begin stands in the file ``trace``."""
    inputs = tuple(events(name, dict(sciences).get(name, "b")) for name in names)
    whole = task(ID, inputs=inputs)
    wanted = {name: [item] for name, item in zip(names, inputs, strict=True) if name not in absent}
    parts = split_task(whole, wanted)
    # What the tests ask of the work is no part of what the tasks are: fingerprints stay the same.
    asked = json.dumps({"trace": str(root / "trace"), **parameters})
    return replace(stage(root, [whole], work=Work(asked), workers=1), exposures={ID: parts})


class Work:
    """`expose`, with other parameters than those of the task."""

    def __init__(self, parameters: str) -> None:
        self.parameters = parameters

    def __call__(self, one, target, log) -> None:
        expose(replace(one, parameters=self.parameters), target, log)


def begun(root) -> list[str]:
    trace = root / "trace"
    found = trace.read_text().split() if trace.exists() else []
    trace.unlink(missing_ok=True)
    return [name.partition("@")[2] for name in found]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A stage that nothing interrupted."""
    root = tmp_path_factory.mktemp("reference")
    run_stage(exposed(root))
    return root


def same_as(reference, root) -> bool:
    """Equal products, manifest and ledger, byte by byte."""
    return contents(reference) == contents(root)


def test_each_exposure_has_a_task_a_log_and_a_row(tmp_path):
    outcomes = run_stage(exposed(tmp_path))
    assert statuses(outcomes) == {ID: ("done", "new observation")}
    row = read_ledger(places(tmp_path).ledger)[ID]
    assert [(one.exposure, one.outcome, len(one.paths)) for one in row.exposures] == [
        (name, "done", 2) for name in NAMES
    ]
    assert len(row.files) == 7
    assert json.loads(row.measures) == {"exposures": list(NAMES)}
    assert row.task_names == tuple(f"{ID}@{name}" for name in NAMES)
    for name in row.task_names:
        assert "one exposure" in (tmp_path / "logs" / f"{name}.log").read_text()
    manifest = json.loads((tmp_path / "data" / "clean" / ID / "manifest.json").read_text())
    assert [one["exposure"] for one in manifest["exposures"]] == list(NAMES)
    assert len(manifest["files"]) == 6
    begun(tmp_path)
    before = contents(tmp_path)
    assert statuses(run_stage(exposed(tmp_path))) == {ID: ("kept", "")}
    assert (begun(tmp_path), contents(tmp_path)) == ([], before)


def test_a_failure_leaves_the_others_and_only_it_is_retried(tmp_path, reference):
    (one,) = run_stage(exposed(tmp_path, faults={"M2-S002": "data"}))
    assert (one.status, one.reason, one.why) == ("failed", "data.no-events", "1 of 3 exposures: M2-S002")
    row = read_ledger(places(tmp_path).ledger)[ID]
    assert [(one.outcome, one.reason) for one in row.exposures] == [
        ("done", ""),
        ("failed", "data.no-events"),
        ("done", ""),
    ]
    assert row.usable
    assert len(list((tmp_path / "data" / "clean" / ID).glob("obsid*"))) == 4
    assert "what to do: choose another" in (tmp_path / "logs" / f"{ID}@M2-S002.log").read_text()
    begun(tmp_path)
    assert [one.reason for one in plan_stage(exposed(tmp_path))] == ["failed before"]
    assert statuses(run_stage(exposed(tmp_path))) == {ID: ("done", "failed before")}
    assert begun(tmp_path) == ["M2-S002"]
    assert same_as(reference, tmp_path)


def test_where_all_fail_nothing_is_left(tmp_path):
    run_stage(exposed(tmp_path))
    changed = dict.fromkeys(NAMES, "c")
    (one,) = run_stage(exposed(tmp_path, sciences=changed, faults=dict.fromkeys(NAMES, "bug")))
    assert (one.status, one.reason) == ("failed", "bug.ZeroDivisionError")
    row = read_ledger(places(tmp_path).ledger)[ID]
    assert (row.usable, row.files, row.measures) == (False, (), "")
    assert not (tmp_path / "data" / "clean" / ID).exists()


def test_what_changes_for_one_runs_for_one(tmp_path):
    run_stage(exposed(tmp_path))
    begun(tmp_path)
    (one,) = run_stage(exposed(tmp_path, sciences={"PN-S003": "c"}))
    assert (one.reason, begun(tmp_path)) == ("input changed", ["PN-S003"])
    kept = tmp_path / "data" / "clean" / ID / f"obsid{ID}-instM1-subexpS001-en-events.json"
    kept.write_text("damaged")
    (one,) = run_stage(exposed(tmp_path, sciences={"PN-S003": "c"}))
    assert (one.reason, begun(tmp_path)) == ("product damaged", ["M1-S001"])
    kept.unlink()
    (one,) = run_stage(exposed(tmp_path, sciences={"PN-S003": "c"}))
    assert (one.reason, begun(tmp_path)) == ("product missing", ["M1-S001"])


def test_exposures_come_and_go(tmp_path, reference):
    run_stage(exposed(tmp_path, absent=("PN-S003",)))
    assert begun(tmp_path) == ["M1-S001", "M2-S002"]
    fewer = exposed(tmp_path, names=NAMES[:1])
    (one,) = run_stage(fewer)
    assert (one.status, one.reason, begun(tmp_path)) == ("done", "input changed", [])
    assert [one.exposure for one in read_ledger(places(tmp_path).ledger)[ID].exposures] == ["M1-S001"]
    assert len(list((tmp_path / "data" / "clean" / ID).glob("obsid*"))) == 2
    assert [path.name for path in (tmp_path / "logs").iterdir()] == [f"{ID}@M1-S001.log"]
    run_stage(exposed(tmp_path))
    assert begun(tmp_path) == ["M2-S002", "PN-S003"]
    assert same_as(reference, tmp_path)
    # Another way of doing the step treats the observation whole.
    whole = replace(exposed(tmp_path).tasks[0], version="2")
    run_stage(stage(tmp_path, [whole]))
    assert [path.name for path in (tmp_path / "logs").iterdir()] == [f"{ID}.log"]
    assert read_ledger(places(tmp_path).ledger)[ID].exposures == ()
    run_stage(exposed(tmp_path))
    assert len(list((tmp_path / "logs").iterdir())) == 3
    (one,) = run_stage(replace(exposed(tmp_path), tasks=[], exposures={}))
    assert (one.status, list((tmp_path / "logs").iterdir())) == ("removed", [])


def test_an_observation_without_exposures_fails_and_says_why(tmp_path):
    (one,) = run_stage(exposed(tmp_path, absent=NAMES))
    assert (one.status, one.reason) == ("failed", NO_EXPOSURES)
    assert "no exposure to work on" in (tmp_path / "logs" / f"{ID}.log").read_text()


def test_a_file_that_may_be_of_another_exposure_is_refused(tmp_path):
    (one,) = run_stage(exposed(tmp_path, faults={"M1-S001": "alien"}))
    assert (one.reason, one.why) == ("data.product-name", "1 of 3 exposures: M1-S001")


def test_what_is_done_stays_done_when_the_world_breaks(tmp_path, reference):
    (tmp_path / "broken").touch()
    broken = {"faults": {"PN-S003": "environment"}, "broken": str(tmp_path / "broken")}
    with pytest.raises(ServiceError):
        run_stage(exposed(tmp_path, **broken))
    assert begun(tmp_path) == list(NAMES)
    assert read_journal(places(tmp_path).journal)[ID].reason == "interrupted"
    (tmp_path / "broken").unlink()
    (one,) = run_stage(exposed(tmp_path, **broken))
    assert (one.status, one.reason, begun(tmp_path)) == ("done", "interrupted", ["PN-S003"])
    assert same_as(reference, tmp_path)


@pytest.mark.parametrize("moment", range(3))
@pytest.mark.parametrize("door", ["append_rows", "move_into_place", "after"])
def test_an_interruption_at_any_delivery_costs_at_most_one_task(tmp_path, reference, monkeypatch, moment, door):
    name = "move_into_place" if door == "after" else door
    usual, calls = getattr(runner, name), iter(range(99))

    def interrupted(*arguments):
        if not arguments[1]:
            return  # No row is added.
        now = next(calls)
        if now == moment and door == "after":
            usual(*arguments)
        if now == moment:
            raise KeyboardInterrupt
        usual(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runner, name, interrupted)
        run_stage(exposed(tmp_path))
    first = begun(tmp_path)
    run_stage(exposed(tmp_path))
    again = begun(tmp_path)
    # With one worker the next task may have begun when the interruption came; what has its row is not done again.
    assert len(again) == len(NAMES) - moment - (door != "append_rows")
    assert {*first, *again} == {*NAMES}
    assert same_as(reference, tmp_path)


def test_the_order_in_which_exposures_end_changes_no_byte(tmp_path, reference):
    run_stage(replace(exposed(tmp_path), workers=3))
    assert same_as(reference, tmp_path)


CODE = """
import sys
from pathlib import Path
from daxa.run.runner import run_stage
from tests.run.test_exposures import exposed
print("ready", flush=True)
run_stage(exposed(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("seed", range(2))
def test_killing_the_stage_at_any_moment_changes_no_byte(tmp_path, reference, seed):
    moments = random.Random(seed)
    for _ in range(4):
        mark = str(uuid4())
        program = start(CODE, mark, tmp_path)
        assert program.stdout.readline() == b"ready\n"
        time.sleep(moments.uniform(0, 0.6))
        program.kill()
        program.wait()
        program.stdout.close()
        wait_until(lambda mark=mark: not marked(mark), 5.0)
    run_stage(exposed(tmp_path))
    assert same_as(reference, tmp_path)
    assert not list(places(tmp_path).scratch.iterdir())


def test_half_a_delivery_is_not_put_in_place(tmp_path, reference, monkeypatch):
    """A kill while the observation is put together for the second time: what stood there stays."""
    usual, calls = gathering.take_file, iter(range(99))

    def interrupted(source, target):
        if next(calls) == 2:
            raise KeyboardInterrupt
        usual(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(gathering, "take_file", interrupted)
        run_stage(exposed(tmp_path))
    assert (places(tmp_path).scratch / f"{ID}@").is_dir()
    begun(tmp_path)
    run_stage(exposed(tmp_path))
    assert begun(tmp_path) == ["PN-S003"]
    assert same_as(reference, tmp_path)


def test_kept_files_are_not_written_again(tmp_path, monkeypatch):
    run_stage(exposed(tmp_path, faults={"PN-S003": "data"}))
    kept = tmp_path / "data" / "clean" / ID / f"obsid{ID}-instM1-subexpS001-en-events.json"
    before = kept.stat()
    run_stage(exposed(tmp_path))
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    # Without hard links they are copied.
    monkeypatch.setattr(gathering, "take_file", lambda source, target: target.write_bytes(source.read_bytes()))
    run_stage(exposed(tmp_path, sciences={"PN-S003": "c"}))
    assert kept.read_text().startswith(f"{ID}@M1-S001")


def test_ledgers_with_and_without_exposures_are_read_alike(tmp_path):
    file = ProductFile("a.fits", 1, "0" * 64, "1" * 64)
    plain = LedgerRow(OTHER, "done", "", "f" * 64, "{}", (file,))
    parted = replace(plain, obs_id=ID, exposures=(ExposureRow("M1-S001", "done", "", "e" * 64, "{}", ("a.fits",)),))
    path = tmp_path / "ledger.parquet"
    assert write_ledger(path, [plain, parted], mission="xmm", step="clean")
    assert not write_ledger(path, [parted, plain], mission="xmm", step="clean")
    assert read_ledger(path) == {ID: parted, OTHER: plain}
    assert read_columns(path, {"outcome", "path"}).path == ["a.fits", "a.fits"]
    write_ledger(path, [plain], mission="xmm", step="clean")
    assert read_ledger(path) == {OTHER: plain}


GOOD = row_as_plain(
    LedgerRow(
        ID,
        "failed",
        "data.x",
        "f" * 64,
        files=(ProductFile("a.fits", 1, "0" * 64, "1" * 64),),
        exposures=(
            ExposureRow("M1-S001", "done", "", "e" * 64, "{}", ("a.fits",)),
            ExposureRow("PN-S003", "failed", "data.x", "e" * 64),
        ),
    )
)


@pytest.mark.parametrize(
    ("at", "values"),
    [
        (0, {"exposure": "../M1"}),
        (0, {"exposure": "PN-S003"}),
        (0, {"outcome": "skipped"}),
        (0, {"fingerprint": ""}),
        (0, {"reason": "\x1b[2J"}),
        (0, {"paths": ["b.fits"]}),
        (0, {"paths": "a.fits"}),
        (0, {"parts": "["}),
        (1, {"paths": ["a.fits"]}),
    ],
)
def test_a_strangers_row_with_impossible_exposures_is_not_believed(at, values):
    assert row_as_plain(row_from_plain(GOOD)) == GOOD
    rows = [dict(one) for one in GOOD["exposures"]]
    rows[at] |= values
    with pytest.raises(DataError):
        row_from_plain({**GOOD, "exposures": rows})


def test_inputs_are_distinguished_by_their_names():
    shared = Input("events", ProductFile("attitude.fits", 1, "0" * 64, "0" * 64))
    found = group_inputs(task(ID, inputs=(*map(events, NAMES), shared)))
    assert {name: [item.file.path for item in items] for name, items in found.items()} == {
        name: [events(name).file.path, "attitude.fits"] for name in NAMES
    }
    whole = task(ID)
    for wrong in ({"../x": ()}, {"M1-S001": (shared,)}):
        with pytest.raises(ValueError, match="exposure"):
            split_task(whole, wrong)
