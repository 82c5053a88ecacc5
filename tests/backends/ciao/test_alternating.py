"""Long and short frames that alternate: two lists of one camera, which the native step events keeps apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from daxa.backends.chains import FinishedCall, Known
from daxa.backends.ciao.clean import CLEAN
from daxa.backends.ciao.images import IMAGES
from daxa.backends.ciao.sources import SOURCES
from daxa.backends.sas.images import IMAGES as SAS_IMAGES
from daxa.errors import DataError
from daxa.run.task import Task

STEM = "obsid1234-instACIS-subexp{}-en"
PARTS = ("ACIS-e1", "ACIS-e2")


class Facts:
    def __init__(self, **cards: object) -> None:
        self.cards = cards or {"INSTRUME": "ACIS"}

    def header(self, path: str, table: str = "") -> dict[str, object]:
        return self.cards


def known(chain, *kinds: str) -> Known:
    values = {one.name: one.default for one in chain.parameters}
    inputs = tuple(f"{STEM.format(which)}{kind}.fits" for which in ("e1", "e2") for kind in kinds)
    task = Task("chandra", chain.step, "1234", "ciao", "1")
    return Known(task, "4.18", values, inputs, Facts(), links=frozenset(link.name for link in chain.links))


def carried_out(chain, at: Known, outputs: dict[str, tuple[str, str]]) -> Known:
    """As if every call had made the file that one of its values names."""
    for link in chain.links:
        for plan in link.plan(at):
            name, value = outputs[link.name]
            made = FinishedCall(link.name, plan.part, plan.name, plan.values, {name: (plan.values[value],)})
            at = replace(at, finished=(*at.finished, made))
    return at


def test_each_list_is_cut_by_its_own_times_and_becomes_its_own_product():
    files = {"dmextract": "extracted", "deflare": "gti", "screen": "copy", "cut": "copy"}
    ended = carried_out(CLEAN, known(CLEAN, "-events"), {link: (name, "outfile") for link, name in files.items()})
    cuts = {made.part: made.values["infile"] for made in ended.finished if made.link == "cut"}
    assert cuts == {part: f"{part[-2:]}_screened.fits[EVENTS][@{part[-2:]}_gti.fits]" for part in PARTS}
    lists = {
        product.name: product.write.keywords["events"]
        for product in CLEAN.products(ended)
        if "finalevents" in product.name
    }
    assert lists == {f"{STEM.format(which)}-finalevents.fits": f"{which}_final.fits" for which in ("e1", "e2")}


def test_a_list_that_is_left_out_does_not_become_a_product_as_it_was():
    left = replace(known(CLEAN, "-events"), left_out=frozenset({"ACIS-e1"}))
    assert not [product.name for product in CLEAN.products(left) if "subexpe1" in product.name]


def test_images_and_searches_are_of_one_list_each():
    plans = IMAGES.links[0].plan(known(IMAGES, "-finalevents"))
    assert [(plan.part, plan.values["outroot"]) for plan in plans] == [(part, f"im_{part}") for part in PARTS]
    for link in SOURCES.links:
        searched = link.plan(known(SOURCES, "0.5_2.0keV-image", "2.0_7.0keV-image"))
        assert [(plan.part, plan.values["infile"]) for plan in searched] == [
            (f"ACIS-{which}", f"{STEM.format(which)}0.5_2.0keV-image.fits") for which in ("e1", "e2")
        ]


@pytest.mark.parametrize("name", ["../x", "ACIS/../../x", "A" * 17, "ACIS;id"])
def test_what_a_header_calls_an_instrument_is_no_path(name):
    at = replace(known(CLEAN, "-events"), facts=Facts(INSTRUME=name))
    with pytest.raises(DataError, match="is not an instrument"):
        CLEAN.links[0].plan(at)


@pytest.mark.parametrize("date", [None, 3, "", "2004-01-01; id", "yesterday"])
def test_a_date_that_is_none_is_no_argument(date):
    at = known(SAS_IMAGES)
    at = replace(at, inputs=("PN-S003-finalevents.fits",), facts=Facts(**{"DATE-OBS": date} if date else {"X": 1}))
    with pytest.raises(DataError, match="is not a date"):
        SAS_IMAGES.links[0].plan(at)
    at = replace(at, facts=Facts(**{"DATE-OBS": "2004-01-01T10:11:12.5"}))
    assert SAS_IMAGES.links[0].plan(at)[0].values["observationdate"] == "2004-01-01T10:11:12.5"


@pytest.mark.parametrize("grades", ["0,energy=0:1", "0][@/etc/x", "", "0,", "-1", "0-6"])
def test_grades_hold_no_other_filter(grades):
    (one,) = (parameter for parameter in CLEAN.parameters if parameter.name == "grades")
    assert one.read("0, 2:4,6") == "0, 2:4,6"
    with pytest.raises(ValueError, match="numbers and ranges"):
        one.read(grades)
