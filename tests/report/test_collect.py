"""Metrics and report: pure, escaped, and usable from a disk."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from daxa.archive import git
from daxa.report.page import Row, Section, TaskCell, render_page
from daxa.run.ledger import read_ledger, write_ledger
from daxa.run.task import canonical
from daxa.stages.collect import run_collect
from tests.publish.workshop import FIRST, THIRD, Workshop, observation


class Page(HTMLParser):
    """Collects what a page refers to, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.addresses, self.words = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def archive(tmp_path, identity) -> Workshop:
    workshop = Workshop(tmp_path / "a907")
    workshop.generate(["xmm", "nustar"], "")
    workshop.choose("xmm", [observation(FIRST), observation(THIRD) | {"exposure": math.nan, "start": math.nan}])
    workshop.choose("nustar", [observation("30101031002") | {"instruments": "FPMA"}])
    git.initialise(workshop.layout.root)
    workshop.process("xmm", [FIRST, THIRD], failed={THIRD: "clean"})
    workshop.process("nustar", ["30101031002"])
    run_collect(workshop.layout.root)
    return workshop


def test_metrics_count_what_the_ledgers_hold(archive):
    metrics = json.loads(archive.layout.metrics.read_text())
    xmm = metrics["missions"]["xmm"]
    assert xmm["selected"] == 2
    assert xmm["exposure"] == 23000.0
    assert xmm["steps"]["events"] == {"done": 2, "failed": 0, "skipped": 0, "todo": 0}
    assert xmm["steps"]["clean"] == {"done": 1, "failed": 1, "skipped": 0, "todo": 0}
    assert xmm["steps"]["images"] == {"done": 1, "failed": 0, "skipped": 1, "todo": 0}
    fits = [path for path in (archive.layout.root / "data").rglob("*") if path.suffix in (".fits", ".png")]
    assert metrics["total"]["products"] == len(fits)
    assert metrics["total"]["product_bytes"] == sum(path.stat().st_size for path in fits)
    assert metrics["total"]["fetched"] == 3


def test_every_link_of_the_report_leads_to_a_file(archive):
    page = Page((archive.layout.report / "index.html").read_text())
    files = [address for address in page.addresses if not address.startswith("#")]
    assert sum(address.endswith(".png") for address in files) == 4
    assert len(set(files)) == 2 + 13 - 1
    for address in files:
        assert urlsplit(address).scheme == ""
        assert (archive.layout.report / unquote(address)).exists()
    assert "script" not in page.tags
    text = "".join(page.words)
    assert "Abell <907> & more" in text
    assert "data.no-events" in text
    assert "2 observations" not in text


def test_the_outs_are_pure(archive, tmp_path):
    before = (archive.layout.metrics.read_bytes(), (archive.layout.report / "index.html").read_bytes())
    assert str(tmp_path).encode() not in b"".join(before)
    other = tmp_path / "elsewhere"
    archive.layout.root.rename(other)
    run_collect(other)
    moved = Workshop(other).layout
    assert (moved.metrics.read_bytes(), (moved.report / "index.html").read_bytes()) == before
    assert sorted(path.name for path in moved.report.iterdir()) == ["exposures.csv", "index.html"]


def measured(good: float, flares: str, **left: float) -> str:
    bands = {f"{band.replace('_', '-')} keV": value for band, value in left.items()}
    one = {"good": good, "archived": 10000.0, "flares": flares, "left": bands, "anomalous": [5] if good < 6000 else []}
    return canonical({"exposures": [one]})


def test_metrics_give_the_time_lost_to_flares_and_what_they_leave(archive):
    path = archive.layout.ledger("xmm", "clean")
    rows = read_ledger(path)
    texts = {FIRST: measured(5000.0, "GOOD", b2_10=0.01), THIRD: measured(8000.0, "INTERMEDIATE", b2_10=0.07)}
    write_ledger(
        path,
        [replace(rows[obs_id], measures=text) for obs_id, text in texts.items()],
        mission="xmm",
        step="clean",
    )
    run_collect(archive.layout.root)
    metrics = json.loads(archive.layout.metrics.read_text())
    assert metrics["missions"]["xmm"]["clean"] == {
        "exposures": 2,
        "exposure": 13000.0,
        "lost": 0.35,
        "anomalous_chips": 1,
        "good": 1,
        "flares_left": {"b2-10 keV": {"mean": 0.04, "most": 0.07}},
    }
    assert "clean" not in metrics["missions"]["nustar"]
    page = (archive.layout.report / "index.html").read_text()
    assert "5.0 ks, GOOD +1.0%" in page
    assert "8.0 ks, INTERMEDIATE +7.0%" in page


def test_the_page_has_one_text_for_each_exposure(archive):
    found = {"instrument": "PN", "exposure": "S003", "sources": 12, "band": "0.5-2.0 keV", "searched": True}
    one = {"good": 5000.0, "archived": 5000.0, "flares": "GOOD", "left": {}, "anomalous": []}
    exposures = [{**one, "instrument": "PN", "exposure": "S003"}, {**one, "instrument": "FPMA", "exposure": "None"}]
    for step, text in (("clean", canonical({"exposures": exposures})), ("sources", canonical([found]))):
        path = archive.layout.ledger("xmm", step)
        rows = read_ledger(path)
        write_ledger(path, [replace(rows[FIRST], measures=text)], mission="xmm", step=step)
    run_collect(archive.layout.root)
    page = (archive.layout.report / "index.html").read_text()
    assert "PN S003: 5.0 ks, GOOD, 12 sources at 0.5-2.0 keV<" in page
    assert "FPMA: 5.0 ks, GOOD<" in page


@pytest.mark.parametrize("text", ["[]", '"x"', '{"exposures":7}', '{"exposures":[3,{"good":"x","left":{}}]}'])
def test_measures_of_a_stranger_s_ledger_count_for_nothing(archive, text):
    path = archive.layout.ledger("xmm", "clean")
    rows = read_ledger(path).values()
    write_ledger(path, [replace(row, measures=text) for row in rows], mission="xmm", step="clean")
    run_collect(archive.layout.root)
    assert "clean" not in json.loads(archive.layout.metrics.read_text())["missions"]["xmm"]


def test_hostile_values_stay_text():
    evil = "\"><script>alert(1)</script>'"
    row = Row(evil, evil, evil, math.inf, -math.inf, (TaskCell(evil, evil, f"../{evil}/"),), (f"javascript:{evil}",))
    page = Page(render_page(evil, [Section(evil, evil, ("clean",), (row,))]))
    assert "script" not in page.tags
    assert not any(address.startswith("javascript:") for address in page.addresses)


def test_an_archive_that_has_not_run_is_all_to_do(tmp_path):
    workshop = Workshop(tmp_path / "a907")
    workshop.generate(["xmm"], "")
    workshop.choose("xmm", [observation(FIRST)])
    run_collect(workshop.layout.root)
    metrics = json.loads(workshop.layout.metrics.read_text())
    assert metrics["missions"]["xmm"]["steps"]["fetch"] == {"done": 0, "failed": 0, "skipped": 0, "todo": 1}
    assert "1 todo" in (workshop.layout.report / "index.html").read_text()
