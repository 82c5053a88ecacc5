"""Point spread functions without calibration files, one declaration for each instrument.

Every function is the fraction of counts within a radius (EEF), as a formula with its
source.  For fits it becomes a sum of round Gaussians, which are exact to integrate over
pixels, to convolve with an extended source and to differentiate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from daxa.errors import NotPossible

__all__ = ["PSFS", "Psf", "PsfFacts", "beta_mixture", "gaussian_psf", "psf_for"]

Eef = Callable[[np.ndarray], np.ndarray]
"""Radii (arcsec) to the fraction of counts within them."""

_EPIC_LAST = 300.0
"""Arcsec within which the functions of EPIC are normalised, as the calibration files are."""

_SLOPES = np.linspace(1.6, 6.0, 441)
"""Of King functions, from which that of a mirror is chosen."""


def _king(core: float, slope: float) -> Eef:
    return lambda r: 1.0 - (1.0 + (r / core) ** 2) ** (1.0 - slope)


def _gauss(sigma: float) -> Eef:
    return lambda r: -np.expm1(-0.5 * (r / sigma) ** 2)


def _exponential(length: float) -> Eef:
    return lambda r: 1.0 - (1.0 + r / length) * np.exp(-r / length)


def _lorentz(inner: float, outer: float, slope: float) -> Eef:
    """Surface brightness 1 / (1 + r^2/inner^2) up to ``outer``, then a power law of this slope (above 2)."""
    edge = 0.5 * inner**2 * math.log1p((outer / inner) ** 2)
    tail = outer**2 / (1.0 + (outer / inner) ** 2) / (slope - 2.0)

    def eef(r):
        near = 0.5 * inner**2 * np.log1p((np.minimum(r, outer) / inner) ** 2)
        return (near + tail * (1.0 - (np.maximum(r, outer) / outer) ** (2.0 - slope))) / (edge + tail)

    return eef


def _sum(*parts: tuple[float, Eef]) -> Eef:
    total = sum(weight for weight, _ in parts)
    return lambda r: sum(weight * eef(r) for weight, eef in parts) / total


def _epic(core: tuple[float, ...], slope: tuple[float, ...], measured: tuple[float, ...]):
    """King function whose core (arcsec) and slope are a + bE + ct + dEt, on the scale of what was measured.

    ``measured`` is the EEF on the axis at 1 keV: share, core and slope of one King function, and
    core and slope of another.  Radii are stretched so that the King function agrees with it there;
    how it changes with energy and angle stays.  All light lies within 5 arcmin.
    """
    share, *two = measured
    near, far = _king(*two[:2]), _king(*two[2:])

    def seen(r):
        return share * near(r) + (1.0 - share) * far(r)

    def king(kev: float, arcmin: float) -> tuple[float, float]:
        terms = (1.0, kev, arcmin, kev * arcmin)
        rc, alpha = (sum(a * t for a, t in zip(values, terms, strict=True)) for values in (core, slope))
        return max(rc, 1.0), max(alpha, 1.1)

    rc, alpha = king(1.0, 0.0)
    most = float(_king(rc, alpha)(_EPIC_LAST) / seen(_EPIC_LAST))

    def at(kev: float, arcmin: float) -> Eef:
        function = _king(*king(kev, arcmin))
        whole = function(_EPIC_LAST)

        def eef(r):
            stretched = rc * np.sqrt((1.0 - most * seen(np.minimum(r, _EPIC_LAST))) ** (1.0 / (1.0 - alpha)) - 1.0)
            return np.minimum(function(stretched) / whole, 1.0)

        return eef

    return at


def _xrt(kev: float, arcmin: float) -> Eef:
    t, e, te = 10.0 * arcmin, 10.0 * kev, 100.0 * kev * arcmin
    rc = 2.34732 - 3.33966e-3 * t - 8.40089e-4 * e + 2.52944e-4 * te
    return _king(2.36 * rc, 1.52877 + 7.65975e-4 * t - 2.94131e-4 * e + 3.72197e-5 * te)


def _pspc(kev: float, arcmin: float) -> Eef:
    sigma = math.sqrt(108.7 * kev**-0.888 + 1.121 * kev**6 + 0.219 * arcmin**2.848)
    length = math.sqrt(50.61 * kev**-1.472 + 6.80 * kev**5.62)
    far = 10 ** (-1.635 + 0.639 * kev + 0.052 * kev**2) * math.exp(-0.5 * (arcmin / 12.0) ** 2)
    scattered = 0.075 * kev**1.43
    wings = _lorentz(39.95 / kev, 861.9 / kev, 2.119 + 0.212 * kev)
    return _sum((1.0 - far - scattered, _gauss(sigma)), (far, _exponential(length)), (scattered, wings))


def _hri(_kev: float, arcmin: float) -> Eef:
    wide = 3.3 + 0.019 * arcmin - 0.016 * arcmin**2 + 0.0044 * arcmin**3
    return _sum(
        (0.9638 * 2.1858**2, _gauss(2.1858)), (0.1798 * wide**2, _gauss(wide)), (0.0009 * 31.69**2, _exponential(31.69))
    )


def _xis(_kev: float, _arcmin: float) -> Eef:
    near, middle, far = 60.0 * 0.221, 60.0 * 0.970, 60.0 * 1.937
    return _sum(
        (1.101 * near**2, _exponential(near)),
        (0.0919 * middle**2, _gauss(middle)),
        (0.00539 * far**2, _exponential(far)),
    )


def _hrma(_kev: float, arcmin: float) -> Eef:
    """The King function with 50 % of its counts within one radius and 95 % within another."""
    half = 0.43 - 0.10 * arcmin + 0.050 * arcmin**2
    most = 2.05 - 0.55 * arcmin + 0.18 * arcmin**2
    # The ratio of the radii falls with the slope.
    slope = float(np.interp(-most / half, -_king_radius(0.95, _SLOPES) / _king_radius(0.5, _SLOPES), _SLOPES))
    return _king(half / float(_king_radius(0.5, slope)), slope)


def _king_radius(fraction: float, slope):
    """Radius, in cores, within which a King function has this share."""
    return np.sqrt((1.0 - fraction) ** (1.0 / (1.0 - np.asarray(slope))) - 1.0)


def _half(diameter: float):
    """The Gaussian of this half-power diameter, arcsec."""
    return lambda _kev, _arcmin: _gauss(0.5 * diameter / math.sqrt(2.0 * math.log(2.0)))


def _fpm(_kev: float, _arcmin: float) -> Eef:
    return _sum((0.588, _exponential(10.68)), (0.412, _king(150.0, 5.01)))


@dataclass(frozen=True)
class PsfFacts:
    """What is known of an instrument's point spread function.

    Parameters
    ----------
    eef
        Energy (keV) and angle from the optical axis (arcmin) to the EEF.
    energies, angle
        Energies (lowest, highest) and largest angle for which it holds; others are clipped.
    source
        Where formula and figures come from.
    """

    eef: Callable[[float, float], Eef]
    energies: tuple[float, float]
    angle: float
    source: str


_GHIZZARDI = (
    "King function, Ghizzardi, EPIC-MCT-TN-011 and -012, as in HEASoft's XIMAGE, through the encircled energies of "
    "SAS's eupper and the FWHM and HEW of the XMM-Newton Users Handbook"
)
_FEIGELSON = "King function through the 50 and 95 % radii at 1.49 keV of Feigelson et al. 2002 (ApJ 574, 258)"

PSFS = MappingProxyType(
    {
        "PN": PsfFacts(
            _epic((6.636, -0.305, -0.175, -0.0067), (1.525, -0.015, -0.012, -0.0010), (0.434, 5.52, 3.0, 12.88, 1.8)),
            (0.2, 10.0),
            15.0,
            _GHIZZARDI,
        ),
        "M1": PsfFacts(
            _epic((5.074, -0.236, 0.002, -0.0180), (1.472, -0.010, -0.001, -0.0016), (0.440, 4.70, 3.0, 10.76, 1.5)),
            (0.2, 10.0),
            15.0,
            _GHIZZARDI,
        ),
        "M2": PsfFacts(
            _epic((4.759, -0.203, 0.014, -0.0229), (1.411, -0.005, -0.001, -0.0002), (0.592, 3.82, 2.0, 16.53, 1.6)),
            (0.2, 10.0),
            15.0,
            _GHIZZARDI,
        ),
        "XRT": PsfFacts(_xrt, (0.2, 10.0), 12.0, "King function of HEASoft's XIMAGE"),
        "PSPC": PsfFacts(_pspc, (0.1, 2.4), 57.0, "Gaussian, exponential and Lorentzian of HEASoft's XIMAGE"),
        "HRI": PsfFacts(_hri, (0.1, 2.4), 20.0, "two Gaussians and an exponential of HEASoft's XIMAGE"),
        "XIS": PsfFacts(_xis, (0.2, 12.0), 12.0, "XIS0: exponentials and a Gaussian of HEASoft's XIMAGE"),
        "ACIS": PsfFacts(_hrma, (0.3, 10.0), 15.0, _FEIGELSON),
        "HRC": PsfFacts(_hrma, (0.1, 10.0), 15.0, _FEIGELSON),
        "FPM": PsfFacts(
            _fpm, (3.0, 79.0), 10.0, "exponential and King function: FWHM 18, HPD 58 arcsec, wings of SS 433, 3-20 keV"
        ),
        "EROSITA": PsfFacts(_half(28.0), (0.2, 10.0), 30.0, "Gaussian, mean HEW of the survey 28 arcsec (26 to 30)"),
        "EROSITA-POINTED": PsfFacts(_half(16.0), (0.2, 10.0), 30.0, "Gaussian, HEW on the axis 16 arcsec"),
        "XTEND": PsfFacts(_half(78.0), (0.3, 13.0), 20.0, "Gaussian, HPD 1.3 arcmin"),
        "ASCA": PsfFacts(_half(180.0), (0.5, 10.0), 25.0, "Gaussian, HPD 3 arcmin"),
        "IXPE": PsfFacts(_half(27.5), (2.0, 8.0), 6.5, "Gaussian, HPD 25 to 30 arcsec"),
    }
)
"""Instrument to its point spread function.  Where only a width is known, the shape is a guess that ``source`` names.

