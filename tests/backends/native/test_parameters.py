"""Parameters of the native steps: strict texts, defaults from the mission."""

from __future__ import annotations

import pytest

from daxa.backends.native.parameters import check_parameters, read_clean, read_events, read_images
from daxa.errors import ConfigError
from daxa.run.task import Task, canonical


def task(mission: str, step: str, **parameters: object) -> Task:
    return Task(mission, step, "0404910601", "native", "1", canonical(parameters))


def test_defaults_come_from_the_mission():
    assert read_events(task("xmm", "events")).min_ontime == 0.0
    xmm, nustar = read_clean(task("xmm", "clean")), read_clean(task("nustar", "clean"))
    assert (xmm.screening, xmm.flares, xmm.mask_sources) == (True, "histogram", True)
    assert (xmm.flare_sigma, xmm.flare_threshold, xmm.flare_band, xmm.flare_bin) == (3.0, None, (10.0, 12.0), 100.0)
    assert nustar.flares == "none"
    images = read_images(task("chandra", "images"))
    assert images.bands == ((0.5, 2.0), (2.0, 7.0))
    assert images.pixel == 1.968


def test_a_number_without_quotation_marks_is_read_as_the_text_that_it_stands_for():
    """As TOML, and so `--set clean.flags=0x766ba000`, has them."""
    read = read_clean(task("xmm", "clean", patterns=0, flags=0x766BA000, chips=7))
    assert (read.patterns, read.flags, read.chips) == ("0", "0x766ba000", "7")


@pytest.mark.parametrize("text", ["0.5-2.0 keV", "0.5-2 keV", "500-2000 eV", "5e-1-2.0e0 keV", "0.5 - 2.0 keV"])
def test_a_band_in_any_spelling_is_one_band(text):
    assert read_images(task("xmm", "images", bands=[text])).bands == ((0.5, 2.0),)


@pytest.mark.parametrize(
    "text",
    [
        *("0.5-2.0", "2.0-0.5 keV", "0.5 keV", "0.5_2.0 keV", "-1-2 keV", "0.5-2.0 keV; ", "nan-2 keV", "1-1 keV"),
        *(3, None, "0.5-2.0 kev", "0.5-2.0 arcsec", "\u0660.5-2.0 keV", "0.5-2.0 keV\n"),
    ],
)
def test_a_malformed_band_is_named(text):
    with pytest.raises(ConfigError) as caught:
        read_images(task("xmm", "images", bands=[text]))
    assert caught.value.code == "config.bad-parameter"
    assert "images.bands" in caught.value.message
    assert "params/xmm.toml" in caught.value.remedy


@pytest.mark.parametrize(
    ("step", "key", "value"),
    [
        ("events", "min_ontime", 100),
        ("events", "min_ontime", "100"),
        ("events", "min_ontime", "-5 s"),
        ("events", "min_ontime", "5 keV"),
        ("clean", "screening", "Standard"),
        ("clean", "flares", True),
        ("clean", "flare_sigma", "3"),
        ("clean", "flare_sigma", 0.1),
        ("clean", "flare_sigma", True),
        ("clean", "mask_sources", "yes"),
        ("clean", "flare_threshold", 0.4),
        ("clean", "flare_threshold", "0.4 s"),
        ("clean", "flare_scale", 1),
        ("clean", "flare_bin", "0 s"),
        ("clean", "flare_bin", "1e300 ks"),
        ("clean", "flare_band", "10 keV"),
        ("images", "pixel", "0 arcsec"),
        ("images", "pixel", "1-2 arcsec"),
        ("images", "lightcurve_bin", "0.5 s"),
        ("images", "bands", "0.5-2.0 keV"),
        ("images", "bands", []),
        ("images", "bands", ["0.5-2.0 keV", "500-2000 eV"]),
    ],
)
def test_a_malformed_parameter_is_named(step, key, value):
    read = {"events": read_events, "clean": read_clean, "images": read_images}[step]
    with pytest.raises(ConfigError, match=f"{step}.{key}") as caught:
        read(task("xmm", step, **{key: value}))
    assert caught.value.environmental


@pytest.mark.parametrize(("step", "read"), [("events", read_events), ("clean", read_clean), ("images", read_images)])
def test_an_unknown_parameter_is_named(step, read):
    with pytest.raises(ConfigError, match="'flare_sgima'") as caught:
        read(task("xmm", step, flare_sgima=3.0))
    assert caught.value.code == "config.unknown-parameter"


def test_every_method_gets_what_it_needs():
    assert read_clean(task("xmm", "clean", flares="threshold", flare_threshold="0.4 count/s")).flare_threshold == 0.4
    assert read_clean(task("xmm", "clean", flares="scale", flare_scale=1.5)).flare_scale == 1.5
    with pytest.raises(ConfigError, match="flare_threshold"):
        read_clean(task("xmm", "clean", flares="threshold"))


def test_flares_without_a_band_are_refused():
    with pytest.raises(ConfigError, match="flare_band"):
        read_clean(task("nustar", "clean", flares="histogram"))
    asked = read_clean(task("nustar", "clean", flares="histogram", flare_band="40-70 keV"))
    assert asked.flare_band == (40.0, 70.0)


def test_units_are_converted():
    assert read_events(task("xmm", "events", min_ontime="1.5 ks")).min_ontime == 1500.0
    assert read_images(task("xmm", "images", pixel="0.1 arcmin")).pixel == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("mission", "chips", "said"),
    [
        ("xmm", "M7:1", "no instrument M7 "),
        ("xmm", "MOS1:1-3", "no instrument MOS1 "),
        ("nustar", "0-3", "chips of NuSTAR cannot be chosen"),
    ],
)
def test_chips_of_instruments_without_any_are_named(mission, chips, said):
    (fault,) = check_parameters(mission, {"clean": {"flares": "none", "chips": chips}})
    assert (fault.step, fault.key) == ("clean", "chips")
    assert said in fault.message


@pytest.mark.parametrize(("mission", "chips"), [("xmm", "m1:1-3 PN:1-12"), ("chandra", "0-3"), ("erass1", "TM1:1")])
def test_chips_of_instruments_that_have_them_are_right(mission, chips):
    assert not check_parameters(mission, {"clean": {"flares": "none", "chips": chips}})
