"""Vignetting: how much less a telescope collects away from its optical axis.

A curve is used only in the band and out to the angle for which its source vouches;
where there is none, an exposure map stays flat and says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from daxa.errors import DataError
from daxa.xray.lists.events import EventList
from daxa.xray.lists.formats import card_number

__all__ = ["CURVES", "LearntCurve", "Vignetting", "axis_pixel", "learn_curve", "unproved", "vignetting_for"]


@dataclass(frozen=True)
class Vignetting:
    """The curve of one instrument.

    Parameters
    ----------
    mission, instruments
        Names as in `daxa.missions`.
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

    mission: str
    instruments: tuple[str, ...]
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
        >>> curve = vignetting_for("xmm", "PN", (0.5, 2.0))
        >>> curve.factor(np.array([0.0, 5.0, 10.0, 15.0])).round(3).tolist()
        [1.0, 0.823, 0.53, 0.337]
        """
        angle = np.minimum(np.asarray(arcmin, dtype=np.float64), self.clamp)
        return np.clip(self.shape(angle, self.energy), 0.0, 1.0)


def _polynomial(*coefficients: float) -> Callable[[np.ndarray, float], np.ndarray]:
    """1 + a t^2 + b t^3 + c t^4."""

    def shape(t: np.ndarray, energy: float) -> np.ndarray:
        a, b, c = coefficients
        return 1.0 + t * t * (a + t * (b + t * c))

    return shape


def _harder(soft: Callable[[np.ndarray, float], np.ndarray]) -> Callable[[np.ndarray, float], np.ndarray]:
    """The curve of 2-10 keV from that of 0.5-2 keV, as the one of MOS2 goes over into the other."""

    def shape(t: np.ndarray, energy: float) -> np.ndarray:
        return soft(t, energy) * _MOS2_HARD(t, energy) / _MOS2_SOFT(t, energy)

    return shape


def _xrt(t: np.ndarray, energy: float) -> np.ndarray:
    return 1.0 - (1.248e-4 * 1.55219**energy + 1.85628e-3) * t * t


def _pspc(t: np.ndarray, energy: float) -> np.ndarray:
    a, e = t / 60.0, energy / 2.0
    mirror = np.select([a <= 0.2333, a <= 0.8885], [np.ones_like(a), 1.1065 - 0.4565 * a], 5.9287 - 5.8837 * a)
    return np.maximum(0.0, mirror * (1.0 + 0.4244 * a * e - 0.3313 * a * a * e - 0.8248 * a * e * e))


def _einstein(t: np.ndarray, energy: float) -> np.ndarray:
    return np.select([t < 12.0, t < 40.0], [1.0 - t * (0.00825 + t / 3200.0), 1.11232 - 0.02136 * t], 0.25792)


_LEAST_PIXELS = 1000

_FITTED = "fit to a map of SAS, 0.5-2 keV"
_MOS2_SOFT = _polynomial(-1.11593e-2, 8.56573e-4, -2.12253e-5)
_MOS2_HARD = _polynomial(-1.31493e-2, 1.01128e-3, -2.40122e-5)
_MOS1_SOFT = _polynomial(-1.13646e-2, 8.8798e-4, -2.2566e-5)
_PN_SOFT = _polynomial(-1.01268e-2, 6.7200e-4, -1.2892e-5)
_XIMAGE = "HEASoft XIMAGE"

_CURVES = (
    Vignetting("xmm", ("PN",), (0.5, 2.0), False, 16.0, 15.0, (0.88, 1.95),
               _PN_SOFT, f"pn: {_FITTED}", "footprint of pn beyond 12 arcmin", 0.08),
    Vignetting("xmm", ("M1",), (0.5, 2.0), False, 16.0, 15.0, (1.27, 2.38),
               _MOS1_SOFT, f"MOS1: {_FITTED}"),
    # MOS1's curve and pn's, about this axis, agree with MOS2's own map as its own curve does.
    Vignetting("xmm", ("M2",), (0.5, 2.0), False, 16.0, 15.0, (0.346, 1.933), _MOS2_SOFT, f"MOS2: {_FITTED}"),
    Vignetting("xmm", ("M2",), (2.0, 10.0), False, 16.0, 15.0, (0.343, 1.671), _MOS2_HARD,
               "MOS2: fit to a map of SAS, 2-10 keV", "MOS2 above 2 keV, beyond its own map", 0.06),
    Vignetting("xmm", ("M1",), (2.0, 10.0), False, 16.0, 0.0, (1.27, 2.38), _harder(_MOS1_SOFT),
               "MOS1 below 2 keV x MOS2 above over below", "MOS1 above 2 keV", 0.06),
    Vignetting("xmm", ("PN",), (2.0, 10.0), False, 16.0, 0.0, (0.88, 1.95), _harder(_PN_SOFT),
               "pn below 2 keV x MOS2 above over below", "pn above 2 keV", 0.08),
    Vignetting("swift", ("XRT",), (0.3, 10.0), True, 17.0, 0.0, (0.0, 0.0), _xrt, f"{_XIMAGE}, XRT",
               "vignetting of XRT"),
    Vignetting("rosat", ("PSPC", "PSPCB", "PSPCC"), (0.0, 2.0), True, 60.0, 0.0, (0.0, 0.0),
               _pspc, f"{_XIMAGE}, PSPC without ribs", "vignetting of PSPC; its ribs are left out"),
    Vignetting("einstein", ("IPC",), (0.0, math.inf), False, 60.0, 0.0, (0.0, 0.0), _einstein, f"{_XIMAGE}, Einstein",
               "vignetting of IPC; its ribs are left out"),
)  # fmt: skip

CURVES = MappingProxyType({(curve.mission, name): curve for curve in reversed(_CURVES) for name in curve.instruments})
"""``(mission, instrument)`` to its curve, that of the lowest energies where there are several.

