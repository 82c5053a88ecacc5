from __future__ import annotations

import pytest

from daxa.run.plan import Decision, plan
from daxa.run.rows import shorten
from daxa.run.task import Input, LedgerRow, ProductFile, Task

FILE = ProductFile("a.fits", 3, "a" * 64, "b" * 64)
TASK = Task("xmm", "clean", "0404910601", "native", "1", '{"a":1}', '{"f":1}', (Input("events", FILE),), "ccf1")


def done(task: Task, **changes) -> LedgerRow:
    values = {"outcome": "done", "fingerprint": task.fingerprint, "parts": shorten(task.parts), "files": (FILE,)}
    return LedgerRow(task.obs_id, **{**values, **changes})


def decide(row: LedgerRow | None, state: str = "intact", **options) -> tuple[str, str]:
    recorded = {TASK.obs_id: row} if row else {}
    (decision,) = plan([TASK], {}, recorded, [TASK.obs_id], lambda row: state, **options)
    return decision.action, decision.reason


def other(**changes) -> LedgerRow:
    values = {
        name: getattr(TASK, name) for name in ("backend", "version", "parameters", "facts", "inputs", "calibration")
    }
    return done(Task("xmm", "clean", TASK.obs_id, **{**values, **changes}))


NEW_INPUT = (Input("events", ProductFile("a.fits", 3, "a" * 64, "c" * 64)),)
SAME_SCIENCE = (Input("events", ProductFile("a.fits", 9, "f" * 64, "b" * 64)),)
TABLE = {
    "kept": (done(TASK), "intact", ("keep", "")),
    "kept though an input has other bytes": (other(inputs=SAME_SCIENCE), "intact", ("keep", "")),
    "new": (None, "intact", ("run", "new observation")),
    "parameters": (other(parameters="{}"), "intact", ("run", "parameters changed")),
    "input": (other(inputs=NEW_INPUT), "intact", ("run", "input changed")),
    "version": (other(version="0"), "intact", ("run", "software changed")),
    "backend": (other(backend="sas"), "intact", ("run", "software changed")),
    "calibration": (other(calibration="ccf0"), "intact", ("run", "calibration changed")),
    "selection": (other(facts="{}"), "intact", ("run", "selection changed")),
    "parameters come first": (other(facts="{}", parameters="{}", version="0"), "intact", ("run", "parameters changed")),
    "changed comes before missing": (other(version="0"), "missing", ("run", "software changed")),
    "changed comes before failed": (
        LedgerRow(TASK.obs_id, "failed", "data.x", "a" * 64, shorten({**TASK.parts, "parameters": "{}"})),
        "intact",
        ("run", "parameters changed"),
    ),
    "failed": (done(TASK, outcome="failed", reason="data.x", files=()), "intact", ("run", "failed before")),
    "skipped before": (LedgerRow(TASK.obs_id, "skipped", "input.failed"), "intact", ("run", "input changed")),
    "missing": (done(TASK), "missing", ("run", "product missing")),
    "absent": (done(TASK), "absent", ("run", "product missing")),
    "damaged": (done(TASK), "damaged", ("run", "product damaged")),
    "fingerprints of another version": (done(TASK, fingerprint="0" * 64), "intact", ("run", "software changed")),
}


@pytest.mark.parametrize(("row", "state", "expected"), TABLE.values(), ids=TABLE)
def test_decisions(row, state, expected):
    assert decide(row, state) == expected


@pytest.mark.parametrize(
    ("state", "action"), [("intact", "keep"), ("absent", "keep"), ("damaged", "run"), ("missing", "run")]
)
def test_fetched_files_may_be_absent(state, action):
    assert decide(done(TASK), state, keep_absent=True)[0] == action


def test_files_are_looked_at_only_where_it_matters():
    looked = []
    plan([TASK], {}, {TASK.obs_id: other(version="0")}, [], lambda row: looked.append(row) or "intact")
    assert looked == []


def test_what_no_task_asks_for_goes_and_skipped_ones_are_named():
    tasks = [TASK, Task("xmm", "clean", "0093640901", "native", "1")]
    recorded = {"0000000009": LedgerRow("0000000009", "done"), TASK.obs_id: done(TASK)}
    assert plan(tasks, {"0000000005": "input.failed"}, recorded, ["stray.txt", "0000000005"], lambda row: "intact") == [
        Decision("0000000005", "skip", "input.failed"),
        Decision("0000000009", "remove", "not selected"),
        Decision("0093640901", "run", "new observation"),
        Decision("0404910601", "keep", ""),
        Decision("stray.txt", "remove", "not selected"),
    ]
