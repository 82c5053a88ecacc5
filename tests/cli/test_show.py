"""The renderer: tables, JSON lines, progress."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from daxa.cli import show
from daxa.errors import StorageError
from daxa.records import Outcome


def outcomes(*statuses: str) -> list[Outcome]:
    return [Outcome("xmm", "clean", f"{at:010d}", status) for at, status in enumerate(statuses)]


def test_json_keeps_identifiers_texts_and_writes_numbers_plainly(capsys):
    record = {
        "obs_id": "0012345678",
        "size": np.int64(7),
        "lo": np.float64(0.5),
        "hi": float("nan"),
        "tags": ("v1.0.0",),
        "none": None,
        "ok": True,
    }
    show.show_json([record, {"obs_id": "90001"}])
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first) == {
        "obs_id": "0012345678",
        "size": 7,
        "lo": 0.5,
        "hi": None,
        "tags": ["v1.0.0"],
        "none": None,
        "ok": True,
    }
    assert '"size": 7,' in first
    assert json.loads(second) == {"obs_id": "90001"}


def test_a_table_keeps_each_record_on_its_line(capsys):
    show.show_table(["name", "n"], [["two\nlines\t\x1b[2J", 5], ["a", 12], [None, float("nan")]])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert not any("\x1b" in line for line in lines)
    assert len({line.rfind("5") for line in lines[1:2]} | {len(lines[2]) - 1}) == 1


def test_a_table_without_rows_is_its_heading(capsys):
    show.show_table(["ObsID", "reason"], [])
    assert capsys.readouterr().out == "ObsID  reason\n"


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 999_949, 10**9, 10**12, 10**16])
def test_sizes_keep_their_magnitude(size):
    number, unit = show.size_text(size).split()
    assert float(number) * {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit] == pytest.approx(size, rel=0.05)


def test_plain_progress_is_sparse_and_ends_with_the_whole(capsys):
    with show.progress("xmm", "clean") as observe:
        for ended, outcome in enumerate(outcomes(*["done"] * 998, "failed", "done"), start=1):
            observe(outcome, ended, 1000)
    lines = capsys.readouterr().err.splitlines()
    assert 1 < len(lines) < 20
    assert lines[0] == "xmm clean: 1 of 1000"
    assert lines[-1] == "xmm clean: 1000 of 1000, 1 failed"


def test_progress_lines_are_at_most_one_a_second(capsys, monkeypatch):
    clock = iter(np.arange(0, 100, 0.25).tolist())
    monkeypatch.setattr(show.time, "monotonic", lambda: next(clock))
    with show.progress("xmm", "clean") as observe:
        for ended, outcome in enumerate(outcomes(*["done"] * 40), start=1):
            observe(outcome, ended, 40)
    assert len(capsys.readouterr().err.splitlines()) == 11


def test_quiet_says_results_only(capsys, monkeypatch):
    monkeypatch.setenv("DAXA_QUIET", "1")
    with show.progress("xmm", "clean") as observe:
        observe(outcomes("done")[0], 1, 1)
    show.say("next: daxa run")
    show.show_text("v1.0.0")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("v1.0.0\n", "")


def test_on_a_terminal_there_is_a_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with show.progress("xmm", "clean") as observe:
        for ended, outcome in enumerate(outcomes("done", "failed"), start=1):
            observe(outcome, ended, 2)
    shown = capsys.readouterr().err
    assert "xmm clean" in shown
    assert "2/2" in shown
    assert "1 failed" in shown


HOSTILE = "A\x1b[2J\x9b31m\u202edlrow\u2066\u200f\u061c\u200b\ufeff\u2028\x07\ud800B"


def test_nothing_unseen_reaches_the_terminal(capsys):
    show.show_text(HOSTILE)
    show.say(HOSTILE)
    show.note(HOSTILE)
    show.show_table([HOSTILE], [[HOSTILE]])
    show.show_json([{HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}]}])
    show.show_csv(pd.DataFrame({"target": [HOSTILE.replace("\ud800", "")]}))
    show.show_error(StorageError("full", HOSTILE, remedy=HOSTILE))
    show.show_error(StorageError("full", HOSTILE, remedy=HOSTILE), as_json=True)
    shown = capsys.readouterr()
    for stream in (shown.out, shown.err):
        assert stream.count("dlrow") >= 3
        assert not set(stream) & set("\x1b\x9b\x07\u202e\u2066\u200f\u061c\u200b\ufeff\u2028\ud800")


def test_an_error_comes_after_what_was_said_before():
    code = (
        "from daxa.cli import show; from daxa.errors import StorageError\n"
        "show.show_text('said before'); show.show_error(StorageError('full', 'went wrong', remedy='try'))"
    )
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
    assert said.splitlines() == ["said before", "error: went wrong", "  -> try"]
