"""What mirrors do to an image, as values: how much less they collect off axis, and how they spread a point.

A point spread function is the fraction of counts within a radius (EEF), as a formula with its source.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Protocol, TypeVar

import numpy as np

__all__ = [
    "Eef",
    "PsfFacts",
    "Radii",
    "Vignetting",
    "exponential",
    "gaussian",
    "half_power",
    "king",
    "lorentzian",
    "polynomial",
    "weighted",
]

Radii = TypeVar("Radii", float, np.ndarray)


class Eef(Protocol):
    """Radii (arcsec) to the fraction of counts within them: one, or an array."""

    def __call__(self, radii: Radii, /) -> Radii: ...


@dataclass(frozen=True)
class Vignetting:
    """The curve of one instrument.

    Parameters
    ----------
    kev
        Energies for which the curve holds: the whole band must lie within, or, where the
        curve depends on energy, the energy at which it is taken.
    by_energy
        Whether `shape` depends on energy.
    clamp
        Angle beyond which the curve keeps its value, arcmin.
    checked
        Angle to which the curve was compared with maps of the mission's software, arcmin;
        0 where it was not.
    axis
        Optical axis in the frame of the spacecraft, relative to the pointing, arcmin: (u, v)
        of X = X0 - u cos PA - v sin PA, Y = Y0 - u sin PA + v cos PA.
    shape
        Function of angle (arcmin, array) and energy (keV) that gives the share of the area on the axis.
    reference
        Where the curve comes from; VIGNREF of a map.
    unproved, error
        The part that was compared only with the map it was fitted to, '' for nothing,
        and by what share it may be off there; NaN where it is not known.
    energy
        Energy at which the curve is taken, keV; NaN where it holds for its band as a whole.
    part_error
        By what share it may be off for a part of its band; NaN where parts are as good as the whole.
    """

    kev: tuple[float, float]
    by_energy: bool
    clamp: float
    checked: float
    axis: tuple[float, float]
    shape: Callable[[np.ndarray, float], np.ndarray]
    reference: str
    unproved: str = ""
    error: float = math.nan
    energy: float = math.nan
    part_error: float = math.nan

    def factor(self, arcmin: np.ndarray) -> np.ndarray:
        """Share of the area on the axis, 0 to 1, at angles from it (any shape, arcmin).

        Examples
        --------
        >>> from daxa.xray import vignetting_for
        >>> curve = vignetting_for("xmm", "PN", (0.5, 2.0))
        >>> curve.factor(np.array([0.0, 5.0, 10.0, 15.0])).round(3).tolist()
        [1.0, 0.823, 0.53, 0.337]
        """
        angle = np.minimum(np.asarray(arcmin, dtype=np.float64), self.clamp)
        share: np.ndarray = np.clip(self.shape(angle, self.energy), 0.0, 1.0)
        return share


def polynomial(*coefficients: float) -> Callable[[np.ndarray, float], np.ndarray]:
    """1 + a t^2 + b t^3 + c t^4 of the angle t (arcmin), whatever the energy."""

    def shape(t: np.ndarray, energy: float) -> np.ndarray:
        a, b, c = coefficients
        share: np.ndarray = 1.0 + t * t * (a + t * (b + t * c))
        return share

    return shape


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
        Where formula and figures come from, and, where only a width is known, which shape was taken.
    name
        What it is called in `daxa.xray.psf_for`, in capitals.
    starts
        Beginnings of instrument names for which it is taken there besides.
    pixel
        Side of a pixel of the detector, arcsec, where events are placed at random within it and the EEF
        does not know of that: it is the mirrors', or that of another detector.
    """

    eef: Callable[[float, float], Eef]
    energies: tuple[float, float]
    angle: float
    source: str
    name: str = ""
    starts: tuple[str, ...] = ()
    pixel: float = 0.0


def king(core: float, slope: float) -> Eef:
    """Surface brightness (1 + r^2/core^2)^-slope, core in arcsec, slope above 1."""
    return lambda r: 1.0 - (1.0 + (r / core) ** 2) ** (1.0 - slope)


def gaussian(sigma: float) -> Eef:
    """A round Gaussian of this standard deviation, arcsec."""
    return lambda r: -np.expm1(-0.5 * (r / sigma) ** 2)


def exponential(length: float) -> Eef:
    """Surface brightness exp(-r/length), length in arcsec."""
    return lambda r: 1.0 - (1.0 + r / length) * np.exp(-r / length)


def lorentzian(inner: float, outer: float, slope: float) -> Eef:
    """Surface brightness 1 / (1 + r^2/inner^2) up to ``outer``, then a power law of this slope (above 2)."""
    edge = 0.5 * inner**2 * math.log1p((outer / inner) ** 2)
    tail = outer**2 / (1.0 + (outer / inner) ** 2) / (slope - 2.0)

    def eef(r: Radii) -> Radii:
        near = 0.5 * inner**2 * np.log1p((np.minimum(r, outer) / inner) ** 2)
        share: Radii = (near + tail * (1.0 - (np.maximum(r, outer) / outer) ** (2.0 - slope))) / (edge + tail)
        return share

    return eef


def weighted(*parts: tuple[float, Eef]) -> Eef:
    """The sum of several, each with its weight."""
    total = sum(weight for weight, _ in parts)
    return lambda r: reduce(add, (weight * eef(r) for weight, eef in parts)) / total


def half_power(diameter: float) -> Callable[[float, float], Eef]:
    """The Gaussian of this half-power diameter (arcsec) at any energy and angle."""
    return lambda _kev, _arcmin: gaussian(0.5 * diameter / math.sqrt(2.0 * math.log(2.0)))
