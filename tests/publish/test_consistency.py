"""Whoever changes a file of a version without running the pipeline is found out, and what was changed is named."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pandas as pd
import pytest

from daxa.archive import git
from daxa.archive.config import load_config, load_parameters
from daxa.archive.layout import STEPS
from daxa.archive.locktext import without_stages
from daxa.archive.software import load_software
from daxa.archive.task_parts import facts_of, parameters_of, software_text
from daxa.errors import ArchiveError, ReleaseError
from daxa.publish.consistency import _expected_parts, contradiction_lines, find_contradictions
from daxa.publish.releases.verify import verify_archive
from daxa.publish.remaking.certificate import recorded_release
from daxa.publish.sharing.pull import pull_data
from daxa.run.ledger import read_ledger, write_ledger
from daxa.run.rows import shorten
from daxa.run.steps import OWN_STEPS
from daxa.selection.selection_file import read_selection, write_selection
from tests.publish.workshop import THIRD, Workshop, deceive, know_storage, run


def replace_in(path, old: str, new: str, after: str = "") -> None:
    """Replace the first such text of a file, behind another one."""
    head, mark, tail = path.read_text().partition(after) if after else ("", "", path.read_text())
    assert old in tail
    path.write_text(f"{head}{mark}{tail.replace(old, new, 1)}")


def forge_parameter(shop: Workshop) -> None:
    replace_in(shop.layout.params("xmm"), "flare_sigma = 3.0", "flare_sigma = 2.5")


def forge_override(shop: Workshop) -> None:
    with shop.layout.params("xmm").open("a") as stream:
        stream.write(f'\n[images.obs."{THIRD}"]\nlightcurve_bin = "50 s"\n')


def forget_parameter(shop: Workshop) -> None:
    replace_in(shop.layout.params("nustar"), "false_per_field = 1.0", "")


def forge_software(shop: Workshop) -> None:
    version = load_software(shop.layout)["xmm", "clean"].version
    replace_in(shop.layout.software, f'version = "{version}"', 'version = "0"', "[xmm.clean]")


def forge_selection(shop: Workshop) -> None:
    path = shop.layout.selection("xmm")
    table = pd.DataFrame(read_selection(path)).assign(instruments="PN")
    write_selection(path, table, mission="xmm", criteria="{}", snapshot="0" * 64)


def forge_dependency(shop: Workshop) -> None:
    """One stage alone is said to have read another ledger."""
    ledger = shop.layout.ledger("xmm", "clean")
    digest = hashlib.md5(ledger.read_bytes(), usedforsecurity=False).hexdigest()
    replace_in(shop.layout.lock, digest, "f" * 32, "  images-xmm:")


def forget_dependency(shop: Workshop) -> None:
    replace_in(shop.layout.lock, "path: ledger/xmm-clean.parquet", "path: ledger/xmm-other.parquet", "  images-xmm:")


def forget_stage(shop: Workshop) -> None:
    """As if images had never been made, though their ledger is there."""
    shop.layout.lock.write_text(without_stages(shop.layout.lock.read_text(), ["images-nustar"]))


def forget_dependency_of_the_report(shop: Workshop) -> None:
    replace_in(shop.layout.lock, "path: ledger/xmm-clean.parquet", "path: ledger/xmm-other.parquet", "  collect:")


def forge_name(shop: Workshop) -> None:
    """A parameter of the last stage."""
    replace_in(shop.layout.lock, "name: a907", "name: a908")


FORGERIES = {
    forge_parameter: {"params/xmm.toml: clean.flare_sigma is 2.5, and was 3.0 in the run that dvc.lock records"},
    forge_override: {"params/xmm.toml: images.obs is a table, and was absent in the run that dvc.lock records"},
    forget_parameter: {
        "params/nustar.toml: sources.false_per_field is absent, and was 1.0 in the run that dvc.lock records"
    },
    forge_software: {'software.toml: xmm.clean.version is "0", and was "'},
    forge_selection: {"selection/xmm.parquet is not the file that dvc.lock names"},
    forge_dependency: {"ledger/xmm-clean.parquet is not the file that dvc.lock names"},
    forget_dependency: {
        "dvc.lock: images-xmm was run without ledger/xmm-clean.parquet",
        "dvc.lock: images-xmm was run with ledger/xmm-other.parquet",
    },
    forget_stage: {
        "dvc.lock: images-nustar has not been run",
        "ledger/nustar-images.parquet is not the file that dvc.lock names",
    },
    forget_dependency_of_the_report: {
        "dvc.lock: collect was run without ledger/xmm-clean.parquet",
        "dvc.lock: collect was run with ledger/xmm-other.parquet",
    },
    forge_name: {'daxa.toml: name is "a907", and was "a908" in the run that dvc.lock records'},
}


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_what_was_forged_is_named_by_everybody_who_judges_a_release(released, tmp_path, monkeypatch, forge):
    deceive(monkeypatch)
    layout, expected = released.layout, FORGERIES[forge]
    forge(released)
    with pytest.raises(ReleaseError, match=next(iter(expected)).split(": ")[0].split(" ")[0]) as refused:
        released.release("again", force=True)
    assert "dvc.lock does not match the files" in refused.value.message
    git.commit(layout.root, ["."], "Forge")
    run(layout.root, "git", "tag", "--force", "--annotate", "--message", "forged", "v1.0.0")
    for tag in ("", "v1.0.0"):
        found = [one for one in verify_archive(layout, tag).problems if one.what == "not-locked"]
        named = {one.path for one in found if not one.path.startswith("data/")}
        assert named == {line.replace(":", " ").split(" ")[0] for line in expected}
    said = recorded_release(layout, "v1.0.0").contradictions
    assert len(said) == len(expected)
    assert all(any(line.startswith(one) for one in expected) for line in said)
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(layout.root), str(clone))
    run(clone, "git", "checkout", "--quiet", "HEAD~1")
    know_storage(monkeypatch)
    before = git.commit_of(clone)
    with pytest.raises(ArchiveError, match="contradict each other") as refused:
        pull_data(Workshop(clone).layout, "v1.0.0")
    assert all(one in refused.value.message for one in expected)
    assert git.commit_of(clone) == before, "it was judged before anything was checked out"
    assert not (clone / "data").exists()


def test_numbers_that_are_equal_are_not_called_changed(finished):
    """DVC takes 3 and 3.0 for the same, so that nothing would run."""
    replace_in(finished.layout.params("xmm"), "flare_sigma = 3.0", "flare_sigma = 3")
    assert find_contradictions(finished.layout, load_config(finished.layout)) == []


def test_rows_that_were_made_otherwise_contradict_a_lock_that_was_forged_to_match(finished):
    layout = finished.layout
    tables, software = load_parameters(layout, "xmm"), load_software(layout)
    for step in STEPS:
        ledger = layout.ledger("xmm", step)
        before = hashlib.md5(ledger.read_bytes(), usedforsecurity=False).hexdigest()
        rows = [
            replace(
                row,
                parts=shorten(
                    {
                        "parameters": parameters_of(tables, step, obs_id),
                        "selection": facts_of(("PN", "M1")),
                        "software": software_text(software["xmm", step]),
                    }
                ),
            )
            for obs_id, row in read_ledger(ledger).items()
        ]
        write_ledger(ledger, rows, mission="xmm", step=step)
        after = hashlib.md5(ledger.read_bytes(), usedforsecurity=False).hexdigest()
        layout.lock.write_text(layout.lock.read_text().replace(before, after))
    config = load_config(layout)
    assert contradiction_lines(layout, config) == []
    forge_parameter(finished)
    replace_in(layout.lock, "flare_sigma: 3.0", "flare_sigma: 2.5")
    forge_software(finished)
    replace_in(layout.lock, f"version: '{software['xmm', 'clean'].version}'", "version: '0'", "  clean-xmm:")
    assert contradiction_lines(layout, config) == [
        "ledger/xmm-clean.parquet: made with other parameters than params/xmm.toml says: 0093640901 and 1 more",
        "ledger/xmm-clean.parquet: made with other software than software.toml says: 0093640901 and 1 more",
    ]
    before = hashlib.md5(layout.selection("xmm").read_bytes(), usedforsecurity=False).hexdigest()
    forge_selection(finished)
    after = hashlib.md5(layout.selection("xmm").read_bytes(), usedforsecurity=False).hexdigest()
    layout.lock.write_text(layout.lock.read_text().replace(before, after))
    said = contradiction_lines(layout, config)
    assert len(said) == 2 + len(STEPS)
    assert (
        "ledger/xmm-fetch.parquet: made with other instruments than the selection says: 0093640901 and 1 more" in said
    )


def test_what_another_daxa_fetched_for_mission_software_is_not_called_forged():
    """Which files SAS starts from stands in daxa, not in the archive; whoever pulls may have another daxa."""
    fetch = next(step for step in OWN_STEPS if step.fetches)
    for backend, judged in {"sas": False, "native": True}.items():
        tables = {"fetch": {}, "events": {"backend": backend}}
        parts = _expected_parts("xmm", fetch, OWN_STEPS, tables, None)(("PN",), "")
        assert ("parameters" in parts) is judged
        assert "selection" in parts


def test_a_lock_of_references_to_references_is_no_bomb(finished):
    """Values of a stranger's lock are shown only where they are short."""
    lines = ["a: &a0 [x, x]", *(f"b{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 40))]
    text = finished.layout.lock.read_text()
    replaced = text.replace("flare_sigma: 3.0", "flare_sigma: *a39", 1)
    finished.layout.lock.write_text("\n".join([*lines, replaced]))
    (line,) = contradiction_lines(finished.layout, load_config(finished.layout))
    assert line == (
        "params/xmm.toml: clean.flare_sigma is 3.0, and was a list of tables or lists in the run that dvc.lock records"
    )


def test_names_of_a_stranger_are_shown_plain(finished):
    replace_in(finished.layout.lock, "          flare_sigma: 3.0", '          flare_sigma: 3.0\n          "x\\e[2J": 1')
    (line,) = contradiction_lines(finished.layout, load_config(finished.layout))
    assert line.isprintable()
    assert json.dumps("x\x1b[2J")[1:-1] in line
