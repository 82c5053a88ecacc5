"""Point spread functions: the declared ones, and the Gaussians that stand for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daxa.errors import NotPossible
from daxa.xray.detection.psf import PSFS, beta_mixture, gaussian_psf, psf_for


@pytest.mark.parametrize("name", sorted(PSFS))
@pytest.mark.parametrize("angle", [0.0, 6.0])
def test_every_declared_function_is_a_distribution_with_a_source(name, angle):
    psf = psf_for(name, 1.0, kev=1.5)
    radii = np.geomspace(0.01, 7200, 500)
    inside = psf.eef(radii, angle)
    assert (np.diff(inside) >= 0).all()
    assert 0 <= inside[0] < 0.05
    assert 0.9 < inside[-1] <= 1
    assert PSFS[name].source


@pytest.mark.parametrize("name", sorted(PSFS))
def test_gaussians_reproduce_the_function(name):
    declared = psf_for(name, 2.0, kev=1.5)
    psf = replace(declared, facts=replace(declared.facts, pixel=0.0))
    weights, widths = psf.mixture(3.0)
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).all()
    radii = np.geomspace(0.1, 4, 50) * psf.radius(0.5, 3.0)
    inside = (weights * -np.expm1(-0.5 * (radii[:, None] / widths) ** 2)).sum(axis=1)
    # Wings beyond the widest Gaussian are counted to the ones inside.
    assert np.abs(inside - psf.eef(radii, 3.0)).max() < 0.045


@pytest.mark.parametrize("name", ["PN", "M1", "ACIS"])
def test_the_function_in_an_image_is_that_of_photons_placed_at_random_in_their_pixels(name):
    rng, side = np.random.default_rng(5), PSFS[name].pixel
    seen = psf_for(name, 1.0)
    weights, widths = replace(seen, facts=replace(seen.facts, pixel=0.0)).mixture()
    width = rng.choice(widths, 40_000, p=weights)
    x, y = rng.normal(0.0, width, (2, len(width)))
    phase = rng.uniform(0.0, side, (2, len(x)))
    moved = [
        side * (np.floor((at + start) / side) + rng.random(len(x))) - start
        for at, start in zip((x, y), phase, strict=True)
    ]
    radii = np.array([0.5, 1.0, 2.0, 4.0]) * max(side, 0.5)
    inside = (np.hypot(*moved)[:, None] <= radii).mean(axis=0)
    weights, widths = seen.mixture()
    assert inside == pytest.approx((weights * -np.expm1(-0.5 * (radii[:, None] / widths) ** 2)).sum(axis=1), abs=0.02)


@pytest.mark.parametrize("name", sorted(PSFS))
def test_gaussians_are_found_at_every_energy_and_angle(name):
    facts = PSFS[name]
    for kev in np.geomspace(*facts.energies, 5):
        psf = psf_for(name, 0.984, kev=float(kev))
        for angle in np.arange(0.0, facts.angle + 0.5, 0.5 if name in {"ACIS", "XRT"} else 4.0):
            weights, widths = psf.mixture(float(angle))
            assert weights.sum() == pytest.approx(1)
            assert (widths > 0).all()


@pytest.mark.parametrize(
    ("name", "kev", "fraction", "diameter", "within"),
    [
        ("PN", 1.5, 0.5, 15.0, 0.3),
        ("M1", 1.5, 0.5, 14.0, 0.3),
        ("M2", 1.5, 0.5, 14.0, 0.4),
        ("XRT", 1.5, 0.5, 18.0, 1.5),
        ("FPMA", 10.0, 0.5, 58.0, 0.1),
        ("TM3", 1.0, 0.5, 28.0, 0.1),
        ("Xtend", 6.0, 0.5, 78.0, 0.1),
        ("XIS1", 1.5, 0.5, 107.0, 2.0),
        ("ACIS", 1.5, 0.5, 0.86, 0.01),
    ],
)
def test_widths_are_those_that_the_instruments_are_known_for(name, kev, fraction, diameter, within):
    assert 2 * psf_for(name, 1.0, kev=kev).radius(fraction) == pytest.approx(diameter, abs=within)


@pytest.mark.parametrize(
    ("name", "shares"),
    [("M1", (0.68, 0.83, 0.89, 0.92)), ("M2", (0.69, 0.83, 0.89, 0.93)), ("PN", (0.71, 0.88, 0.93, 0.95))],
)
def test_epic_encircles_what_the_table_of_sas_says(name, shares):
    psf = psf_for(name, 1.0, kev=1.0)
    assert psf.eef(np.array([15.0, 30.0, 45.0, 60.0])) == pytest.approx(shares, abs=0.01)
    assert psf.eef(np.array([300.0, 900.0])) == pytest.approx(1.0)
    # The table is good to 5 %, and does not follow the angle.
    assert psf.eef(np.array([15.0, 30.0, 45.0, 60.0]), 10.0) == pytest.approx(shares, abs=0.05)


@pytest.mark.parametrize("arcmin", [1.0, 2.0, 5.0, 8.0])
def test_acis_lies_through_the_measured_radii_and_has_wings(arcmin):
    psf = psf_for("ACIS", 1.0, kev=1.49)
    assert psf.radius(0.5, arcmin) == pytest.approx(0.43 - 0.10 * arcmin + 0.050 * arcmin**2, rel=0.01)
    assert psf.radius(0.95, arcmin) == pytest.approx(2.05 - 0.55 * arcmin + 0.18 * arcmin**2, rel=0.01)
    # Farther off the axis the core reaches beyond the radius of 99 %.
    if arcmin < 6:
        assert psf.radius(0.99, arcmin) == pytest.approx(8.0 + 0.2 * arcmin, rel=0.02)
    # Others measured 1" + 10" (t / 10')^2 for 90 % (Hickox and Markevitch 2006).
    assert psf.radius(0.9, arcmin) == pytest.approx(1.0 + 10.0 * (arcmin / 10.0) ** 2, rel=0.25)
    # The Gaussian of the same half has all of its counts within three radii.
    assert psf.eef(np.array([4.0 * psf.radius(0.5, arcmin)]), arcmin)[0] < 0.98


def test_the_angle_widens_where_the_formula_says_so():
    psf = psf_for("ACIS", 0.492, axis=(100.0, 200.0))
    far = psf.angle(100.0, 200.0 + 600 / 0.492)
    assert far == 10.0
    assert psf.radius(0.5, far) == pytest.approx(4.43 / 0.492, rel=1e-3)
    assert psf_for("ACIS", 0.492).angle(0.0, 5000.0) == 0.0


def test_the_pixel_scales_the_function():
    fine, coarse = psf_for("M2", 1.0), psf_for("M2", 4.0)
    assert fine.radius(0.5) == pytest.approx(4 * coarse.radius(0.5), rel=1e-3)


def test_beta_model():
    weights, widths = beta_mixture()
    radii = np.geomspace(0.1, 15, 40)
    inside = (weights * -np.expm1(-0.5 * (radii[:, None] / widths) ** 2)).sum(axis=1)
    assert np.abs(inside - (1 - (1 + radii**2) ** -0.5)).max() < 0.02


def test_a_gaussian_is_one():
    psf = gaussian_psf(3.0)
    assert psf.eef(np.array([3.0]))[0] == pytest.approx(1 - np.exp(-0.5))


def test_an_unknown_instrument_is_refused_with_the_known_ones():
    with pytest.raises(NotPossible, match="no point spread function is known for NICER") as refusal:
        psf_for("NICER", 1.0)
    assert "gaussian_psf" in refusal.value.remedy
