"""What mirrors do to an image, as values: how much less they collect away from their axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Vignetting", "polynomial"]


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
        What of it was compared with no map but that which it was fitted to, '' for nothing,
        and by what share it may be off there; NaN where nothing tells.
    energy
        Energy at which the curve is taken, keV; NaN where it holds for its band as a whole.
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
        return np.clip(self.shape(angle, self.energy), 0.0, 1.0)


def polynomial(*coefficients: float) -> Callable[[np.ndarray, float], np.ndarray]:
    """1 + a t^2 + b t^3 + c t^4 of the angle t (arcmin), whatever the energy."""

    def shape(t: np.ndarray, energy: float) -> np.ndarray:
        a, b, c = coefficients
        return 1.0 + t * t * (a + t * (b + t * c))

    return shape
