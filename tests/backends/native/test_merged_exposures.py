"""Exposures of one camera become one list in the step clean; images and sources use it, and the parts stay."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from astropy.io import fits

from daxa.run.product import parse_product
from daxa.xray.cleaning.cleaned import write_clean_events
from daxa.xray.cleaning.cut import Cut
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.opening import open_events
from tests.backends.native.observations import XMM_ONE, run_step

LIST = "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits"
STEM = "obsid0404910601-instM1-subexp"


def lay_out(root, real_data, *, other_filter: bool = False):
    """The real exposure in two, as if the camera had been stopped in between."""
    events = open_events(real_data / LIST)
    (root / "events").mkdir(parents=True)
    edges = np.concatenate([good.ravel() for good in events.gtis.values()])
    middle = float(edges.min() + 0.5 * (edges.max() - edges.min()))
    for name, span in (("S001", (edges.min(), middle)), ("S003", (middle, edges.max() + 1))):
        own = {chip: gti.intersect(good, [span]) for chip, good in events.gtis.items()}
        cards = {"EXPIDSTR": (name, "exposure")}
        if other_filter and name == "S003":
            cards["FILTER"] = ("Thick", "filter")
        write_clean_events(root / "events" / f"{STEM}{name}-en-events.fits", events, Cut((), own), cards)
    return replace(XMM_ONE, files={})


@pytest.fixture(scope="module")
def made(real_data, tmp_path_factory):
    root = tmp_path_factory.mktemp("merged")
    fetched = lay_out(root, real_data)
    logs = {"clean": run_step(fetched, "clean", root, flares="none")[1]}
    for step, asked in (
        ("images", {"bands": ["0.5-2.0 keV"], "pixel": "4.35 arcsec"}),
        ("sources", {"realisations": 0}),
    ):
        logs[step] = run_step(fetched, step, root, **asked)[1]
    return root, logs


def names(folder, kind: str) -> dict[str, object]:
    found = [(parse_product(path.name), path) for path in folder.iterdir()]
    return {product.exposure: path for product, path in found if product.kind == kind and path.suffix == ".fits"}


def test_the_merged_list_holds_the_events_of_both(made):
    root, logs = made
    lists = {name: open_events(path) for name, path in names(root / "clean", "finalevents").items()}
    assert set(lists) == {"S001", "S003", "ALL"}
    rows = [{row.tobytes() for row in lists[name].rows} for name in ("S001", "S003", "ALL")]
    assert rows[0] | rows[1] == rows[2]
    assert len(lists["ALL"].rows) == len(lists["S001"].rows) + len(lists["S003"].rows)
    assert lists["ALL"].header["MERGED"] == "S001,S003"
    assert lists["ALL"].header["SCREENED"] == "standard"
    assert lists["ALL"].header["SCREENIN"] == lists["S001"].header["SCREENIN"] != "none"
    for chip, good in lists["ALL"].gtis.items():
        parts = gti.union(lists["S001"].gtis[chip], lists["S003"].gtis[chip])
        np.testing.assert_allclose(gti.total(good), gti.total(parts), atol=1e-6)
    assert "exposures S001, S003 merged" in logs["clean"]
    assert set(names(root / "clean", "gti")) == {"S001", "S003", "ALL"}


def test_images_of_the_whole_are_the_sum_and_nothing_counts_twice(made):
    root, _ = made
    images = {name: fits.getdata(path) for name, path in names(root / "images", "image").items()}
    assert set(images) == {"S001", "S003", "ALL"}
    assert images["ALL"].sum() == images["S001"].sum() + images["S003"].sum() > 10000
    assert not names(root / "images", "combinedimage")


def test_sources_are_looked_for_in_the_whole_alone(made):
    root, _ = made
    assert set(names(root / "sources", "sourcelist")) == {"ALL"}
    (search,) = (root / "sources").glob("*-search.json")
    assert [one["exposure"] for one in json.loads(search.read_text())] == ["ALL"]


def test_exposures_of_two_filters_stay_apart(real_data, tmp_path):
    fetched = lay_out(tmp_path, real_data, other_filter=True)
    target, log = run_step(fetched, "clean", tmp_path, flares="none")
    assert set(names(target, "finalevents")) == {"S001", "S003"}
    assert "filter is" in log
    assert not list(target.glob("*.parts"))


def test_exposures_that_do_not_fit_together_are_kept_one_by_one(real_data, tmp_path):
    fetched = lay_out(tmp_path, real_data)
    path = tmp_path / "events" / f"{STEM}S003-en-events.fits"
    with fits.open(path) as units:
        place = next(number for number, unit in enumerate(units) if unit.name == "BADPIX03")
        columns = [
            fits.Column(one.name, "J" if one.name == "RAWX" else one.format, array=units[place].data[one.name])
            for one in units[place].columns
        ]
        units[place] = fits.BinTableHDU.from_columns(columns, header=units[place].header)
        units.writeto(tmp_path / "other.fits")
    (tmp_path / "other.fits").replace(path)
    target, log = run_step(fetched, "clean", tmp_path, flares="none")
    assert set(names(target, "finalevents")) == set(names(target, "gti")) == {"S001", "S003"}
    assert "exposures S001, S003 are not merged: the tables BADPIX03" in log
    assert not list(target.glob("*.part*"))


def test_of_three_exposures_the_two_that_are_alike_are_merged(real_data, tmp_path):
    """The first has another filter: it stays, is imaged beside the two, and counts with them."""
    events = open_events(real_data / LIST)
    (tmp_path / "events").mkdir()
    edges = np.concatenate([good.ravel() for good in events.gtis.values()])
    moments = np.quantile(np.unique(edges), [0, 0.35, 0.7, 1])
    moments[-1] += 1
    for name, span, filter_ in zip(
        ("S001", "S003", "S005"),
        pairwise(moments),
        ("Thick", "Medium", "Medium"),
        strict=True,
    ):
        own = {chip: gti.intersect(good, [span]) for chip, good in events.gtis.items()}
        cards = {"EXPIDSTR": (name, "exposure"), "FILTER": (filter_, "filter")}
        write_clean_events(tmp_path / "events" / f"{STEM}{name}-en-events.fits", events, Cut((), own), cards)
    fetched = replace(XMM_ONE, files={})
    target, log = run_step(fetched, "clean", tmp_path, flares="none")
    lists = {name: open_events(path) for name, path in names(target, "finalevents").items()}
    assert set(lists) == {"S001", "S003", "S005", "ALL"}
    assert lists["ALL"].header["MERGED"] == "S003,S005"
    assert len(lists["ALL"].rows) == len(lists["S003"].rows) + len(lists["S005"].rows)
    assert any(line.startswith(f"{STEM}S001") and "not merged" in line for line in log.splitlines())
    run_step(fetched, "images", tmp_path, bands=["0.5-2.0 keV"], pixel="4.35 arcsec")
    images = {name: fits.getdata(path).sum() for name, path in names(tmp_path / "images", "image").items()}
    (whole,) = (tmp_path / "images").glob("*combinedimage*")
    assert fits.getdata(whole).sum() == images["S001"] + images["ALL"] == sum(images.values()) - images["ALL"]
    run_step(fetched, "sources", tmp_path, search="none")
    (search,) = (tmp_path / "sources").glob("*-search.json")
    assert [one["exposure"] for one in json.loads(search.read_text())] == ["ALL", "S001"]
