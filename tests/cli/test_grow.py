"""``daxa add``, ``drop``, ``plan``, ``reprocess`` and ``retry``: what they say, and what they refuse."""

from __future__ import annotations

import contextlib
import json
import os
import tomllib

import pytest

import daxa
from daxa.archive import git
from daxa.cli import main
from daxa.cli.plan import time_text
from daxa.errors import CriteriaError
from daxa.missions import find_mission
from daxa.query import read_criteria
from tests.cli.test_select import (  # noqa: F401 - fixtures
    FAR,
    FIRST,
    PLACE,
    SECOND,
    archive,
    commits,
    ids,
    observatory,
    replays,
)


def said(capsys, *arguments: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert main(list(arguments)) == code, capsys.readouterr()
    return capsys.readouterr()


def test_what_is_added_joins_what_is_there(archive, capsys):  # noqa: F811
    out, err = said(capsys, "add", "xmm", "--obs", FAR, "--dry-run")
    assert f"+ {FAR}" in out
    assert "fetch, events, clean, images, sources" in out
    assert "no past runs on this machine" in err
    assert ids(archive) == sorted([FIRST, SECOND])
    assert commits(archive) == 1
    said(capsys, "add", "xmm", "--obs", FAR, "--yes")
    assert ids(archive) == sorted([FIRST, SECOND, FAR])
    assert replays(archive, "xmm")
    assert "nothing changes" in said(capsys, "add", "xmm", "--obs", FAR, "--yes")[1]
    said(capsys, "add", "nustar", *PLACE, "--yes")
    assert list(daxa.open(archive.root).config.missions) == ["xmm", "nustar"]
    assert "--target" in said(capsys, "add", "xmm", code=3)[1]


def test_what_is_dropped_stays_away(archive, capsys):  # noqa: F811
    path = archive.params("xmm")
    path.write_text(f'{path.read_text()}\n[clean.obs."{SECOND}"]\nflares = "none"\n')
    git.commit(archive.root, ["params"], "override")
    out, _ = said(capsys, "drop", "xmm", "--obs", SECOND, "--dry-run")
    assert f"- {SECOND}  with its override of clean" in out
    assert ids(archive) == sorted([FIRST, SECOND])
    assert "--yes" in said(capsys, "drop", "xmm", "--obs", SECOND, code=5)[1]
    said(capsys, "drop", "xmm", "--obs", SECOND, "--yes")
    assert ids(archive) == [FIRST]
    assert SECOND not in path.read_text()
    assert replays(archive, "xmm")
    assert "nothing changes" in said(capsys, "update", "--yes")[1], "what was dropped does not come back"
    assert "is not in this archive" in said(capsys, "drop", "xmm", "--obs", SECOND, "--yes", code=5)[1]
    said(capsys, "add", "xmm", "--obs", SECOND, "--yes")
    assert ids(archive) == sorted([FIRST, SECOND])


def test_a_selection_that_loses_an_observation_takes_its_override_along(archive, capsys):  # noqa: F811
    """An override for an observation that is not selected would stop every run."""
    path = archive.params("xmm")
    path.write_text(f'{path.read_text()}\n[clean.obs."{SECOND}"]\nflares = "none"\n')
    git.commit(archive.root, ["params"], "override")
    (record,) = map(json.loads, said(capsys, "select", "--obs", FIRST, "--yes", "--json")[0].splitlines())
    assert record["overrides_removed"] == [{"step": "clean", "obs_id": SECOND}]
    assert said(capsys, "check")
    assert git.changes(archive.root) == []


def test_a_mission_is_dropped_whole(archive, capsys):  # noqa: F811
    said(capsys, "add", "nustar", *PLACE, "--yes")
    (record, *_) = map(json.loads, said(capsys, "drop", "nustar", "--dry-run", "--json")[0].splitlines())
    assert (record["mission"], record["after"]) == ("nustar", 0)
    out, _ = said(capsys, "drop", "nustar", "--yes")
    assert "nustar goes, with 1 observation" in out
    assert list(tomllib.loads(archive.config.read_text())["missions"]) == ["xmm"]
    assert not list(archive.root.glob("*/nustar*"))
    assert "at least one mission" in said(capsys, "drop", "xmm", "--yes", code=3)[1]
    assert "is not in this archive" in said(capsys, "drop", "nustar", "--yes", code=3)[1]


def test_criteria_without_an_observation_say_so(archive, capsys):  # noqa: F811
    said(capsys, "drop", "xmm", "--obs", SECOND, "--yes")
    plain = daxa.open(archive.root).config.missions["xmm"]
    assert read_criteria(find_mission("xmm"), plain).to_plain() == plain


def test_a_plan_is_a_list_of_tasks_with_reasons(archive, capsys):  # noqa: F811
    out, err = said(capsys, "plan")
    assert f"xmm      {FIRST}" in out
    assert "10 tasks of 2 observations" in out
    assert "no past runs on this machine" in err
    records = [json.loads(line) for line in said(capsys, "plan", "--json", "--obs", FIRST)[0].splitlines()]
    assert [(one["step"], one["reason"]) for one in records][:2] == [
        ("fetch", "new observation"),
        ("events", "follows"),
    ]
    assert records[0]["seconds"] is None
    assert said(capsys, "run", "--dry-run", "--json", "--obs", FIRST)[0].splitlines() == [
        json.dumps(one) for one in records
    ]
    assert "did you mean" in said(capsys, "plan", "--step", "cleen", code=3)[1]


def test_other_parameters_are_shown_before_they_are_written(archive, capsys):  # noqa: F811
    before = archive.params("xmm").read_bytes()
    asked = ("reprocess", "xmm", "--obs", FIRST, "--set", "clean.flare_sigma=2.5")
    assert FIRST in said(capsys, *asked, "--dry-run")[0]
    for code, words, wrong in (
        (4, "flare_sigma", ("--set", "clean.flare_sigma=-1")),
        (4, "did you mean flare_sigma", ("--set", "clean.flare_sgima=1")),
        (3, "no parameter is set or unset", ()),
        (3, "does not name a parameter of a step", ("--set", "flare_sigma=2")),
    ):
        assert words in said(capsys, "reprocess", "xmm", "--obs", FIRST, *wrong, code=code)[1]
    assert "is not in this archive" in said(capsys, *asked[:3], FAR, *asked[4:], code=5)[1]
    assert archive.params("xmm").read_bytes() == before


def test_a_wrong_value_in_the_file_can_be_unset(archive, capsys):  # noqa: F811
    path = archive.params("xmm")
    before = path.read_bytes()
    path.write_bytes(before + f'\n[clean.obs."{FIRST}"]\nflare_sigma = -1.0\n'.encode())
    asked = ("reprocess", "xmm", "--obs", FIRST)
    try:
        assert "flare_sigma" in said(capsys, *asked, "--set", "clean.patterns=0-4", "--dry-run", code=4)[1]
        assert FIRST in said(capsys, *asked, "--unset", "clean.flare_sigma", "--dry-run")[0]
        path.write_text("[clean\n")
        assert "not valid TOML" in said(capsys, *asked, "--unset", "clean.flare_sigma", "--dry-run", code=4)[1]
    finally:
        path.write_bytes(before)


def test_nothing_to_retry_is_said(archive, capsys):  # noqa: F811
    assert "nothing has failed" in said(capsys, "retry")[1]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (119, "119 s"), (7199, "120.0 min"), (86400, "24.0 h")])
