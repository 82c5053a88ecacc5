"""The verbs that look at an archive, on one whose ledgers were written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from daxa.archive import git
from daxa.archive.config import FETCH_SOFTWARE, LockedSoftware, load_config
from daxa.archive.layout import STEPS, Layout
from daxa.archive.template import MissionAnswers, render
from daxa.backends.native import NATIVE
from daxa.cli import main
from daxa.missions import find_mission
from daxa.run.ledger import write_ledger
from daxa.run.rows import shorten
from daxa.run.task import LedgerRow, ProductFile
from daxa.selection.selection_file import write_selection
from daxa.stages.step import make_stage

GOOD, BAD, NEW = "0012345678", "0404910601", "0900000089"
IMAGE = f"obsid{GOOD}-instM1-subexpS001-en0.5_2.0keV-image.fits"
LIGHTCURVE = f"obsid{GOOD}-instM1-subexpNone-en-lightcurve.fits"


def chosen(obs_id: str) -> dict[str, object]:
    return {
        "obs_id": obs_id,
        "target": "Abell 907\x1b[2J",
        "ra": 149.59,
        "dec": -11.06,
        "start": 53000.5,
        "end": 53000.9,
        "exposure": 30000.0,
        "instruments": "PN,M1,M2",
        "public_date": 54000.0,
        "category": "",
        "mode": "",
        "roll": float("nan"),
        "exposures": "",
    }


@pytest.fixture
def archive(tmp_path, monkeypatch) -> Layout:
    """One observation done, one whose events failed, one not yet looked at; no Git, no DVC."""
    layout = Layout(tmp_path / "a907")
    software = tuple(
        (step, FETCH_SOFTWARE if step == "fetch" else LockedSoftware("native", NATIVE.version("xmm", step)))
        for step in STEPS
    )
    answers = MissionAnswers(find_mission("xmm"), {"target": ["Abell 907"]}, software)
    for path, content in render("a907", [answers]).items():
        (layout.root / path).parent.mkdir(parents=True, exist_ok=True)
        (layout.root / path).write_text(content)
    table = pd.DataFrame([chosen(obs_id) for obs_id in (GOOD, BAD, NEW)])
    write_selection(layout.selection("xmm"), table, mission="xmm", criteria="{}", snapshot="0" * 64)
    files = {"images": (IMAGE, LIGHTCURVE), "fetch": ("PPS/list.FTZ",), "events": ("attitude.fits",)}
    (layout.root / ".git").mkdir()  # Stages have a place there, even where none runs.
    for step in STEPS:
        made = tuple(ProductFile(path, 2880, "1" * 64, "2" * 64) for path in sorted(files.get(step, ())))
        known = {task.obs_id: task for task in make_stage(layout, load_config(layout), step, "xmm").tasks}
        rows = [LedgerRow(GOOD, "done", "", known[GOOD].fingerprint, shorten(known[GOOD].parts), made)]
        if step == "fetch":
            fetched = (ProductFile("PPS/list.FTZ", 7, "3" * 64, "3" * 64),)
            rows.append(LedgerRow(BAD, "done", "", known[BAD].fingerprint, shorten(known[BAD].parts), fetched))
        elif step == "events":
            rows.append(LedgerRow(BAD, "failed", reason="data.no-exposure"))
        else:
            rows.append(LedgerRow(BAD, "skipped", reason="input.failed"))
        write_ledger(layout.ledger("xmm", step), rows, mission="xmm", step=step)
    (layout.root / ".git").rmdir()
    for step in ("fetch", "events"):
        layout.log("xmm", step, BAD).parent.mkdir(parents=True)
        layout.log("xmm", step, BAD).write_text(f"{step} began\r\nsaid \x1b[31mred\x1b[0m\n")
    monkeypatch.chdir(layout.root)
    return layout


def records(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_status_counts_and_names_what_failed(archive, capsys):
    assert main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:6]] == [
        ["mission", "step", "done", "failed", "skipped", "absent", "to", "do"],
        ["xmm", "fetch", "2", "0", "0", "0", "1"],
        ["xmm", "events", "0", "1", "0", "1", "1"],
        ["xmm", "clean", "1", "0", "1", "0", "1"],
        ["xmm", "images", "0", "0", "1", "1", "1"],
        ["xmm", "sources", "1", "0", "1", "0", "1"],
    ]
    assert ["xmm", "events", "failed", "1", "data.no-exposure", BAD] in [line.split() for line in lines]
    told = "\n".join(lines)
    assert f"`daxa logs {BAD} --step events`" in told
    assert "`daxa run`" in lines[-1]


def test_status_as_json_has_a_record_per_step_and_observation(archive, capsys):
    assert main(["status", "--json"]) == 0
    found = records(capsys)
    assert len(found) == len(STEPS) * 3
    assert all(record.keys() == {"mission", "step", "obs_id", "status", "reason", "seconds", "why"} for record in found)
    assert {record["obs_id"] for record in found} == {GOOD, BAD, NEW}
    assert {record["status"] for record in found if record["obs_id"] == NEW} == {"todo"}


def test_logs_of_all_steps_or_one(archive, capsys):
    assert main(["logs", BAD]) == 0
    shown = capsys.readouterr().out
    assert shown.index("fetch began") < shown.index("events began")
    assert "\x1b" not in shown
    assert main(["logs", BAD, "--step", "events", "--json"]) == 0
    (record,) = records(capsys)
    assert (record["mission"], record["step"], record["obs_id"]) == ("xmm", "events", BAD)
    assert record["text"].startswith("events began")


def test_logs_of_one_task_of_mission_software(archive, capsys):
    calls = ("== espfilt M1-S001: done\n$ espfilt method=histogram", "== evselect M1-S001: timeLimit\n$ evselect")
    log = archive.log("xmm", "clean", BAD)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("\n\n".join(["clean began", *calls, "The same calls as a script:\n#!/bin/sh"]) + "\n")
    assert main(["logs", BAD, "--task", "espfilt"]) == 0
    assert capsys.readouterr().out == f"== xmm clean {BAD}\n{calls[0]}\n"
    assert main(["logs", BAD, "--step", "clean", "--task", "evselct"]) == 3
    assert "did you mean evselect?" in capsys.readouterr().err
    assert main(["logs", BAD, "--step", "fetch", "--task", "espfilt"]) == 3
    assert "no mission software was called" in capsys.readouterr().err


def test_logs_that_are_not_there(archive, capsys):
    assert main(["logs", "0404910602"]) == 5
    assert "'0404910602' is not in this archive; did you mean 0404910601?" in capsys.readouterr().err
    assert main(["logs", GOOD, "--json"]) == 5
    assert json.loads(capsys.readouterr().err)["code"] == "archive.no-log"


def test_ls_filters_and_keeps_identifiers(archive, capsys):
    assert main(["ls", "--json"]) == 0
    everything = records(capsys)
    assert len(everything) == 5
    assert {record["obs_id"] for record in everything} == {GOOD, BAD}
    assert main(["ls", "--obs", GOOD, "--kind", "image", "--mission", "xmm", "--json"]) == 0
    (image,) = records(capsys)
    assert image["relative"] == f"data/xmm/images/{GOOD}/{IMAGE}"
    assert image["path"] == str(archive.root / image["relative"])
    assert image["present"] is False
    assert (image["lo_kev"], image["hi_kev"], image["size"]) == (0.5, 2.0, 2880)
    assert main(["ls", "--kind", "lightcurve", "--json"]) == 0
    (lightcurve,) = records(capsys)
    assert lightcurve["lo_kev"] is None
    assert (lightcurve["exposure"], image["exposure"]) == (None, "S001")


def test_ls_as_a_table_ends_lines_with_whole_paths(archive, capsys):
    assert main(["ls", "--obs", GOOD]) == 0
    heading, *lines, _, told = capsys.readouterr().out.splitlines()
    assert "absent" in told
    assert all("absent" in line for line in lines)
    assert heading.split("  ")[-1] == "path"
    for word in ("ObsID", "exposure ID", "band (keV)", "here"):
        assert f"  {word}  " in heading
    assert {Path(line.split()[-1]).name for line in lines} == {IMAGE, LIGHTCURVE, "list.FTZ", "attitude.fits"}
    assert sum("0.5-2  " in line for line in lines) == 1
    (lightcurve,) = (line for line in lines if LIGHTCURVE in line)
    assert lightcurve.split()[3] == "-"


def test_ls_without_a_match_says_so_and_is_not_an_error(archive, capsys):
    assert main(["ls", "--kind", "gti"]) == 0
    assert "no such products" in capsys.readouterr().out
    assert main(["ls", "--obs", NEW, "--json"]) == 0
    assert not capsys.readouterr().out


UNKNOWN = {
    "kind": (["ls", "--kind", "imge"], "did you mean image?", "quicklook"),
    "mission": (["ls", "--mission", "xmn"], "did you mean xmm?", "xmm"),
    "step": (["ls", "--step", "claen"], "did you mean clean?", "fetch, events, clean, images, sources"),
    "instrument": (["ls", "--instrument", "PNN"], "did you mean PN?", "xmm: "),
    "band": (["ls", "--band", "0.5-3"], "0.5-3 keV", "0.5-2 keV"),
    "obs": (["ls", "--obs", "0404910602"], f"did you mean {BAD}", "daxa ls"),
    "status mission": (["status", "--mission", "chandra"], "'chandra'", "xmm"),
    "status step": (["status", "--step", "imags"], "did you mean images?", "sources"),
    "status obs": (["status", "--obs", "1"], "'1' is not in this archive", "daxa ls"),
    "logs step": (["logs", BAD, "--step", "fech"], "did you mean fetch?", "events"),
    "logs mission": (["logs", BAD, "--mission", "nustar"], "'nustar'", "xmm"),
}


@pytest.mark.parametrize(("arguments", "said", "choice"), UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_names_are_errors_with_the_choices(archive, arguments, said, choice, capsys):
    assert main([*arguments, "--json"]) in (3, 5)
    error = json.loads(capsys.readouterr().err)
    assert said in error["message"]
    assert choice in error["remedy"]


def test_filters_of_ls_can_be_repeated(archive, capsys):
    assert main(["ls", "--step", "events", "--step", "fetch", "--obs", GOOD, "--json"]) == 0
    assert [record["step"] for record in records(capsys)] == ["fetch", "events"]
    assert main(["ls", "--band", "0.5-2", "--instrument", "M1", "--json"]) == 0
    assert [record["kind"] for record in records(capsys)] == ["image"]


def test_status_of_one_observation_or_step(archive, capsys):
    assert main(["status", "--obs", BAD, "--step", "events", "--json"]) == 0
    (record,) = records(capsys)
    assert (record["obs_id"], record["step"], record["status"]) == (BAD, "events", "failed")


def test_logs_take_the_observation_as_other_verbs_do(archive, capsys):
    assert main(["logs", "--obs", BAD, "--step", "events", "--json"]) == 0
    assert [record["step"] for record in records(capsys)] == ["events"]
    assert main(["logs", "--json"]) == 3


@pytest.mark.parametrize("verb", ["release", "push", "verify"])
def test_verbs_that_need_git_say_so(archive, verb, capsys):
    code = main([verb, "--json"])
    assert code in range(3, 14)
    assert json.loads(capsys.readouterr().err)["remedy"]


def test_a_stage_needs_a_repository_and_a_mission_that_is_there(archive, capsys):
    assert main(["stage", "clean", "xmm"]) == 5
    assert "not a Git repository" in capsys.readouterr().err
    assert not (archive.root / ".git").exists()
    git.initialise(archive.root)
    assert main(["stage", "clean"]) == 5
    assert "needs a mission" in capsys.readouterr().err
    assert main(["stage", "clean", "nustar"]) == 5
    assert "no stage clean of nustar" in capsys.readouterr().err
    assert main(["stage", "polish", "xmm"]) == 5
    assert "no stage polish" in capsys.readouterr().err


def test_a_damaged_configuration_is_one_error(archive, capsys):
    archive.config.write_text("format = [")
    assert main(["status"]) == 4
    assert "daxa.toml" in capsys.readouterr().err


def test_completion_reads_the_archive(archive):
    from daxa.cli.completion import complete_kind, complete_obs_id

    assert complete_obs_id("0") == [GOOD, BAD, NEW]
    assert complete_obs_id("04") == [BAD]
    assert complete_kind("i") == ["image"]
    archive.config.unlink()
    assert complete_obs_id("0") == []


def test_a_notebook_shows_what_is_done_of_each_mission(archive):
    import daxa

    shown = daxa.Archive(archive.root)._repr_html_()
    assert "<td>xmm</td><td>3</td><td>2 done</td><td>0 done, 1 failed</td>" in shown
    odd = archive.root.rename(archive.root.parent / "<script>")
    assert "&lt;script&gt;" in daxa.Archive(odd)._repr_html_()
    assert "<script" not in daxa.Archive(odd)._repr_html_()
