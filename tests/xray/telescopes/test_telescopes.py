"""Declarations of telescopes: all pass the public contract, which finds what is wrong; plug-ins cannot take a name."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from daxa import plugins
from daxa.errors import ConfigError
from daxa.missions import find_mission, mission_names
from daxa.xray.telescopes import (
    Band,
    Camera,
    Corners,
    FlareFilter,
    Imaging,
    Readout,
    Refusal,
    Rule,
    camera_of,
    declared,
    imaging_of,
    registry,
    telescopes,
)
from daxa.xray.telescopes.contract import check_telescope

SWIFT = telescopes()["swift"]
XMM = telescopes()["xmm"]
PHOTON = SWIFT.formats["XRT", "PHOTON"]
XRT = SWIFT.cameras[0]


def formed(**values):
    return replace(SWIFT, formats={("XRT",): replace(PHOTON, **values)})


def imaged(*bands, mission="swift", **values):
    return replace(SWIFT, imaging={mission: Imaging(bands, **{"pixel": 2.36, **values})})


def seen(**values):
    return replace(SWIFT, cameras=(replace(XRT, **values),))


def curved(**values):
    return seen(vignetting=(replace(XRT.vignetting[0], **values),))


def spread(**values):
    return seen(psf=replace(XRT.psf, **values))


def chipped(**values):
    camera = XMM.cameras[0]
    return replace(XMM, cameras=(replace(camera, detector=replace(camera.detector, **values)),))


CORNERS = Corners("nobody", {1: (3.0, 2.0)}, (1, 2), (3, 4), 1)
READOUT = Readout("nobody", {"": 0.1}, (), "a book")

WRONG = {
    "a name with capitals": (replace(SWIFT, name="Swift"), "short lower-case word"),
    "no TELESCOP": (replace(SWIFT, telescop=()), "recognises its lists"),
    "TELESCOP in small letters": (replace(SWIFT, telescop=("Swift",)), "in capitals"),
    "TELESCOP twice": (replace(SWIFT, telescop=("SWIFT", "SWIFT")), "twice"),
    "no event lists": (replace(SWIFT, formats={}, not_native={}), "nothing is said"),
    "no instrument": (replace(SWIFT, formats={(): PHOTON}), "is not INSTRUME"),
    "three parts": (replace(SWIFT, formats={("A", "B", "C"): PHOTON}), "is not INSTRUME"),
    "no reason": (replace(SWIFT, not_native={"BAT": " "}), "nothing says why"),
    "a mission that is none": (formed(mission="Swift XRT"), "short name of a mission"),
    "channels that fall": (formed(pi_limits=(9, 1)), "fall"),
    "bands without energies": (formed(pi_to_kev=None), "does not refuse energy bands"),
    "channels without width": (formed(pi_to_kev=(0.0, 0.0)), "no width"),
    "times of another century": (formed(mjdref=5.0), "cannot count from"),
    "a pixel less than none": (formed(pixel_arcsec=-1.0), "negative size"),
    "cells without size": (formed(cell_arcsec=0.0), "no size"),
    "a sky without extent": (formed(sky_limits=(1, 1)), "no extent"),
    "a hostile column": (formed(pi_column="PI; --"), "names of columns"),
    "no good times": (formed(gti_tables=()), "none of good times"),
    "chips without a column": (formed(gti_scheme="dss"), "need their column"),
    "flags without a rule": (formed(rules=(), flag_card="FLAGS"), "no rule"),
    "no reason to refuse": (formed(refusals=(Refusal("image", ""),)), "nothing says why"),
    "some modes": (formed(refusals=(Refusal("image", "so", card="DATAMODE"),)), "does not name"),
    "a rule without a source": (formed(rules=(Rule("GRADE", "in", (0,), ""),)), "no source"),
    "a rule upside down": (formed(rules=(Rule("GRADE", "between", (4, 0), "a book"),)), "is not a rule"),
    "long keywords": (formed(chip_cards=(("EXPOSURE{:02d}", "ontime"),)), "no keyword"),
    "images of another's mission": (imaged(Band(1.0, 2.0, (1, 2)), mission="xmm"), "do not know this mission"),
    "images in no band": (imaged(), "no bands"),
    "an empty band": (imaged(Band(2.0, 1.0, (1, 2))), "empty band"),
    "a band without channels": (imaged(Band(1.0, 2.0, (2, 1))), "no channels"),
    "bands that fall": (imaged(Band(2.0, 3.0, (201, 300)), Band(1.0, 2.0, (100, 200))), "do not rise"),
    "bands that overlap": (imaged(Band(1.0, 2.0, (100, 200)), Band(2.0, 3.0, (200, 300))), "share channels"),
    "energies that overlap": (imaged(Band(1.0, 2.0, (100, 199)), Band(1.9, 3.0, (200, 300))), "share energies"),
    "a band of another's instrument": (imaged(Band(1.0, 2.0, (100, 199), (("XIS0", (1, 2)),))), "does not have"),
    "channels of one instrument that overlap": (
        imaged(Band(1.0, 2.0, (100, 199), (("XRT", (1, 9)),)), Band(2.0, 3.0, (200, 299), (("XRT", (9, 20)),))),
        "share channels",
    ),
    "images without pixels": (imaged(Band(1.0, 2.0, (1, 2)), pixel=0.0), "how large"),
    "an instrument's pixel without a size": (imaged(Band(1.0, 2.0, (1, 2)), pixels={"XRT": 0.0}), "no size"),
    "flares in no band": (imaged(Band(1.0, 2.0, (1, 2)), flares=FlareFilter((2.0, 1.0), 9.0)), "empty band"),
    "a camera without a name": (seen(instruments=()), "no name"),
    "two cameras of one name": (replace(SWIFT, cameras=(XRT, Camera(("XRT",)))), "two cameras"),
    "another's mission": (seen(missions=("xmm",)), "know no mission xmm"),
    "a chip without pixels": (chipped(size=(0, 10)), "not positive"),
    "a roll of neither way": (chipped(sense=2), "one way or the other"),
    "a plane of no columns": (chipped(plane=("DET X", "DETY")), "not names of columns"),
    "a curve without source": (curved(reference=""), "has no source"),
    "a curve at no energy": (curved(kev=(2.0, 2.0)), "no energy"),
    "a curve of half": (curved(shape=lambda t, energy: 0.5 + 0.0 * t), "not 1 on the axis"),
    "a curve without end": (curved(shape=lambda t, energy: 1.0 + t / 0.0), "not finite"),
    "curves that fall": (
        seen(vignetting=tuple(replace(XRT.vignetting[0], kev=kev) for kev in ((2.0, 9.0), (0.5, 2.0)))),
        "do not rise",
    ),
    "a point without source": (spread(source=""), "PSF has no source"),
    "a point without name": (spread(name=""), "in capitals"),
    "a point that psf_for cannot find": (spread(name="the paper"), "in capitals"),
    "a point at no energy": (spread(energies=(2.0, 1.0)), "no energy or angle"),
    "light that shrinks": (spread(eef=lambda kev, t: np.cos), "does not grow"),
    "light that is lost": (spread(eef=lambda kev, t: lambda r: 0.5 * (1 - np.exp(-r))), "does not reach 1"),
    "light that is made": (spread(eef=lambda kev, t: lambda r: 2.0 * (1 - np.exp(-r))), "does not reach 1"),
    "pile-up at no rate": (seen(pile_up={"": 0.0}), "at no rate"),
    "pile-up of one mode": (seen(pile_up={"WINDOW": 1.0}), "other modes"),
    "corners that fall": (seen(corners=CORNERS), "fall"),
    "read-out of nothing": (seen(readout=READOUT), "need its detector"),
    "read-out of more than all": (
        replace(XMM, cameras=(replace(XMM.cameras[0], readout=replace(READOUT, fractions={"": 1.5})),)),
        "a share of all",
    ),
}


@pytest.mark.parametrize("name", telescopes())
def test_every_telescope_keeps_the_contract(name):
    check_telescope(telescopes()[name])


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said(wrong):
    telescope, words = WRONG[wrong]
    with pytest.raises(AssertionError, match=words) as caught:
        check_telescope(telescope)
    assert repr(telescope.name) in str(caught.value)


def test_the_folder_is_the_list():
    folder = Path(declared.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == set(telescopes())
    assert all(one.name == name for name, one in telescopes().items())


@pytest.mark.parametrize("mission", mission_names(processed=True))
def test_every_list_that_a_mission_processes_has_a_format(mission):
    spec = find_mission(mission)
    assert imaging_of(mission).bands
    own = {form.instrument for form in registry.event_formats().values() if form.mission == mission}
    for item in spec.native_inputs:
        if item.kind == "events":
            whose = [one for one in spec.instruments if item.instrument in ("", one.name)]
            assert own & {name for one in whose for name in (one.name, *one.aliases)}


@pytest.mark.parametrize("name", telescopes())
def test_cameras_and_formats_are_of_missions_and_instruments_that_are_declared(name):
    one = telescopes()[name]
    known = {name for mission in one.missions for item in find_mission(mission).instruments for name in item.aliases}
    known |= {item.name for mission in one.missions for item in find_mission(mission).instruments}
    known |= {form.instrument for form in one.formats.values()}
    assert {instrument for camera in one.cameras for instrument in camera.instruments} <= known


def test_what_is_not_declared_is_not_known():
    assert camera_of("xmm_slew", "PN").detector is None
    nothing = camera_of("swift", "UVOT")
    assert (nothing.psf, nothing.vignetting, nothing.readout, dict(nothing.pile_up)) == (None, (), None, {})
    assert math.isclose(camera_of("xmm", "PN").readout.fractions["PrimeFullWindow"], 0.063)


@pytest.fixture
def offering(monkeypatch):
    """A function that offers telescopes, by name, as an installed distribution would."""

    def offer(**values) -> None:
        module = ModuleType("lobster_offers")
        points = []
        for name, value in values.items():
            setattr(module, name, value)
            points.append(EntryPoint(name, f"lobster_offers:{name}", registry.GROUP))
        monkeypatch.setitem(sys.modules, "lobster_offers", module)
        monkeypatch.setattr(plugins, "points", Points(points))
        registry.forget_plug_ins()

    yield offer
    monkeypatch.undo()
    registry.forget_plug_ins()


class Points:
    """What stands in for the entry points of the distributions that are installed."""

    def __init__(self, points) -> None:
        self.points = tuple(points)

    def __call__(self, group: str):
        return tuple(point for point in self.points if point.group == group)

    def cache_clear(self) -> None:
        pass


LOBSTER = replace(
    SWIFT,
    name="lobster",
    telescop=("LOBSTER",),
    formats={("EYE",): replace(PHOTON, mission="lobster")},
    imaging={},
    cameras=(XRT,),
)


def test_a_plug_in_adds_a_telescope(offering):
    offering(lobster=LOBSTER)
    assert telescopes()["lobster"] is LOBSTER
    assert registry.event_formats()["LOBSTER", "EYE"].mission == "lobster"
    assert camera_of("lobster", "XRT") is XRT


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"telescop": ("XMM",)}, "TELESCOP = 'XMM' is claimed by daxa itself"),
        ({"formats": {("EYE",): PHOTON}}, "the mission 'swift' in event formats is claimed by daxa itself"),
    ],
)
def test_a_plug_in_takes_nothing_from_another(offering, values, words):
    offering(lobster=replace(LOBSTER, **values))
    with pytest.raises(ConfigError, match=words):
        telescopes()


def test_a_plug_in_does_not_replace_a_telescope_of_daxa(offering):
    offering(swift=replace(LOBSTER, name="swift"))
    with pytest.raises(ConfigError, match="claimed by daxa itself"):
        telescopes()


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        (None, "not a Telescope but NoneType"),
        (replace(LOBSTER, telescop=()), "recognises its lists"),
        (replace(LOBSTER, name="crab"), "it declares 'crab', not 'lobster'"),
    ],
)
def test_a_telescope_that_cannot_be_used_is_left_out_and_said(offering, offered, words):
    offering(lobster=offered)
    with pytest.warns(RuntimeWarning, match=words):
        known = telescopes()
    assert "lobster" not in known
    assert "swift" in known