EPIC on the axis: 68, 83, 89 and 92 % (M1), 69, 83, 89 and 93 % (M2), 71, 88, 93 and 95 % (PN) within 15, 30, 45
and 60 arcsec of what lies within 5 arcmin, good to 5 % (description of the SAS task eupper); FWHM 5 and HEW 14
arcsec (MOS), 6 and 15 arcsec (PN).

FPM: FWHM and half-power diameter of Harrison et al. 2013 (ApJ 770, 103); the wings are those of a list of
SS 433 (30002041016, FPMA), in whose detector coordinates, with the motion of the mast of 74 arcsec taken
into account, 80.1, 92.6, 96.5 and 98.5 % of the counts lie within 80, 120, 150 and 180 arcsec of the middle.
"""

_RADII = np.geomspace(0.03, 60.0, 90)
_WIDTHS = np.geomspace(0.1, 30.0, 22)
"""Radii of the fit and widths of the Gaussians, in half-power radii."""


@dataclass(frozen=True)
class Psf:
    """The point spread function of an image.

    Parameters
    ----------
    facts
        The instrument's.
    pixel_arcsec
        Side of an image pixel.
    kev
        Energy of the photons.
    axis
        Pixel (x, y), from 0, of the optical axis; None takes what holds on the axis everywhere.
    """

    facts: PsfFacts
    pixel_arcsec: float
    kev: float = 1.0
    axis: tuple[float, float] | None = None

    def angle(self, x: float, y: float) -> float:
        """Arcmin from the optical axis of a pixel, in steps of half an arcmin."""
        if self.axis is None:
            return 0.0
        distance = math.hypot(x - self.axis[0], y - self.axis[1]) * self.pixel_arcsec / 60.0
        return min(round(2.0 * distance) / 2.0, self.facts.angle)

    def eef(self, radius: np.ndarray, angle: float = 0.0) -> np.ndarray:
        """Fraction of the counts within some radii (pixels), at this angle from the axis (arcmin)."""
        kev = float(np.clip(self.kev, *self.facts.energies))
        return self.facts.eef(kev, min(angle, self.facts.angle))(np.asarray(radius, float) * self.pixel_arcsec)

    def radius(self, fraction: float, angle: float = 0.0) -> float:
        """Pixels within which this fraction of the counts lies."""
        radii = np.geomspace(1e-3, 3600.0, 4000) / self.pixel_arcsec
        return float(np.interp(fraction, self.eef(radii, angle), radii))

    def mixture(self, angle: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Weights, which sum to 1, and standard deviations (pixels) of Gaussians that make up the function."""
        return _mixture(self, angle)


