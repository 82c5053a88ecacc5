"""The objects of a sample in the order in which images look them up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from daxa.xray.imaging.positions import Aperture

__all__ = ["SampleTargets"]


@dataclass(frozen=True, eq=False)
class SampleTargets:
    """Objects in the order of their declination.

    Parameters
    ----------
    number
        Shape (n,): the number of each in the sample, from 0.
    ra, dec
        Shape (n,), deg; `dec` increases.
    aperture
        Radii of one, or of each in this order.
    """

    number: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    aperture: Aperture

    def within(self, ra: float, dec: float, radius: float) -> np.ndarray:
        """Which lie within a circle, deg: their places in the columns, increasing."""
        first, last = self.dec.searchsorted((dec - radius, dec + radius + 1e-12), side="left")
        a, b = np.deg2rad(self.dec[first:last]), math.radians(dec)
        half = np.sin((a - b) / 2) ** 2
        half += np.cos(a) * math.cos(b) * np.sin(np.deg2rad(self.ra[first:last] - ra) / 2) ** 2
        return first + np.flatnonzero(half <= math.sin(math.radians(min(radius, 180.0)) / 2) ** 2)
