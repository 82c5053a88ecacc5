"""What was made of randomised lists is judged as the lists are: within counting noise, and never called identical."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from daxa.archive.layout import Layout
from daxa.backends.randomised import is_randomised, randomised_here
from daxa.publish.remaking.certificate import FileVerdict
from daxa.run.comparison import compare_files
from daxa.run.equality import file_digests
from daxa.run.steps import OWN_STEPS, Step
from daxa.stages.derived import judge_derived
from daxa.xray.imaging.pairing import rate_map

OBS = "0404910601"
SAS = {"events": "sas", "clean": "native", "images": "native", "sources": "native"}


def name(kind: str, suffix: str = "fits") -> str:
    return f"obsid{OBS}-instM1-subexpS001-en0.5_2.0keV-{kind}.{suffix}"


@pytest.fixture
def places(tmp_path):
    """The same images step twice, of lists that differ by noise."""
    found = []
    seconds = np.full((32, 32), 1000.0, "f4")
    for seed in (1, 2):
        layout = Layout(tmp_path / str(seed))
        directory = layout.products("xmm", "images") / OBS
        directory.mkdir(parents=True)
        counts = np.random.default_rng(seed).poisson(5.0, seconds.shape).astype("i4")
        for kind, data, unit in (
            ("image", counts, "count"),
            ("expmap", seconds, "s"),
            ("ratemap", rate_map(counts, seconds), "count/s"),
        ):
            hdu = fits.PrimaryHDU(data)
            hdu.header["BUNIT"] = unit
            hdu.writeto(directory / name(kind))
        (directory / name("quicklook", "png")).write_bytes(bytes([seed]))
        (directory / name("measures", "json")).write_text(json.dumps({"events": int(counts.sum()), "good": 1000.0}))
        found.append(layout)
    return tuple(found)


def verdicts(places) -> list[FileVerdict]:
    found = []
    for path in sorted((places[0].products("xmm", "images") / OBS).iterdir()):
        other = places[1].products("xmm", "images") / OBS / path.name
        verdict = compare_files(path, other, randomised=True).verdict
        found.append(FileVerdict("xmm", "images", OBS, path.name, verdict, file_digests(path), file_digests(other), ""))
    return found


def judged(places, random=lambda one: True) -> dict[str, str]:
    return {one.path: one.verdict for one in judge_derived(verdicts(places), places, random)}


def test_all_that_follows_from_an_image_within_noise_is_within_noise(places):
    before = {one.path: one.verdict for one in verdicts(places)}
    assert before[name("image")] == "equal within counting noise"
    assert before[name("ratemap")] == before[name("quicklook", "png")] == "different"
    after = judged(places)
    assert after.pop(name("expmap")) == "identical bytes"
    assert set(after.values()) == {"equal within counting noise"}
    # Without random numbers nothing is excused.
    assert judged(places, lambda one: False) == before


def change(place: Layout, kind: str, factor: float) -> None:
    with fits.open(place.products("xmm", "images") / OBS / name(kind), mode="update") as parts:
        parts[0].data = (parts[0].data * factor).astype(parts[0].data.dtype)


def test_rates_that_do_not_follow_from_their_image_are_different(places):
    change(places[0], "ratemap", 1.001)
    assert judged(places)[name("ratemap")] == "different"
    assert judged(places)[name("quicklook", "png")] == "equal within counting noise"


def test_another_exposure_is_no_noise_and_nothing_follows_from_it(places):
    change(places[1], "expmap", 1.01)
    after = judged(places)
    assert after[name("expmap")] == after[name("ratemap")] == after[name("quicklook", "png")] == "different"


def test_few_pixels_at_the_edge_of_a_chip_may_have_another_exposure(places):
    path = places[1].products("xmm", "images") / OBS
    with fits.open(path / name("expmap"), mode="update") as parts:
        parts[0].data[0, :5] = 0.0
        seconds = parts[0].data.copy()
    with fits.open(path / name("ratemap"), mode="update") as parts:
        parts[0].data = rate_map(fits.getdata(path / name("image")), seconds)
    assert set(judged(places).values()) == {"equal within counting noise"}
    with fits.open(path / name("expmap"), mode="update") as parts:
        parts[0].data[0, :] = 0.0
    assert judged(places)[name("expmap")] == judged(places)[name("ratemap")] == "different"


@pytest.mark.parametrize("kind", ["expmap", "ratemap"])
def test_another_header_is_no_noise(places, kind):
    path = places[1].products("xmm", "images") / OBS / name(kind)
    with fits.open(path, mode="update") as parts:
        parts[0].data[0, 0] = np.nextafter(parts[0].data[0, 0], 0)
        parts[0].header["CRVAL1"] = 12.0
    assert judged(places)[name(kind)] == "different"


def test_two_changes_of_an_exposure_do_not_make_up_for_each_other(places):
    path = places[1].products("xmm", "images") / OBS / name("expmap")
    for pair in ((1e9, 1000.0 + 1000.0 - 1e9), (2000.0, 0.0)):
        with fits.open(path, mode="update") as parts:
            parts[0].data[0, :2] = pair
        assert judged(places)[name("expmap")] == "different"


def test_data_that_the_release_does_not_record_excuse_nothing(places):
    found = verdicts(places)
    change(places[0], "ratemap", 1.0 + 1e-6)
    again = {one.path: one.verdict for one in judge_derived(found, places, lambda one: True)}
    assert again[name("ratemap")] == "different"
    change(places[0], "image", 2)
    (places[0].products("xmm", "images") / OBS / name("measures", "json")).write_text("{}")
    again = {one.path: one.verdict for one in judge_derived(found, places, lambda one: True)}
    assert again[name("measures", "json")] == again[name("ratemap")] == "different"


def test_a_brighter_image_is_no_noise_and_nothing_follows_from_it(places):
    change(places[1], "image", 3)
    after = judged(places)
    assert after[name("image")] == after[name("ratemap")] == after[name("quicklook", "png")] == "different"


@pytest.mark.parametrize("text", ['{"events": 1}', '{"events": 5120, "good": 900.0}', "[]", "{", "[" * 100_000])
def test_other_measurements_are_no_noise(places, text):
    (places[1].products("xmm", "images") / OBS / name("measures", "json")).write_text(text)
    assert judged(places)[name("measures", "json")] == "different"


def test_random_numbers_are_inherited_through_steps(tmp_path):
    steps = (*OWN_STEPS, Step("spectra", needs=("clean",), backend="native"))
    for step in ("clean", "images", "sources", "spectra"):
        assert "image" in randomised_here({**SAS, "spectra": "native"}, step, steps), step
        assert not {"sensitivity", "flares"} & randomised_here(SAS, step, steps)
    assert randomised_here(SAS, "events", steps) == {"events", "ootevents"}
    native = dict.fromkeys(SAS, "native")
    for other in ("esass", "ciao", "heasoft"):
        assert not randomised_here({**native, "events": other}, "images", steps)


def test_files_say_by_their_manifests_what_they_were_made_of(tmp_path):
    made = {}
    for step, before in {"events": "fetch", "clean": "events", "images": "clean"}.items():
        place = tmp_path / "xmm" / step / OBS
        place.mkdir(parents=True)
        made[step] = {"backend": SAS[step], "step": step, "inputs": [{"step": before}]}
        (place / "manifest.json").write_text(json.dumps(made[step]))
    images = tmp_path / "xmm" / "images" / OBS
    assert is_randomised(images / name("image"))
    assert not is_randomised(images / name("gti"))
    for inputs in ([{"step": "../clean"}], [{"step": "images"}], [{"step": []}, 1], "clean", [{"step": "none"}]):
        (images / "manifest.json").write_text(json.dumps({**made["images"], "inputs": inputs}))
        assert not is_randomised(images / name("image")), inputs
    (images / "manifest.json").write_text(json.dumps(made["images"]))
    (tmp_path / "xmm" / "events" / OBS / "manifest.json").write_text(
        json.dumps({**made["events"], "backend": "native"})
    )
    assert not is_randomised(images / name("image"))


def test_verdicts_on_files_that_are_new_or_gone_stay(places):
    found = [replace(one, found=None) for one in verdicts(places)]
    assert judge_derived(found, places, lambda one: True) == found
