"""Circles that hold what they say, errors that know of gaps, and marks."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from daxa.xray import find_sources, write_sources
from daxa.xray.detection.hidden import find_hidden, fit_hidden, hidden_fractions
from daxa.xray.detection.likelihood import log_likelihood
from daxa.xray.detection.psf import gaussian_psf, psf_for
from daxa.xray.detection.psffit import Scene, SourceFit, cut_stamp, light_of, source_image
from daxa.xray.detection.quality import PileUp, SourceQuality, circle_radius, judge, quality_words
from daxa.xray.eventlists.regions import read_regions, region_mask

SIDE = 128
PIXEL = 4.35


def photons(rng, psf, x: float, y: float, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of photons drawn from the formula of the point spread function, not from its Gaussians."""
    radii = np.geomspace(1e-3, 36000 / psf.pixel_arcsec, 20000)
    radius = np.interp(rng.random(number), psf.eef(radii, psf.angle(x, y)), radii)
    angle = rng.uniform(0, 2 * np.pi, number)
    return np.rint(x + radius * np.cos(angle)).astype(int), np.rint(y + radius * np.sin(angle)).astype(int)


@pytest.mark.parametrize(
    ("instrument", "pixel", "kev", "angle"),
    [("PN", 4.35, 1.0, 0), ("PN", 4.35, 1.0, 12), ("M2", 4.35, 4.5, 6), ("ACIS", 0.984, 1.0, 0),
     ("ACIS", 1.968, 4.0, 8), ("XRT", 2.36, 1.5, 5), ("PSPC", 15.0, 0.9, 0), ("HRI", 5.0, 1.0, 10)],
)  # fmt: skip
def test_a_circle_holds_nine_tenths_of_a_point_source(instrument, pixel, kev, angle):
    psf, rng = psf_for(instrument, pixel, kev=kev, axis=(0.0, 0.0)), np.random.default_rng(3)
    for shift in rng.uniform(-0.5, 0.5, (4, 2)):
        x, y = shift[0] + angle * 60 / pixel, shift[1]
        column, row = photons(rng, psf, x, y, 8000)
        inside = np.hypot(column - x, row - y) <= circle_radius(psf, x, y, 0.0)
        assert 0.85 < inside.mean() < 0.95


def test_masks_of_a_written_list_hold_the_sources(tmp_path):
    """From the image to the file of DS9 and back: red points and a green extended source."""
    psf = psf_for("M1", PIXEL, axis=(64.0, 64.0))
    rng = np.random.default_rng(5)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ("RA---TAN", "DEC--TAN"), (150.0, 2.0), (64.5, 64.5)
    wcs.wcs.cdelt, wcs.wcs.radesys = (-PIXEL / 3600, PIXEL / 3600), "ICRS"
    wcs.wcs.set()
    counts, own = rng.poisson(0.02, (SIDE, SIDE)), np.zeros((SIDE, SIDE), int)
    for x, y in ((30.3, 95.2), (97.8, 31.4)):
        column, row = photons(rng, psf, x, y, 3000)
        seen = (column >= 0) & (column < SIDE) & (row >= 0) & (row < SIDE)
        np.add.at(own, (row[seen], column[seen]), 1)
    seconds = np.full(counts.shape, 1e4)
    place, wide = source_image(
        Scene(counts, np.ones_like(seconds), counts, psf), SourceFit(35, 35, 900, 7.0, *[0.0] * 7), 60
    )
    counts[place] += rng.poisson(wide)
    found = find_sources(counts + own, seconds, psf, wcs=wcs)
    write_sources(tmp_path / "list.reg", found)
    shapes = read_regions(tmp_path / "list.reg")
    points = [one for one in shapes if one.visual["facecolor"] == "red" or one.visual["edgecolor"] == "red"]
    brightest = sorted(points, key=lambda one: -float(one.radius.to_value("arcsec")))
    mask = region_mask(brightest, counts.shape, wcs)
    assert 0.85 < own[mask].sum() / 6000 < 0.95
    extents = found["extent"][found["extent"] > 0]
    assert len(extents) == 1
    green = [one for one in shapes if one.visual["edgecolor"] == "green"]
    assert len(green) == 1
    assert green[0].radius.to_value("arcsec") == pytest.approx(
        max(extents[0], circle_radius(psf, 35, 35, 0.0)) * PIXEL, rel=0.02
    )