XMM-Newton: least-squares fits, axis and curve, to exposure maps that SAS 13.5 made of 0404910601; that of pn is
the same in two observations, and describes MOS1 and MOS2, each about its own axis, with a median error of 2 percent.
Fitted to one half of a MOS2 map, by tiles, it describes the other with a median error of 2.4 percent.  Others: the
formulas in the source of HEASoft's XIMAGE.  Chandra, NuSTAR, Suzaku, eROSITA and XRISM
publish theirs as calibration files only.

Expected errors of what is unproved are those that nine tenths of the pixels of our maps stay within of SAS's, each
over its own level within 3 arcmin.  MOS1 and MOS2, 0.5-2 keV: 5 percent; beyond 12 arcmin 6 to 7, which is also what
the footprint of pn, of which there is no list to place, is taken to be off by (8).  Its curve follows its own map to
4 percent out to 15 arcmin.  MOS2, 2-10 keV: 6 percent, beyond 13 arcmin 8.  The derived curves of MOS1 and pn above
2 keV describe that map of MOS2, about its axis, to 6 percent as well; that they hold for the mirrors of these cameras
no map shows, so that pn, whose mirror has no grating behind it, has the larger figure.
"""


def vignetting_for(mission: str, instrument: str, band: tuple[float, float] | None) -> Vignetting | None:
    """The curve for images of a band, None where no source vouches for one.

    Parameters
    ----------
    mission, instrument
        As in an `EventFormat`.
    band
        Nominal edges, keV; None for instruments without energies.

    Notes
    -----
    Where the curve depends on energy it is taken at the geometric mean of the band's edges.

    Examples
    --------
    >>> vignetting_for("xmm", "M1", (0.2, 12.0)) is None
    True
    >>> vignetting_for("chandra", "ACIS", (0.5, 2.0)) is None
    True
    """
    lo, hi = band or (0.0, math.inf)
    for curve in (one for one in _CURVES if one.mission == mission and instrument in one.instruments):
        if curve.by_energy:
            energy = math.sqrt(lo * hi) if band else math.nan
            if curve.kev[0] <= energy <= curve.kev[1]:
                return replace(curve, energy=energy)
        elif curve.kev[0] <= lo < hi <= curve.kev[1]:
            return curve
    return None


def unproved(mission: str, instrument: str, curve: Vignetting | None) -> tuple[str, float]:
    """What of a map's vignetting was compared with nothing, and by what share the map may be off there.

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
    ACIS: the mirrors' off-axis area is in the Chandra Proposers' Observatory Guide, chapter 4
    (https://cxc.harvard.edu/proposer/POG/html/chap4.html); no map of it was at hand to compare with, so
    that no figure is claimed.  Cameras with a curve in another band: what the flat map overstates where
    that curve is held, at 16 arcmin.
    """
    if curve is not None:
        return curve.unproved, curve.error
    if (mission, instrument) == ("chandra", "ACIS"):
        return "no vignetting of ACIS: too long off the axis", math.nan
    if (mission, instrument) in CURVES:
        curve = CURVES[mission, instrument]
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