@lru_cache(maxsize=512)
def _mixture(psf: Psf, angle: float) -> tuple[np.ndarray, np.ndarray]:
    from scipy.optimize import nnls

    half = psf.radius(0.5, angle)
    radii, widths = _RADII * half, _WIDTHS * half
    weights, _ = nnls(
        -np.expm1(-0.5 * (radii[:, None] / widths) ** 2), psf.eef(radii, angle), maxiter=100 * len(widths)
    )
    kept = weights > 1e-5
    return weights[kept] / weights[kept].sum(), widths[kept]


def psf_for(instrument: str, pixel_arcsec: float, *, kev: float = 1.0, axis: tuple[float, float] | None = None) -> Psf:
    """The point spread function of an instrument's images.

    Parameters
    ----------
    instrument
        A key of `PSFS`; FPMA and FPMB, XIS0 to XIS3, SIS and GIS are understood.
    pixel_arcsec
        Side of an image pixel.
    kev
        Energy of the photons.
    axis
        Pixel (x, y), from 0, of the optical axis, if the image has one.

    Raises
    ------
    NotPossible
        No function is known for the instrument.

    Examples
    --------
    >>> psf = psf_for("M1", 4.35, kev=1.0)
    >>> float(psf.eef(15 / 4.35).round(2))
    0.68
    """
    name = instrument.upper()
    for start, key in (
        ("FPM", "FPM"),
        ("XIS", "XIS"),
        ("SIS", "ASCA"),
        ("GIS", "ASCA"),
        ("XI", "XIS"),
        ("TM", "EROSITA"),
    ):
        if name.startswith(start) and name not in PSFS:
            name = key
    if name not in PSFS:
        raise NotPossible(
            "psf",
            f"no point spread function is known for {instrument}",
            remedy=f"choose one of {', '.join(sorted(PSFS))}, or give a Gaussian (daxa.xray.gaussian_psf)",
        )
    return Psf(PSFS[name], float(pixel_arcsec), float(kev), axis)


