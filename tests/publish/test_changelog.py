"""CHANGES.md, the list of releases, and the history of an observation."""

from __future__ import annotations

import json

import pytest

import daxa
from daxa.archive import git
from daxa.cli import main
from daxa.errors import CriteriaError
from daxa.publish.comparing.changelog import record_changes, with_section
from tests.publish.workshop import FIRST, THIRD, deceive, run

HAND = "# Changes\n\nWritten by hand.\n\n## v1.0.0 (2026-01-01)\n\nfirst\n\nSee also our paper.\n"


def test_a_section_is_added_and_nothing_else_is_changed():
    once = with_section(HAND, "v1.1.0", "2026-11-30", "second\n\nXMM: 3 observations\n\nSince v1.0.0:\nxmm: 1 new: 1\n")
    head, _, tail = once.partition("## v1.1.0 (2026-11-30)\n\nsecond\n\n- XMM: 3 observations\n")
    assert (head + tail).replace("\nSince v1.0.0:\n\n- xmm: 1 new: 1\n\n", "") == HAND
    assert with_section(once, "v1.1.0", "2026-11-30", "second\n\nXMM: 3 observations\n").count("## v1.1.0") == 1
    again = with_section(once, "v1.1.0", "2026-12-01", "other words")
    assert "second" not in again
    assert again.endswith(HAND.partition("by hand.\n\n")[2])


def test_a_title_makes_no_heading():
    text = with_section("", "v1.0.0", "2026-11-30", "## v0.9.0 (2020-01-01)\n\n## v0.8.0 (x)\n")
    assert [line for line in text.split("\n") if line.startswith("## ")] == ["## v1.0.0 (2026-11-30)"]
    assert with_section(text, "v1.0.0", "2026-11-30", "x") == "## v1.0.0 (2026-11-30)\n\nx\n"


def test_releases_are_in_the_file_and_in_the_log(released, monkeypatch, capsys):
    deceive(monkeypatch)
    layout = released.layout
    monkeypatch.chdir(layout.root)
    assert "CHANGES.md" in git.tracked(layout.root)
    assert "first data release" in layout.changes.read_text()
    layout.changes.write_text(layout.changes.read_text().replace("first data", "very first data"))
    released.process("xmm", [FIRST, THIRD], salts={THIRD: "anew"})
    released.record()
    record_changes(layout, "v1.0.1", "an interrupted release")
    made = released.release("again")
    text = layout.changes.read_text()
    assert "interrupted" not in text
    assert "very first data release" in text
    assert text.index("## v1.0.1") < text.index("## v1.0.0")
    assert all(line in text for line in made.message.split("\n") if line)
    assert not git.changes(layout.root)

    releases = daxa.open().log()
    assert [(one.tag, one.title, one.by) for one in releases] == [
        ("v1.0.0", "first data release", "Henrietta Leavitt"),
        ("v1.0.1", "again", "Henrietta Leavitt"),
    ]
    assert releases[1].message == made.message.strip()
    assert main(["log"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("v1.0.1") < shown.index("v1.0.0")
    assert main(["log", "-n", "1", "--json"]) == 0
    assert [json.loads(line)["tag"] for line in capsys.readouterr().out.splitlines()] == ["v1.0.1"]

    found = daxa.open().history(THIRD)
    assert [(one.release and one.release.tag, one.change.change) for one in found] == [
        ("v1.0.0", "added"),
        ("v1.0.1", "reprocessed"),
    ]
    assert [one.release.tag for one in daxa.open().history(FIRST) if one.release] == ["v1.0.0"]
    released.process("xmm", [FIRST, THIRD], salts={THIRD: "once more"})
    assert daxa.open().history(THIRD)[-1].release is None
    assert main(["history", THIRD]) == 0
    assert "not released yet" in capsys.readouterr().out
    assert main(["history", THIRD, "--json"]) == 0
    assert [json.loads(line)["tag"] for line in capsys.readouterr().out.splitlines()] == ["v1.0.0", "v1.0.1", ""]
    with pytest.raises(CriteriaError, match="has an observation '0999'"):
        daxa.open().history("0999")


def test_the_log_of_a_stranger_s_tags(released):
    root = released.layout.root
    run(root, "git", "tag", "v2.0.0")
    run(root, "git", "tag", "-a", "-m", "\x1b[2J title\n\nbody", "v2.0.1")
    found = {one.tag: one for one in daxa.open(root).log()}
    assert found["v2.0.0"].commit == found["v1.0.0"].commit
    assert found["v2.0.1"].message.endswith("body")
