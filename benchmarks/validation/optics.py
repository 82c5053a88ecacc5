"""Mirrors as others measured them: encircled energies, vignetting, out-of-time events.

Nothing here is taken from `daxa.xray`: the formulas differ from those that daxa fits and corrects with, so that
a fault of these shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

__all__ = [
    "ACIS_FALL",
    "ACIS_OUT_OF_TIME",
    "EPIC_EEF",
    "OUT_OF_TIME",
    "SOURCES",
    "Optics",
    "acis_radii",
    "draw_acis",
    "epic",
]

EPIC_EEF: Mapping[str, tuple[tuple[float, float], ...]] = MappingProxyType(
    {
        "M1": ((15.0, 0.68), (30.0, 0.83), (45.0, 0.89), (60.0, 0.92)),
        "M2": ((15.0, 0.69), (30.0, 0.83), (45.0, 0.89), (60.0, 0.93)),
        "PN": ((15.0, 0.71), (30.0, 0.88), (45.0, 0.93), (60.0, 0.95)),
    }
)
"""Camera to radii (arcsec) and encircled energies."""

OUT_OF_TIME: Mapping[str, float] = MappingProxyType({"M1": 0.0035, "M2": 0.0035, "PN": 0.063})
"""Share of the photons that arrive while the chip is read out (full frame)."""

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "EPIC, 15 to 60 arcsec": "SAS, description of the task eupper, table of encircled energies, good to 5 % "
        "(xmm-tools.cosmos.esa.int/external/sas/current/doc/eupper/node4.html)",
        "EPIC, core": "FWHM 5 arcsec, Lumb et al. 2003, Exp. Astron. 15, 89",
        "EPIC, King": "Ghizzardi, EPIC-MCT-TN-011 and -012; XMM-CCF-REL-116 (Saxton 2002)",
        "EPIC, off axis": "tangential elongation, after Read et al. 2011, A&A 534, A34 (round figures of ours)",
        "EPIC, vignetting": "1 / (1 + (t / 10.6 arcmin)^2) about the axis of each camera, and for MOS 4 % at 10 arcmin "
        "that follow twice the azimuth, as the gratings do (XMM-Newton Users Handbook, figure 14; Mateos et al. 2009)",
        "EPIC, out of time": "XMM-Newton Users Handbook, table 6: 6.3 % (pn, full frame), 0.35 % (MOS)",
        "ACIS": "radii of 50, 95 and 99 % at 1.49 keV, fits of the ACIS team at Penn State (Feigelson et al. 2002, "
        "ApJ 574, 258; asc.harvard.edu/chandra-users/0192.html)",
        "ACIS, the rest": "readout 41 ms of a frame of 3.2 s (Chandra Proposers' Observatory Guide); area falling by "
        "2 % per arcmin (a round figure of ours); dither of 8 arcsec in 1000 and 707 s",
        "cluster": "beta model, Cavaliere and Fusco-Femiano 1976, A&A 49, 137",
        "judging by photons": "Liu et al. 2022, A&A 661, A27; Seppi et al. 2022, A&A 665, A78",
    }
)
"""What is simulated, and where its figures come from."""

_KING: Mapping[str, tuple[float, float, float, float]] = MappingProxyType(
    {
        "M1": (4.838, 1.462, -0.016, -0.0026),
        "M2": (4.556, 1.406, -0.0089, -0.0012),
        "PN": (6.331, 1.510, -0.1817, -0.013),
    }
)
"""Core (arcsec) and slope at 1 keV, and how they change with an arcmin from the axis."""

ACIS_OUT_OF_TIME = 0.013
"""Share of the photons that arrive during the 41 ms in which a frame of 3.2 s is transferred."""

ACIS_FALL = 0.02
"""Share of the area lost per arcmin from the axis."""

_CORE_FWHM, _CORE_SLOPE = 5.0, 1.45
_LAST = 300.0
_ELONGATION, _MOST_ELONGATION = 0.03, 0.4
_FALL, _GRATINGS = 10.6, 0.04


@dataclass(frozen=True)
class Optics:
    """A telescope and its camera.

    Parameters
    ----------
    radius
        Shares (0 to 1), and arcmin off the axis, to radii in arcsec that encircle them.
    gratings
        Whether the vignetting follows the azimuth too.
    """

    radius: Callable[[np.ndarray, float], np.ndarray]
    gratings: bool

    def vignetting(self, u, v) -> np.ndarray:
        """Share of the area on the axis, at so many arcmin from it in the frame of the spacecraft."""
        angle = np.hypot(u, v)
        factor = 1.0 / (1.0 + (angle / _FALL) ** 2)
        if self.gratings:
            factor = factor * (1.0 + _GRATINGS * np.minimum(angle / 10.0, 1.5) * np.cos(2.0 * np.arctan2(v, u)))
        return np.clip(factor, 0.0, 1.0)

    def spread(self, rng: np.random.Generator, count: int, u: float, v: float) -> tuple[np.ndarray, np.ndarray]:
        """Offsets (arcsec, along u and v) of the photons of a point source that lies so many arcmin off the axis."""
        radius = self.radius(rng.random(count), float(np.hypot(u, v)))
        around = rng.uniform(0.0, 2.0 * np.pi, count)
        squeezed = np.sqrt(1.0 - min(_ELONGATION * np.hypot(u, v), _MOST_ELONGATION))
        along, across = radius * np.cos(around) * squeezed, radius * np.sin(around) / squeezed
        toward = np.arctan2(v, u)
        return (
            along * np.cos(toward) - across * np.sin(toward),
            along * np.sin(toward) + across * np.cos(toward),
        )


def epic(camera: str, psf: str = "table") -> Optics:
    """The telescope of an EPIC camera, at 1 keV.

    ``table``: the table of SAS from 15 arcsec outward, a King core of 5 arcsec FWHM inward.  ``king``: the King
    functions of the calibration files of 2002.
    """
    if psf == "king":
        core0, slope0, core1, slope1 = _KING[camera]

        def king(chance: np.ndarray, arcmin: float) -> np.ndarray:
            core, slope = core0 + core1 * arcmin, slope0 + slope1 * arcmin
            most = 1.0 - (1.0 + (_LAST / core) ** 2) ** (1.0 - slope)
            return core * np.sqrt((1.0 - most * chance) ** (1.0 / (1.0 - slope)) - 1.0)

        return Optics(king, camera != "PN")
    table = EPIC_EEF[camera]
    core = 0.5 * _CORE_FWHM / np.sqrt(2.0 ** (1.0 / _CORE_SLOPE) - 1.0)
    inner = np.linspace(0.0, table[0][0], 200)
    share = 1.0 - (1.0 + (inner / core) ** 2) ** (1.0 - _CORE_SLOPE)
    outer = np.geomspace(table[0][0], _LAST, 200)[1:]
    points, shares = (np.array(values) for values in zip(*table, (_LAST, 1.0), strict=True))
    radii = np.concatenate((inner, outer))
    shares = np.concatenate((share * table[0][1] / share[-1], np.interp(np.log(outer), np.log(points), shares)))
    return Optics(lambda chance, _arcmin: np.interp(chance, shares, radii), camera != "PN")


def acis_radii(arcmin: float) -> tuple[float, float, float]:
    """Radii (arcsec) that encircle 50, 95 and 99 % of the photons of 1.49 keV so many arcmin off the axis."""
    return (
        0.43 - 0.10 * arcmin + 0.050 * arcmin**2,
        2.05 - 0.55 * arcmin + 0.18 * arcmin**2,
        8.0 + 0.2 * arcmin,
    )


def draw_acis(rng: np.random.Generator, count: int, arcmin: float) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (arcsec) of the photons of a point source in ACIS, so many arcmin off the axis."""
    half, most, wings = acis_radii(arcmin)
    wings = max(wings, 1.2 * most)
    # A Gaussian has r^2 in proportion to -ln(1 - share): between the measured shares the exponent changes.
    knots = np.log(-np.log1p(-np.array([0.01, 0.5, 0.95, 0.99, 0.9999])))
    radii = np.log([half * np.sqrt(np.log(0.99) / np.log(0.5)), half, most, wings, 3.0 * wings])
    chance = np.clip(rng.random(count), 1e-6, 0.9999)
    slope = (radii[1] - radii[0]) / (knots[1] - knots[0])
    depth = np.log(-np.log1p(-chance))
    radius = np.exp(np.where(depth < knots[0], radii[0] + slope * (depth - knots[0]), np.interp(depth, knots, radii)))
    around = rng.uniform(0.0, 2.0 * np.pi, count)
    return radius * np.cos(around), radius * np.sin(around)
