"""Whoever processes an observation, the kinds of products, their names and their headers are the same.

Every suite is compared with the native chain on simulated observations: of XMM-Newton, eRASS1 and Chandra the same, of
NuSTAR another one, since there is none that has both raw and screened lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from astropy.io import fits

from daxa.archive.layout import STEPS
from daxa.backends.tools import capture
from daxa.run.product import Product, parse_product
from tests.backends.whole import SUITES, Suite, Whole, raw_files
from tests.stubs import here
from tests.stubs.install import install_suite

NATIVE_NUSTAR = "90900001002"
OWN = {
    "events": {"archivemap"},
    "clean": {"flares", "lightcurve", "measures", "archivemap"},
    "images": {"lightcurve", "combinedimage", "combinedexpmap", "combinedratemap"},
    "sources": {"sensitivity", "quicklook"},
}
"""Kinds that only the native chain makes, or makes of more bands: no tool of the suites does."""

WITHOUT_MAP = {"expmap", "ratemap", "sourcelist", "background"}
"""The simulated tile of eRASS1 has no exposure map of the archive, without which native steps make none."""

SAME = ("TELESCOP", "INSTRUME", "BUNIT", "CHANMIN", "CHANMAX", "SIMULATD", "RADESYS", "CTYPE1", "CTYPE2", "DATAMODE")
"""Cards whose values are the same, besides the names of all."""

TOOLS_DO_NOT_SAY = re.compile(
    r"FLARESTA|FLREX|FLRER|VIGNET|UNVERIF|EXP\w*|ONTIME\d\d|LIVETI\d\d|SCREENIN|OOT\w*|SCALE\d+"
)
"""Details of how maps were made and what flares leave, of chips without events, and of wavelets."""


def native_of(suite: Suite) -> Suite:
    ids = (NATIVE_NUSTAR, suite.ids[1]) if suite.mission == "nustar" else suite.ids
    bands = re.search(r"bands = .*", suite.tables["images"])
    tables = {
        "images": bands[0],
        "sources": "realisations = 0" if suite.name in ("esass", "ciao") else 'search = "none"',
    }
    return replace(suite, name="native", backends=(), ids=ids, tables=tables)


@pytest.fixture(scope="module", params=SUITES)
def both(request, raw_sky, sky, tmp_path_factory) -> tuple[Whole, Whole]:
    """An observation through a suite, and natively."""
    place = tmp_path_factory.mktemp(request.param)
    suite = replace(
        SUITES[request.param],
        instruments={"esass": "TM1,TM2,TM3,TM4,TM5,TM6,TM7"}.get(request.param, SUITES[request.param].instruments),
    )
    installed, trees = install_suite(place / "software", request.param), (raw_sky.root, sky.root)
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture, "find_installation", lambda name: installed)
        patch.setattr("daxa.backends.tools.container.run_limited", here.run_here)
        for one in (suite, native_of(suite)):
            raw = raw_files(one, trees, place / f"raw-{one.name}")
            made.append(Whole.make(place / one.name / "a907", one, raw, one.ids[:1]))
            made[-1].run_all()
    return made[0], made[1]


def products(whole: Whole, step: str) -> Mapping[Product, Path]:
    """The products of a step, as if of one ObsID; auxiliary files have names of their own."""
    obs_id = whole.suite.ids[0]
    place = whole.layout.products(whole.suite.mission, step) / obs_id
    return {replace(parse_product(path.name), obs_id="0"): path for path in place.glob("obsid*")}


@pytest.mark.parametrize("step", STEPS[1:])
def test_the_kinds_and_names_of_products_are_the_same(both, step):
    ours, theirs = (set(products(one, step)) for one in (both[1], both[0]))
    assert theirs
    own = OWN[step] | (WITHOUT_MAP if both[0].suite.name == "esass" and step in ("images", "sources") else set())
    assert {one.kind for one in ours ^ theirs} <= own, ours ^ theirs
    more = {"esass": WITHOUT_MAP, "heasoft": {"archivemap"}}.get(both[0].suite.name, set())
    assert {one.kind for one in theirs - ours} <= more


@pytest.mark.parametrize("step", STEPS[1:])
def test_the_headers_of_products_are_the_same(both, step):
    ours, theirs = (products(one, step) for one in (both[1], both[0]))
    compared = 0
    for product in sorted(set(ours) & set(theirs), key=lambda one: one.name):
        # espfilt's own file of good times is kept as it is.
        if product.suffix != "fits" or (both[0].suite.name, product.kind) == ("sas", "gti"):
            continue
        with fits.open(ours[product]) as one, fits.open(theirs[product]) as two:
            names = {part.name for part in one} - {part.name for part in two}
            assert not {name for name in names if not re.search(r"GTI", name)}, product
            for part in one:
                if part.name not in [other.name for other in two]:
                    continue
                other = two[part.name]
                if isinstance(part, fits.BinTableHDU) and step != "events":
                    assert {name.upper() for name in part.columns.names} == {
                        name.upper() for name in other.columns.names
                    } or product.kind in ("finalevents", "gti"), product
                if product.kind in ("image", "expmap", "ratemap", "sourcelist"):
                    lacking = {key for key in part.header if key not in other.header}
                    lacking = {key for key in lacking if not TOOLS_DO_NOT_SAY.fullmatch(key)}
                    assert not lacking, (lacking, product, part.name)
                # Good times and primary headers of lists are as their pipelines write them.
                for key in SAME if product.kind != "events" or part.name == "EVENTS" else ():
                    assert part.header.get(key) == other.header.get(key), (product, part.name, key)
                compared += 1
    assert compared or step == "sources"


def test_circles_in_region_files_have_a_size(both):
    sizes = []
    for one in both:
        for product, path in products(one, "sources").items():
            if product.suffix == "reg":
                sizes += [float(size) for size in re.findall(r"circle\([^,]+,[^,]+,([0-9.]+)", path.read_text())]
    assert all(size > 0.5 for size in sizes)
    assert sizes or both[1].suite.tables["sources"] == 'search = "none"'
