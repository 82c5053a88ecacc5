"""Vignetting: how much less a telescope collects away from its optical axis.

A curve is used only in the band and out to the angle that its source covers;
where there is none, an exposure map stays flat and says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from daxa.errors import DataError
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.formats import card_number
from daxa.xray.telescopes.optics import Vignetting
from daxa.xray.telescopes.registry import camera_of

__all__ = ["LearntCurve", "Vignetting", "axis_pixel", "learn_curve", "unproved", "vignetting_for"]


_LEAST_PIXELS = 1000


def vignetting_for(mission: str, instrument: str, band: tuple[float, float] | None) -> Vignetting | None:
    """The curve for images of a band.

    Parameters
    ----------
    mission, instrument
        As in an `EventFormat`.
    band
        Nominal edges, keV; None for instruments without energies.

    Returns
    -------
    Vignetting or None
        None where no source gives one.

    Notes
    -----
    Where the curve depends on energy it is taken at the geometric mean of the band's edges.
    For a part of the band of a curve that changes within it, the curve says so (``unproved``, ``error``).

    Examples
    --------
    >>> vignetting_for("xmm", "M1", (0.2, 12.0)) is None
    True
    >>> vignetting_for("chandra", "ACIS", (0.5, 2.0)) is None
    True
    """
    lo, hi = band or (0.0, math.inf)
    for curve in camera_of(mission, instrument).vignetting:
        if curve.by_energy:
            energy = math.sqrt(lo * hi) if band else math.nan
            if curve.kev[0] <= energy <= curve.kev[1]:
                return replace(curve, energy=energy)
        elif curve.kev[0] <= lo < hi <= curve.kev[1]:
            if (lo, hi) == curve.kev or math.isnan(curve.part_error):
                return curve
            said = f"{curve.unproved or 'the curve'}: that of a wider band"
            return replace(curve, unproved=said, error=curve.part_error)
    return None


def unproved(mission: str, instrument: str, curve: Vignetting | None) -> tuple[str, float]:
    """The part of a map's vignetting that was compared with nothing, and the relative error there.

    Parameters
    ----------
    mission, instrument
        As in an `EventFormat`.
    curve
        The curve of the map, None for a flat one.

    Returns
    -------
    tuple
        '' where all was compared; NaN where no figure is known.

    Notes
    -----
    Cameras with a curve in another band: what the flat map overstates where that curve is held.
    """
    if curve is not None:
        return curve.unproved, curve.error
    camera = camera_of(mission, instrument)
    if camera.flat:
        return camera.flat, math.nan
    if camera.vignetting:
        curve = camera.vignetting[0]
        lost = 1.0 - float(curve.factor(np.array([curve.clamp]))[0]) if not curve.by_energy else math.nan
        return "no vignetting in this band: too long off the axis", round(lost, 2)
    return "no vignetting: too long off the axis", math.nan


def axis_pixel(events: EventList, curve: Vignetting) -> tuple[float, float]:
    """Where the optical axis meets the sky, in event sky pixels.

    Raises
    ------
    DataError
        The list does not say where the telescope pointed (RA_PNT, DEC_PNT, and PA_PNT where
        the axis lies off the pointing).
    """
    sky = events.sky
    ra, dec = (_pointing(events, key) for key in ("RA_PNT", "DEC_PNT"))
    x, y = (float(value) for value in sky.to_pixels(ra, dec))
    if curve.axis == (0.0, 0.0):
        return x, y
    angle = math.radians(_pointing(events, "PA_PNT"))
    u, v = (value * 60.0 / sky.pixel_arcsec for value in curve.axis)
    return x - u * math.cos(angle) - v * math.sin(angle), y - u * math.sin(angle) + v * math.cos(angle)


def _pointing(events: EventList, keyword: str) -> float:
    header = events.header if keyword in events.header else events.primary
    return card_number(header, keyword)


@dataclass(frozen=True)
class LearntCurve:
    """A curve learnt from a map of the mission's software.

    Parameters
    ----------
    axis
        Zero-based image pixel (column, row) of the optical axis.
    coefficients
        a, b, c of 1 + a t^2 + b t^3 + c t^4, t in arcmin from the axis.
    scale
        The map over the flat one on the axis.
    residual
        Median of the relative residuals.
    """

    axis: tuple[float, float]
    coefficients: tuple[float, float, float]
    scale: float
    residual: float


def learn_curve(vignetted: np.ndarray, flat: np.ndarray, pixel_arcmin: float, clamp: float = 16.0) -> LearntCurve:
    """Fit axis and curve to an exposure map of the mission's software.

    Parameters
    ----------
    vignetted
        The map, shape (ny, nx), s.
    flat
        Our flat map of the same list on the same grid, s; only its fully exposed pixels are used.
    pixel_arcmin
        Side of a pixel.
    clamp
        Angle beyond which the curve is held, arcmin.

    Raises
    ------
    DataError
        Fewer than 1000 pixels are exposed in both maps.

    Notes
    -----
    Least squares with a loss that grows linearly beyond residuals of 2 percent, so that
    rims and bad columns that the two maps treat differently weigh little.
    """
    from scipy.optimize import least_squares

    rows, columns = np.nonzero((flat > 0.98 * np.median(flat[flat > 0])) & (vignetted > 0)) if flat.any() else ((), ())
    if len(rows) < _LEAST_PIXELS:
        raise DataError(
            "vignetting",
            f"only {len(rows)} pixels are exposed in both maps, too few to learn a vignetting curve",
            remedy="give two maps of one list on one grid",
        )
    ratio = vignetted[rows, columns].astype(np.float64) / flat[rows, columns]
    brightest = ratio >= np.quantile(ratio, 0.99)

    def curve(values: np.ndarray) -> np.ndarray:
        away = np.hypot(columns - values[0] / pixel_arcmin, rows - values[1] / pixel_arcmin) * pixel_arcmin
        t = np.minimum(away, clamp)
        return values[5] * (1.0 + t * t * (values[2] * 1e-2 + t * (values[3] * 1e-4 + t * values[4] * 1e-5)))

    start = [columns[brightest].mean() * pixel_arcmin, rows[brightest].mean() * pixel_arcmin, -1.0, 5.0, -1.0]
    start.append(float(ratio[brightest].mean()))
    found = least_squares(lambda values: curve(values) - ratio, start, loss="soft_l1", f_scale=0.02)
    x, y, a, b, c, scale = (float(value) for value in found.x)
    off = float(np.median(np.abs(curve(found.x) / ratio - 1.0)))
    return LearntCurve((x / pixel_arcmin, y / pixel_arcmin), (a * 1e-2, b * 1e-4, c * 1e-5), scale, off)
