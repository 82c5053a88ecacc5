"""Why observations differ between two states, as data."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from daxa.archive.config import load_config
from daxa.archive.layout import Layout
from daxa.publish.comparing.causes import Cause, cause_lines, find_causes, read_side
from daxa.run.ledger import read_ledger, write_ledger
from daxa.run.task import ProductFile
from tests.stages.archives import IDS, choose, make_archive, run, set_parameter, wish


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    layout = make_archive(tmp_path_factory.mktemp("whole") / "a907")
    run(layout)
    return layout.root


@pytest.fixture
def archive(whole, tmp_path) -> Layout:
    return Layout(shutil.copytree(whole, tmp_path / "a907", symlinks=True))


def causes(whole: Path, layout: Layout) -> list[Cause]:
    return list(find_causes(read_side(Layout(whole)), read_side(layout)))


def redeliver(layout: Layout, obs_id: str, *, gone: bool = False) -> None:
    """Change what the ledger has of one fetched file, or of its name."""
    rows = read_ledger(layout.ledger("xmm", "fetch"))
    first, *others = rows[obs_id].files
    new = ProductFile("new.fits" if gone else first.path, 5, "a" * 64, "b" * 64)
    files = tuple(sorted([new, *others], key=lambda file: file.path))
    rows[obs_id] = replace(rows[obs_id], files=files)
    write_ledger(layout.ledger("xmm", "fetch"), rows.values(), mission="xmm", step="fetch")


def test_nothing_differs_from_itself(whole, archive):
    assert causes(whole, archive) == []
    run(archive)
    assert causes(whole, archive) == []
    assert cause_lines([]) == []


def test_a_parameter_is_named_from_what_to_what_and_what_follows_is_not(whole, archive):
    set_parameter(archive, "clean", "flare_sigma", 2.5, obs_id=IDS[0])
    set_parameter(archive, "clean", "flare_threshold", "0.4 count/s", obs_id=IDS[0])
    set_parameter(archive, "images", "pixel", "8 arcsec", obs_id=IDS[0])
    run(archive)
    found = causes(whole, archive)
    assert [(one.obs_id, one.kind, one.step) for one in found] == [
        (IDS[0], "parameters", "clean"),
        (IDS[0], "parameters", "images"),
    ]
    assert found[0].changes == {"flare_sigma": (3.0, 2.5), "flare_threshold": (None, "0.4 count/s")}
    assert json.loads(json.dumps(found[1].as_dict()))["changes"]["pixel"][1] == "8.0 arcsec"
    assert cause_lines(found)[0] == (
        f"xmm: 1 with other parameters, clean.flare_sigma 3.0 -> 2.5, clean.flare_threshold default -> "
        f'"0.4 count/s": {IDS[0]}'
    )


def test_new_removed_and_instruments(whole, archive):
    choose(archive, [*IDS[:2], "0099999901"], instruments="PN")
    run(archive)
    found = {(one.obs_id, one.kind, one.step): one for one in causes(whole, archive)}
    assert ("0099999901", "new", "") in found
    assert (IDS[2], "removed", "") in found
    assert found[IDS[0], "selection", "fetch"].changes == {"instruments": (["PN", "M1", "M2"], ["PN"])}
    assert "xmm: 1 new: 0099999901" in cause_lines(list(found.values()))


@pytest.mark.parametrize("gone", [False, True], ids=["other bytes", "other name"])
def test_a_file_that_was_replaced_is_the_cause(whole, archive, gone):
    redeliver(archive, IDS[1], gone=gone)
    run(archive, "events", "clean", "images", "sources")
    (found,) = causes(whole, archive)
    assert (found.obs_id, found.kind, found.step) == (IDS[1], "redelivered", "fetch")
    assert (
        ("", "a" * 64) in found.changes.values() if gone else [new for _, new in found.changes.values()] == ["a" * 64]
    )


def test_files_that_other_parameters_bring_are_not_redelivered(whole, archive):
    set_parameter(archive, "fetch", "extra", ["x.*"])
    run(archive)
    kinds = {(one.kind, one.step) for one in causes(whole, archive)}
    assert ("parameters", "fetch") in kinds
    redeliver(archive, IDS[1], gone=True)
    assert not [one for one in causes(whole, archive) if "new.fits" in one.changes]


def test_software_outcomes_and_what_has_no_reason(whole, archive):
    text = archive.software.read_text()
    version = load_config(archive) and text.split("[xmm.images]")[1].split('version = "')[1].split('"')[0]
    head, tail = text.split("[xmm.images]")
    archive.software.write_text(f"{head}[xmm.images]{tail.replace(version, '999', 1)}")
    rows = read_ledger(archive.ledger("xmm", "images"))
    parts = json.loads(rows[IDS[0]].parts) | {"software": "0" * 16}
    rows[IDS[0]] = replace(rows[IDS[0]], parts=json.dumps(parts), fingerprint="c" * 64)
    rows[IDS[1]] = replace(rows[IDS[1]], outcome="failed", reason="data.no-events", files=())
    first, *others = rows[IDS[2]].files
    rows[IDS[2]] = replace(rows[IDS[2]], files=(replace(first, science="d" * 64), *others))
    write_ledger(archive.ledger("xmm", "images"), rows.values(), mission="xmm", step="images")
    found = {one.obs_id: one for one in causes(whole, archive)}
    assert (found[IDS[0]].kind, found[IDS[0]].changes["software"][1]) == ("software", "native 999")
    assert (found[IDS[1]].kind, found[IDS[1]].changes) == ("outcome", {"outcome": ("done", "failed data.no-events")})
    assert (found[IDS[2]].kind, found[IDS[2]].step) == ("remade", "images")


def test_what_is_skipped_because_of_a_failure_is_not_a_cause_of_its_own(whole, archive):
    wish(archive, **{f"events_{IDS[0]}": "data"})
    set_parameter(archive, "events", "min_ontime", "1 ks", obs_id=IDS[0])
    run(archive)
    assert {(one.kind, one.step) for one in causes(whole, archive)} == {("outcome", "events"), ("parameters", "events")}