def gapped(width: float = 5.0, begins: float = 62.0) -> np.ndarray:
    edges = np.arange(SIDE)
    share = np.clip(np.minimum(edges + 0.5, begins + width) - np.maximum(edges - 0.5, begins), 0, 1)
    return np.broadcast_to(2000.0 * (1 - share), (SIDE, SIDE)).copy()


def test_rates_of_sources_in_gaps_scatter_as_their_errors_say():
    """A source of 200 counts at several places of a gap, seeds that no constant was chosen with."""
    psf = psf_for("PN", PIXEL, axis=(64.0 - 10 * 60 / PIXEL, 64.0))
    rng, pulls, naive = np.random.default_rng(2024), [], []
    for begins in (60.0, 61.0, 62.0, 64.0):
        seconds = gapped(begins=begins)
        for _ in range(4):
            counts = rng.poisson(0.06 * seconds / 2000)
            column, row = photons(rng, psf, 64.0, 64.0, rng.poisson(200))
            seen = (column >= 0) & (column < SIDE) & (row >= 0) & (row < SIDE)
            column, row = column[seen], row[seen]
            kept = rng.random(len(column)) < seconds[row, column] / 2000
            np.add.at(counts, (row[kept], column[kept]), 1)
            found = find_sources(counts, seconds, psf)
            away = np.hypot(found["x"] - 65, found["y"] - 65)
            if len(found) and away.min() < 6:
                one = int(away.argmin())
                rate, low, high = (found[name][one] for name in ("rate", "rate_low", "rate_high"))
                pulls.append((rate - 0.1) / ((high - rate) if rate < 0.1 else (rate - low)))
                naive.append((rate - 0.1) / np.sqrt(found["counts"][one]) * found["exposure"][one])
                assert found["quality"][one] & SourceQuality.GAP
    assert len(pulls) >= 14
    assert 0.6 < np.sqrt(np.mean(np.square(pulls))) < 1.4
    # What the counts alone would say of the errors is too little.
    assert np.sqrt(np.mean(np.square(naive))) > 1.25 * np.sqrt(np.mean(np.square(pulls)))


def test_errors_reach_every_place_beside_a_gap_that_the_counts_allow():
    """Light on one side of a narrow slanted gap: a faint source there, or a bright one within, fit nearly as well."""
    psf, rng = psf_for("M1", 4.35), np.random.default_rng(78)
    y, x = np.indices((61, 61))
    middle = 30.0 - np.round((y - 30) / 4)
    seconds = np.where((x >= middle - 1) & (x <= middle), 0.0, 1.0)
    hidden, below = find_hidden(seconds, psf), 0.03 * seconds
    for _ in range(12):
        at = 29.5 + rng.uniform(-1.0, 1.0), 30.0 + rng.uniform(-2.0, 2.0)
        column, row = photons(rng, psf, *at, rng.poisson(150))
        counts = np.histogram2d(row, column, bins=[np.arange(62) - 0.5] * 2)[0] * (seconds > 0) + rng.poisson(below)
        scene = Scene(counts, seconds, below, psf)
        start = round(at[0]) + 1.0, round(at[1])
        fit = fit_hidden(scene, hidden, *start, reach=10.0, stray=2.5)
        assert abs(fit.x - at[0]) < 4 * fit.x_error
        assert abs(fit.y - at[1]) < 4 * fit.y_error
        top, _ = best_gain(scene, start, (fit.x, fit.y))
        for px in np.arange(start[0] - 3.0, start[0] + 3.1, 0.5):
            for py in np.arange(start[1] - 2.0, start[1] + 2.1, 1.0):
                gain, rate = best_gain(scene, start, (px, py))
                sigmas = 1.15 * np.sqrt(2.0 * max(top - gain, 0.5))
                if sigmas < 3.3:
                    assert abs(px - fit.x) <= sigmas * fit.x_error
                    assert abs(py - fit.y) <= sigmas * fit.y_error
                    assert fit.rate - sigmas * (fit.rate - fit.rate_low) <= rate
                    assert rate <= fit.rate + sigmas * (fit.rate_high - fit.rate)


