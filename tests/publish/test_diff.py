"""What differs between two versions: causes, effects, contents; as lines, JSON and a page."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import daxa
from daxa.archive import git
from daxa.archive.config import load_config
from daxa.archive.layout import Layout
from daxa.archive.software import load_software, random_kinds
from daxa.cli import main
from daxa.errors import ArchiveError, DataError
from daxa.publish.comparing import diff
from daxa.publish.comparing.contents_here import ContentFinder
from daxa.publish.comparing.diff import compare_revisions, diff_archive
from daxa.publish.comparing.diff_page import diff_lines, diff_page
from daxa.publish.comparing.revisions import NOTHING, WORKING_TREE, read_revision
from daxa.run.ledger import read_ledger, write_ledger
from daxa.run.task import ProductFile
from tests.publish.workshop import FIRST, SECOND, THIRD, deceive, observation, set_identity
from tests.stages.archives import IDS, choose, make_archive, run, set_parameter


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """An archive that is processed and committed."""
    with pytest.MonkeyPatch.context() as patch:
        set_identity(patch)
        layout = make_archive(tmp_path_factory.mktemp("whole") / "a907")
        run(layout)
        measure(layout, dict.fromkeys(IDS, (20000.0, 500, 7)))
        git.commit(layout.root, ["."], "Process")
        git.create_tag(layout.root, "v1.0.0", "first")
    return layout.root


@pytest.fixture
def archive(whole, tmp_path, monkeypatch) -> Layout:
    set_identity(monkeypatch)
    return Layout(shutil.copytree(whole, tmp_path / "a907", symlinks=True))


def measure(layout: Layout, found: dict[str, tuple[float, int, int]]) -> None:
    """Write what was measured into the ledgers: clean exposure, events, sources."""
    cleaned, searched = (read_ledger(layout.ledger("xmm", step)) for step in ("clean", "sources"))
    for obs_id, (good, events, sources) in found.items():
        exposure = {"anomalous": [], "archived": 25_000.0, "events": events, "flares": "GOOD", "good": good, "left": {}}
        text = json.dumps({"exposures": [exposure]}, sort_keys=True, separators=(",", ":"))
        cleaned[obs_id] = replace(cleaned[obs_id], measures=text)
        image = json.dumps([{"instrument": "M1", "sources": sources}], sort_keys=True, separators=(",", ":"))
        searched[obs_id] = replace(searched[obs_id], measures=image)
    write_ledger(layout.ledger("xmm", "clean"), cleaned.values(), mission="xmm", step="clean")
    write_ledger(layout.ledger("xmm", "sources"), searched.values(), mission="xmm", step="sources")


def said(*arguments: str, code: int = 0, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(list(arguments)) == code
    return capsys.readouterr().out


def test_nothing_differs_and_that_is_said(archive, monkeypatch, capsys):
    monkeypatch.chdir(archive.root)
    assert not daxa.open().diff()
    assert "no observation differs between v1.0.0 and the working tree" in said("diff", capsys=capsys)
    assert said("diff", "v1.0.0", "HEAD", "--json", "--exit-code", capsys=capsys) == ""


def test_causes_and_effects_from_ledgers_only(archive, monkeypatch, capsys):
    monkeypatch.chdir(archive.root)
    choose(archive, [*IDS[:2], "0099999901"])
    set_parameter(archive, "clean", "flare_sigma", 2.5, obs_id=IDS[0])
    run(archive)
    measure(archive, {IDS[0]: (18_000.0, 450, 6), IDS[1]: (20_000.0, 500, 7), "0099999901": (1000.0, 5, 0)})
    shutil.rmtree(archive.root / "data")
    found = {one.obs_id: one for one in daxa.open().diff("v1.0.0").observations}
    assert {obs_id: one.change for obs_id, one in found.items()} == {
        IDS[0]: "reprocessed",
        IDS[2]: "removed",
        "0099999901": "added",
    }
    one = found[IDS[0]]
    assert [(cause.kind, cause.changes["flare_sigma"]) for cause in one.causes] == [("parameters", (3.0, 2.5))]
    assert (one.before.exposure, one.now.exposure, one.before.lost) == (20_000.0, 18_000.0, 0.2)
    assert {(file.step, file.what, file.verdict) for file in one.files} == {
        (step, "changed", "") for step in ("clean", "images", "sources")
    }
    assert (found[IDS[2]].before.sources, found["0099999901"].now.counts) == (7, 5)

    lines = said("diff", "v1.0.0", "--exit-code", code=7, capsys=capsys).splitlines()
    assert lines[:2] == ["v1.0.0 -> the working tree", "xmm: 1 added, 1 removed, 1 reprocessed"]
    assert f"~ xmm {IDS[0]} reprocessed: with other parameters, clean.flare_sigma 3.0 -> 2.5" in lines
    effect = "clean exposure 20 -> 18 ks, lost to flares 20 -> 28 %, events 500 -> 450, sources 7 -> 6"
    assert f"    {effect}" in lines
    assert "was not compared" in lines[-1]
    records = [json.loads(line) for line in said("diff", "v1.0.0", "--json", capsys=capsys).splitlines()]
    assert [record["obs_id"] for record in records] == sorted(found)
    page = archive.root.parent / "page.html"
    said("diff", "--html", "../page.html", capsys=capsys)
    text = page.read_text()
    assert effect.replace("->", "&rarr;").replace(", ", "<br>") in text
    assert not any(word in text for word in ("<script", "http", "src=", "onload"))


def test_the_contents_here_are_compared(archive, monkeypatch):
    """Two contents of one file, one of them in the store under its digest."""
    set_parameter(archive, "clean", "flare_sigma", 2.5, obs_id=IDS[0])
    before = archive.products("xmm", "images") / IDS[0]
    (path,) = before.glob("*-image.fits")
    former = path.read_bytes()
    run(archive)
    one = diff_archive(archive, "v1.0.0").observations[0]
    assert not any(file.verdict for file in one.files), "the former contents are gone"

    def elsewhere(self, mission: str, step: str, commit: str) -> dict[str, str]:
        return {f"{IDS[0]}/{path.name}": "d" * 32} if commit and step == "images" else {}

    monkeypatch.setattr("daxa.publish.comparing.contents_here.ContentFinder._listed", elsewhere)
    kept = archive.root / ".dvc" / "cache" / "files" / "md5" / "dd" / ("d" * 30)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(former)
    found = diff_archive(archive, "v1.0.0")
    (image,) = [file for file in found.observations[0].files if file.path == path.name and file.step == "images"]
    assert image.verdict == "different"
    assert image.differences[0].startswith("the file differs from byte ")
    assert (found.compared, found.not_compared) == (1, len(found.observations[0].files) - 1)
    assert diff_archive(archive, "v1.0.0", files=0).compared == 0

    kept.write_bytes(former[:-1] + b"?")
    assert diff_archive(archive, "v1.0.0").compared == 0, "a damaged object is not believed"
    kept.unlink()
    kept.symlink_to("/etc/passwd")
    assert diff_archive(archive, "v1.0.0").compared == 0


def test_a_version_that_was_released_is_compared_from_the_cache(released, monkeypatch):
    deceive(monkeypatch)
    released.process("xmm", [FIRST, THIRD], salts={FIRST: "anew"})
    released.record()
    git.commit(released.layout.root, ["."], "Again")
    shutil.rmtree(released.layout.products("xmm", "clean"))
    found = diff_archive(released.layout, "v1.0.0", "HEAD")
    (one,) = found.observations
    steps = {file.step for file in one.files if file.verdict == "different"}
    assert (one.obs_id, one.change) == (FIRST, "reprocessed")
    assert steps == {"events", "clean", "images", "sources"}
    assert {file.step for file in one.files} - steps == {"fetch"}


def test_what_was_before_the_first_version(archive):
    found = compare_revisions(archive, NOTHING, read_revision(archive, "v1.0.0"))
    assert [one.change for one in found.observations] == ["added"] * 3
    (one,) = compare_revisions(archive, NOTHING, read_revision(archive, "v1.0.0"), obs_ids={IDS[1]}).observations
    assert (one.obs_id, one.now.sources) == (IDS[1], 7)
    assert read_revision(archive).name == WORKING_TREE


def test_what_cannot_be_compared(archive, tmp_path):
    with pytest.raises(ArchiveError, match="no revision"):
        diff_archive(archive, "v9.0.0")
    with pytest.raises(ArchiveError):
        diff_archive(archive, "--output=here")
    archive.ledger("xmm", "clean").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="Parquet"):
        diff_archive(archive, "v1.0.0")


def test_texts_of_a_stranger_are_harmless(archive):
    rows = read_ledger(archive.ledger("xmm", "clean"))
    measures = '[{"instrument":"<script>","sources":1}]'
    rows[IDS[0]] = replace(
        rows[IDS[0]], outcome="failed", reason="<script>alert(1)</script>", measures=measures, files=()
    )
    write_ledger(archive.ledger("xmm", "clean"), rows.values(), mission="xmm", step="clean")
    found = diff_archive(archive, "v1.0.0")
    assert "<script" not in diff_page(found)
    assert any("<script>alert(1)" in line for line in diff_lines(found, 5))


def test_observations_that_come_and_go(released):
    layout = released.layout
    released.choose("xmm", [observation(FIRST), observation(SECOND), observation(THIRD)])
    git.commit(layout.root, ["."], "More")
    found = diff_archive(layout, "v1.0.0", "HEAD")
    assert [(one.obs_id, one.change, one.causes[0].kind) for one in found.observations] == [(SECOND, "added", "new")]
    back = diff_archive(layout, "HEAD", "v1.0.0")
    assert [(one.obs_id, one.change) for one in back.observations] == [(SECOND, "removed")]


def test_noise_is_no_difference_in_versions_of_which_only_the_cache_has_the_files(archive, tmp_path, monkeypatch):
    """An object in DVC's cache has neither a name nor a manifest that say what it is."""
    counts = np.random.default_rng(1).poisson(9.0, (2, 40, 40))
    place, name = ("xmm", "images", IDS[0]), "obsid1-instM1-subexp1-en0.5_2.0keV-image.fits"
    sides = [ProductFile(name, 1, str(at) * 64, "") for at in range(2)]
    for side, data in zip(sides, counts, strict=True):
        header = fits.Header([("BUNIT", "count")])
        fits.PrimaryHDU(data.astype("i4"), header).writeto(tmp_path / side.sha256[:30])
    monkeypatch.setattr(ContentFinder, "_find", lambda self, place, file, commit: tmp_path / file.sha256[:30])
    software = archive.software.read_text()
    sas = software.replace('[xmm.events]\nbackend = "native"', '[xmm.events]\nbackend = "sas"')
    assert sas != software
    verdicts = {}
    for text in (software, sas):
        archive.software.write_text(text)
        kinds = random_kinds(load_config(archive), load_software(archive))
        finder = ContentFinder(archive, ("", ""), most=5, at_random=[kinds])
        verdicts[text] = finder.compare(place, *sides)[0]
    assert verdicts == {software: "different", sas: "equal within counting noise"}
    # Which is what a difference of two versions goes by.
    given = []
    monkeypatch.setattr(diff, "ContentFinder", lambda *args, at_random, **options: given.append(at_random) or finder)
    diff_archive(archive, "v1.0.0")
    ((before, now),) = given
    assert ("image" in before["xmm", "images"], "image" in now["xmm", "images"]) == (False, True)