def gaussian_psf(sigma: float) -> Psf:
    """A round Gaussian, the same everywhere in the image.

    Parameters
    ----------
    sigma
        Standard deviation, pixels.

    Examples
    --------
    >>> weights, widths = gaussian_psf(2.0).mixture()
    >>> bool(np.isclose(weights @ widths**2, 4.0, rtol=0.02))
    True
    """
    return Psf(_gaussian_facts(float(sigma)), 1.0)


@lru_cache(maxsize=64)
def _gaussian_facts(sigma: float) -> PsfFacts:
    return PsfFacts(lambda _kev, _arcmin: _gauss(sigma), (0.0, np.inf), 0.0, f"Gaussian, sigma {sigma:g} pixels")


@lru_cache(maxsize=1)
def beta_mixture() -> tuple[np.ndarray, np.ndarray]:
    """Gaussians that make up a beta model of beta = 2/3, ``(1 + r^2)^-1.5``, of core radius 1.

    Returns
    -------
    tuple of ndarray
        Weights, which sum to 1, and standard deviations.
    """
    from scipy.special import gammainc

    # The model is the mixture of Gaussians of variance 1/2t, t drawn from a Gamma distribution of shape 1/2.
    edges = np.geomspace(3e-4, 8.0, 13)
    weights = np.diff(np.concatenate(([0.0], gammainc(0.5, edges[1:-1]), [1.0])))
    return weights, 1.0 / np.sqrt(2.0 * np.sqrt(edges[:-1] * edges[1:]))