def test_errors_reach_every_rate_that_some_place_in_a_gap_allows():
    """A few counts on one side of a gap: a source five times as bright fits hardly worse, nearer to the middle."""
    psf = psf_for("PN", PIXEL, axis=(20.0 - 10 * 60 / PIXEL, 20.0))
    seconds = np.ones((41, 41))
    seconds[:, 18:23] = 0.0
    hidden, below = find_hidden(seconds, psf), 0.06 * seconds
    counts = np.zeros((41, 41))
    for row, column, number in ((18, 23, 1), (18, 24, 1), (19, 24, 1), (20, 24, 2), (20, 25, 1), (21, 23, 1)):
        counts[row, column] = number
    scene = Scene(counts, seconds, below, psf)
    fit = fit_hidden(scene, hidden, 24.0, 20.0, reach=8.0, stray=3.0)
    stamp = cut_stamp(scene, 24.0, 20.0, 14.0)
    rates = np.geomspace(1.0, 6.0, 19) * fit.rate
    gains = np.full(len(rates), -np.inf)
    for x in np.arange(19.5, 26.0, 0.5):
        for y in np.arange(18.0, 22.1, 0.5):
            light, _, _ = light_of(stamp, x, y, psf.mixture(psf.angle(24.0, 20.0)))
            model = stamp.background[..., None] + light[..., None] * rates
            gains = np.maximum(gains, (stamp.counts[..., None] * np.log(model) - model).sum(axis=(0, 1)))
    gains -= log_likelihood(stamp.counts, stamp.background)
    sigmas = np.sqrt(2.0 * np.maximum(fit.gain - gains, 0.5))
    assert fit.rate * 2.0 < rates[sigmas < 2.0].max()
    assert (rates <= fit.rate + 1.1 * sigmas * (fit.rate_high - fit.rate))[sigmas < 3.0].all()


def best_gain(scene: Scene, start: tuple[float, float], at: tuple[float, float]) -> tuple[float, float]:
    """ln likelihood above that of no source at a place, and the best rate there, by trying all rates."""
    stamp = cut_stamp(scene, *start, 14.0)
    light, _, _ = light_of(stamp, *at, scene.psf.mixture(0.0))
    rates = np.geomspace(20.0, 2000.0, 93)
    model = stamp.background[..., None] + light[..., None] * rates
    gain = (stamp.counts[..., None] * np.log(model) - model).sum(axis=(0, 1))
    gain -= log_likelihood(stamp.counts, stamp.background)
    return float(gain.max()), float(rates[gain.argmax()])


def test_gaps_are_distinguished_from_the_edge():
    psf = psf_for("M1", PIXEL)
    y, x = np.indices((SIDE, SIDE))
    seconds = np.where(np.hypot(x - 64, y - 64) < 60, 1.0, 0.0)
    seconds[:, 62:66] = 0
    hidden = find_hidden(seconds, psf)
    assert hidden.gap[64, 63]
    assert not hidden.edge[64, 63]
    assert hidden.edge[3, 3]
    assert not hidden.gap[3, 3]
    shares = {place: hidden_fractions(hidden, psf, *place) for place in ((63.5, 64), (30, 64), (64 + 60, 64), (0, 64))}
    assert shares[63.5, 64][0] > 0.3
    assert sum(shares[30, 64]) < 0.05
    assert shares[64 + 60, 64][1] > 0.4
    assert shares[0, 64][1] > 0.4