def test_times_are_for_people(seconds, text):
    assert time_text(seconds) == text


def test_the_executor_is_that_of_the_command_in_every_verb_and_method(archive, capsys, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.delenv("DAXA_EXECUTOR", raising=False)
    monkeypatch.setenv("DAXA_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "config.toml").write_text('[cluster]\nkind = "slurm"\n')
    seen: list[str] = []

    def run_archive(layout, config, **named):
        seen.append(os.environ.get("DAXA_EXECUTOR", ""))

    monkeypatch.setattr("daxa.stages.run.run_archive", run_archive)
    monkeypatch.setattr("daxa.run.scheduler.share_cluster", lambda *given: contextlib.nullcontext())
    monkeypatch.setattr("daxa.cli.working.end_in_release", lambda *given, **more: None)
    for place in ("daxa.cli.retry", "daxa.cli.reprocess"):
        monkeypatch.setattr(f"{place}.end_in_release", lambda *given, **more: None)
    monkeypatch.setattr("daxa.stages.reprocess.failed_observations", lambda *given: {"xmm": [FIRST]})
    asked = {
        "run": [],
        "retry": [],
        "add": ["xmm", "--obs", FIRST, "--yes", "--release"],
        "update": ["--no-files", "--yes", "--release"],
        "drop": ["xmm", "--obs", SECOND, "--yes", "--release"],
        "reprocess": ["xmm", "--set", "clean.flare_sigma=2.5"],
    }
    for verb, words in asked.items():
        said(capsys, verb, *words, "--executor", "dask")
        assert seen.pop() == "dask", verb
    opened = daxa.open(archive.root, acting=True)
    opened.run(executor="dask")
    opened.retry(executor="dask")
    opened.reprocess("xmm", set={"clean.flare_sigma": 3.5}, executor="dask")
    assert seen == ["dask"] * 3
    assert "DAXA_EXECUTOR" not in os.environ
    before = archive.params("xmm").read_bytes()
    with pytest.raises(CriteriaError, match="no executor"):
        opened.reprocess("xmm", set={"clean.flare_sigma": 4.5}, executor="slurm")
    assert archive.params("xmm").read_bytes() == before
