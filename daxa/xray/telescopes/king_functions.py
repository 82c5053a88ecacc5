"""King functions through what was measured of a point spread function: radii of shares, or a curve on the axis."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from daxa.xray.telescopes.optics import Eef, Radii, gaussian, king, weighted

__all__ = ["king_with_halo", "stretched_king"]

_SLOPES = np.linspace(1.3, 6.0, 471)
"""Of King functions, from which one is chosen."""

_LIMIT = 300.0
"""Arcsec within which stretched functions are normalised, as the calibration files of XMM-Newton are."""


def king_with_halo(half: float, most: float, nearly: float) -> Eef:
    """A King function and a Gaussian halo, with 50, 95 and 99 % of the counts within these radii, arcsec."""
    # Half of the halo lies within the outermost radius.
    halo = gaussian(nearly / math.sqrt(2.0 * math.log(2.0)))

    def with_halo(share: float) -> Eef:
        shares = [(total - share * float(halo(r))) / (1.0 - share) for total, r in ((0.5, half), (0.95, most))]
        return weighted((1.0 - share, _through(half, most, *shares)), (share, halo))

    # Where the outer two radii lie close together the core alone reaches beyond the last.
    low, high = 0.0, 0.03
    for _ in range(30 if with_halo(0.0)(nearly) > 0.99 else 0):
        share = 0.5 * (low + high)
        low, high = (share, high) if with_halo(share)(nearly) > 0.99 else (low, share)
    return with_halo(low)


def _through(half: float, most: float, inner: float, outer: float) -> Eef:
    """The King function with one share of its counts within a radius and another within a larger one."""
    # The ratio of the radii falls with the slope.
    ratios = _king_radius(outer, _SLOPES) / _king_radius(inner, _SLOPES)
    slope = float(np.interp(-most / half, -ratios, _SLOPES))
    return king(half / float(_king_radius(inner, slope)), slope)


def _king_radius(fraction: float, slope: float | np.ndarray) -> np.ndarray:
    """Radius, in cores, within which a King function has this share."""
    return np.sqrt((1.0 - fraction) ** (1.0 / (1.0 - np.asarray(slope))) - 1.0)


def stretched_king(
    core: tuple[float, ...], slope: tuple[float, ...], measured: tuple[float, ...]
) -> Callable[[float, float], Eef]:
    """King function whose core (arcsec) and slope are a + bE + ct + dEt, on the scale of what was measured.

    ``measured`` is the EEF on the axis at 1 keV: share, core and slope of one King function, and
    core and slope of another.  Radii are stretched so that the King function agrees with it there;
    how it changes with energy and angle stays.  All light lies within 5 arcmin.
    """
    share, *two = measured
    near, far = king(*two[:2]), king(*two[2:])

    def seen(r: Radii) -> Radii:
        return share * near(r) + (1.0 - share) * far(r)

    def declared(kev: float, arcmin: float) -> tuple[float, float]:
        terms = (1.0, kev, arcmin, kev * arcmin)
        rc, alpha = (sum(a * t for a, t in zip(values, terms, strict=True)) for values in (core, slope))
        return max(rc, 1.0), max(alpha, 1.1)

    rc, alpha = declared(1.0, 0.0)
    most = float(king(rc, alpha)(_LIMIT) / seen(_LIMIT))

    def at(kev: float, arcmin: float) -> Eef:
        function = king(*declared(kev, arcmin))
        whole = function(_LIMIT)

        def eef(r: Radii) -> Radii:
            inside: Radii = np.minimum(r, _LIMIT)
            stretched = rc * np.sqrt((1.0 - most * seen(inside)) ** (1.0 / (1.0 - alpha)) - 1.0)
            counted: Radii = np.minimum(function(stretched) / whole, 1.0)
            return counted

        return eef

    return at
