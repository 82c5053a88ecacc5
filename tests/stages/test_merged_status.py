"""After a merge the status says what must run, and nothing else: the fingerprints of both sides hold as they are."""

from __future__ import annotations

import shutil

from daxa.archive.config import load_config
from daxa.archive.layout import Layout
from daxa.publish.merging.merge_choices import choose_records, read_merge_side
from daxa.publish.merging.merged_tables import merge_tables
from daxa.stages.status import read_status
from tests.stages.archives import IDS, choose, make_archive, run, set_parameter

NEW, HERS = "0777777777", "0888888888"


def merged(tmp_path, ours, theirs):
    """Two copies of a finished archive, in which each side does something, and ours with the merge of both."""
    run(make_archive(tmp_path / "base"))
    sides = []
    for name, act in (("ours", ours), ("theirs", theirs)):
        layout = Layout(tmp_path / name)
        shutil.copytree(tmp_path / "base", layout.root)
        act(layout)
        run(layout)
        sides.append(layout)
    known = tuple(read_merge_side(layout) for layout in (Layout(tmp_path / "base"), *sides))
    choices, conflicts = choose_records(*known, {})
    assert not conflicts
    assert not merge_tables(tmp_path / "merged", known, choices, {}).conflicts
    shutil.copytree(tmp_path / "merged", sides[0].root, dirs_exist_ok=True)
    for one in choices:
        for step in one.record.rows if one.side == "theirs" and one.record else ():
            place = (sides[1].products("xmm", step) / one.obs_id, sides[0].products("xmm", step) / one.obs_id)
            shutil.rmtree(place[1], ignore_errors=True)
            shutil.copytree(*place)
    found = read_status(sides[0], load_config(sides[0]))
    return {
        (one.step, obs_id): (status, reason)
        for one in found
        for obs_id, status, reason in zip(one.obs_ids, one.statuses, one.reasons, strict=True)
        if status != "done"
    }


def test_nothing_runs_after_disjoint_additions(tmp_path):
    assert (
        merged(
            tmp_path,
            lambda layout: choose(layout, [*IDS, NEW]),
            lambda layout: choose(layout, [*IDS, HERS]),
        )
        == {}
    )


def test_what_was_added_with_former_parameters_is_out_of_date(tmp_path):
    found = merged(
        tmp_path,
        lambda layout: choose(layout, [*IDS, NEW]),
        lambda layout: set_parameter(layout, "images", "lightcurve_bin", "200 s"),
    )
    assert found == {("images", NEW): ("outdated", "parameters changed"), ("sources", NEW): found["sources", NEW]}