def test_neighbours_edges_and_pile_up_are_marked():
    psf, rng = gaussian_psf(2.0), np.random.default_rng(11)
    seconds = np.full((SIDE, SIDE), 1000.0)
    mean = np.full((SIDE, SIDE), 0.02)
    scene = Scene(mean, np.ones_like(mean), mean, psf)
    lamps = {
        "alone": (100, 100, 900, 0),
        "one": (30, 30, 200, 0),
        "other": (34.9, 30, 400, 0),
        "rim": (64, 0.6, 300, 0),
    }
    lamps |= {"wide": (40, 96, 4000, 9.0), "near it": (46, 103, 80, 0)}
    for x, y, number, extent in lamps.values():
        place, light = source_image(scene, SourceFit(x, y, number, extent, *[0.0] * 7), 60)
        mean[place] += light
    found = find_sources(rng.poisson(mean), seconds, psf, most_rate=0.5)
    marks = {}
    for name, (x, y, *_) in lamps.items():
        away = np.hypot(found["x"] - 1 - x, found["y"] - 1 - y)
        assert away.min() < 2.5, name
        marks[name] = SourceQuality(int(found["quality"][away.argmin()]))
    assert marks["alone"] == SourceQuality.PILEUP
    assert SourceQuality.BLEND in marks["one"]
    assert SourceQuality.EDGE in marks["rim"]
    assert SourceQuality.EXTENDED_NEIGHBOUR in marks["near it"]
    assert SourceQuality.PILEUP not in marks["one"] | marks["wide"]
    assert quality_words(int(marks["alone"])) == "pileup"


def test_files_show_the_marks(tmp_path):
    psf = gaussian_psf(1.0)
    seconds = gapped(width=3, begins=70)
    counts = np.random.default_rng(1).poisson(0.02, (SIDE, SIDE))
    counts[seconds <= 0] = 0
    counts[60:63, 67:70] += 12
    counts[30:33, 30:33] += 12
    found = find_sources(counts, seconds, psf, false_per_field=0.01)
    for suffix in ("fits", "parquet", "reg"):
        write_sources(tmp_path / f"list.{suffix}", found)
    table = fits.getdata(tmp_path / "list.fits", 1)
    assert table["QUALITY"].dtype.kind == "i"
    assert table["QUALITY"].tolist() == found["quality"].tolist()
    lines = [line for line in (tmp_path / "list.reg").read_text().splitlines() if line.startswith("circle")]
    assert len(lines) == len(found)
    assert [("dash=1" in line and "tag={gap}" in line) for line in lines] == [mark == 1 for mark in found["quality"]]
    assert 0 < sum(found["quality"] == 1) < len(found)
    assert len(read_regions(tmp_path / "list.reg")) == len(found)


@pytest.mark.parametrize("number", [6000, 60000])
def test_a_bright_point_is_not_taken_for_a_hot_pixel(number):
    """Photons that are not placed at random within the pixels of pn: a core that is sharper than the function."""
    psf, rng = psf_for("PN", PIXEL, axis=(64.0, 64.0)), np.random.default_rng(7)
    counts = rng.poisson(0.02, (SIDE, SIDE))
    column, row = photons(rng, psf, 70.0, 70.0, number)
    seen = (column >= 0) & (column < SIDE) & (row >= 0) & (row < SIDE)
    np.add.at(counts, (row[seen], column[seen]), 1)
    counts[30, 30] += number // 10
    found = find_sources(counts, np.full(counts.shape, 1e4), psf)
    away = np.hypot(found["x"] - 71, found["y"] - 71)
    assert away[0] < 0.1
    assert found["counts"][0] == pytest.approx(number, rel=0.02)
    assert found["extent"][0] == 0
    # A pixel that holds all of the counts around it is hot, however many these are.
    assert np.hypot(found["x"] - 31, found["y"] - 31).min() > 3


def test_a_source_that_may_be_in_a_gap_is_marked_wherever_it_is_placed():
    """Few of 60 counts show on one side: the best place is 6 pixels from the gap, and its error reaches into it."""
    psf, seconds = psf_for("M1", PIXEL, axis=(64.0, 64.0)), gapped(3.0, 62.5)
    below = 0.02 * seconds / 2000
    beside = {"x": 56.5, "y": 64.0, "rate": 0.0035, "extent": 0.0, "gain": 12.0, "y_error": 0.8}
    rest = {"rate_low": 0.002, "rate_high": 0.028, "counts": 7.0, "exposure": 1900.0}
    scene = Scene(below, seconds, below, psf)
    hidden = find_hidden(seconds, psf)
    for error, marked in ((2.6, True), (0.3, False)):
        fit = SourceFit(**beside, **rest, x_error=error)
        (marks,) = judge(scene, hidden, [fit], pile_up=PileUp())
        assert bool(marks & SourceQuality.GAP) is marked
