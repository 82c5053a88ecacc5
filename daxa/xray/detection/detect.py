"""Sources in an image: one method for every mission.

Wavelets find peaks that the background alone would hardly make; how hardly follows from
the number of false sources that the user allows in the field.  The point spread function
of the mission is then fitted to each, which gives position, counts and extent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from astropy.wcs import WCS
from scipy.ndimage import binary_erosion
from scipy.special import betainc, erf, pdtrc

from daxa.errors import DataError, NotPossible
from daxa.xray.detection.background import enlarge, estimate_components
from daxa.xray.detection.falserate import chance_for, expected_false
from daxa.xray.detection.hidden import HIDDEN, Hidden, find_hidden, fit_hidden, hidden_shares
from daxa.xray.detection.light import Light
from daxa.xray.detection.peaks import Peaks, find_peaks, merge_peaks
from daxa.xray.detection.psf import Psf
from daxa.xray.detection.psffit import Fit, Scene, detection_likelihood, fit_source, source_image
from daxa.xray.detection.quality import circle_radius, judge
from daxa.xray.detection.sources import SourceList, make_table
from daxa.xray.detection.wavelet import LADDER, log_chance, make_wavelets, respond, threshold
from daxa.xray.lists.frames import frame_of
from daxa.xray.lists.regions import region_mask

__all__ = ["default_scales", "find_sources", "sensitivity_map"]

_LEAST_EXPOSURE = 0.1
"""Share of the largest exposure below which pixels are left out (as eSASS's ermask does)."""

_SCALES = 9
_CORE = 0.7
"""Smallest scale, in radii that hold 30 % of the counts."""

_SMOOTH = 3.0
"""Smoothing of the background, in largest scales."""

_HOT = 1e-6
"""Chance of so many of the counts in one pixel below which it is a hot pixel."""

_CROWDED = 1e-4
"""Chance of the counts around a peak below which they are taken for its background."""

_SECTORS = 8
_LIKELIHOOD = 6.0
"""Least likelihood beside a brighter source, and of an extent."""

_LARGEST_STAMP = 60.0


def default_scales(psf: Psf) -> tuple[float, ...]:
    """Nine wavelet scales (pixels), from the core of the point spread function up.

    Parameters
    ----------
    psf
        The point spread function on the axis.

    Examples
    --------
    >>> from daxa.xray.detection.psf import gaussian_psf
    >>> [round(scale, 1) for scale in default_scales(gaussian_psf(1.0))]
    [1.0, 1.4, 2.0, 2.8, 4.0, 5.7, 8.0, 11.3, 16.0]
    """
    core = _CORE * psf.radius(0.3, 0.0)
    first = int(np.clip(math.floor(2.0 * math.log2(max(core, 1e-3))), 0, 2))
    return LADDER[first : first + _SCALES]


def find_sources(
    image: np.ndarray,
    exposure: np.ndarray,
    psf: Psf,
    *,
    background: np.ndarray | None = None,
    scales: Sequence[float] | None = None,
    false_per_field: float = 1.0,
    regions: np.ndarray | Sequence | None = None,
    wcs: WCS | None = None,
    most_rate: float = math.inf,
    workers: int = 2,
) -> SourceList:
    """Find and measure the sources of an image.

    Parameters
    ----------
    image
        Counts, shape (ny, nx).
    exposure
        Seconds, same shape, vignetted if the image is; the same good times and chips.
    psf
        The point spread function (`psf_for`, `gaussian_psf`).
    background
        Expected counts without sources, same shape; by default it is estimated.
    scales
        Wavelet scales, pixels; by default `default_scales`.
    false_per_field
        Sources that noise alone may make in the image, on average.  The search is
        calibrated for it at any count level (`daxa.xray.detection.falserate`).
    regions
        Areas to leave out: a bool array (True is left out) or regions.
    wcs
        World coordinates, for positions on the sky and for regions on the sky.
    most_rate
        Rate of a source on the detector, count/s, above which photons coincide in a frame
        and the source is marked (``PILEUP``).
    workers
        Threads; the result does not depend on them.

    Returns
    -------
    SourceList
        The least likely noise first.

    Raises
    ------
    DataError
        Arrays of different shapes, negative or fractional counts, or nothing exposed.
    NotPossible
        Scales that no calibration covers, no false sources at all, or nothing left to search.

    Examples
    --------
    >>> from daxa.xray.detection.psf import gaussian_psf
    >>> image = np.random.default_rng(1).poisson(0.05, (128, 128))
    >>> image[59:62, 79:82] += 4
    >>> found = find_sources(image, np.full((128, 128), 1000.0), gaussian_psf(1.0), false_per_field=0.1)
    >>> len(found), bool(abs(found["x"][0] - 81) < 0.5), bool(abs(found["y"][0] - 61) < 0.5)
    (1, True, True)
    """
    wavelets = make_wavelets(tuple(scales) if scales is not None else default_scales(psf))
    counts, seconds = _checked(image, exposure)
    valid = _valid(seconds, regions, wcs)
    counts, seconds = np.where(valid, counts, 0).astype(np.float32), np.where(valid, seconds, 0).astype(np.float32)
    glow = _Glow((), np.zeros_like(counts))
    if background is None:
        found = estimate_components(
            counts, seconds, sigma=_SMOOTH * wavelets[-1].scale, psf_radius=psf.radius(0.8), workers=workers
        )
        background, glow = found.whole, _Glow(found.lights, np.where(valid, found.whole - found.smooth, 0))
    elif np.shape(background) != counts.shape:
        raise _shapes_differ("background", np.shape(background), counts.shape)
    background = np.where(valid, background, 0).astype(np.float32)
    first = LADDER.index(wavelets[0].scale)
    log_p = chance_for(false_per_field, background, valid, first)
    peaks = find_peaks(counts, background, valid, wavelets, log_p, workers=workers)
    hidden = find_hidden(seconds, psf)
    peaks = _cleared(merge_peaks(peaks), counts, background, psf, log_p)
    scene = Scene(counts, seconds, background, psf)
    columns = _measured(scene, _Beside(hidden, glow), peaks, most_rate)
    return SourceList(
        make_table(columns, wcs),
        background,
        valid,
        tuple(w.scale for w in wavelets),
        log_p,
        expected_false(log_p, background, valid, first),
        _frame(wcs),
        _side(wcs),
    )


def _frame(wcs: WCS | None) -> str:
    """Frame of the positions in the list: the image's own where that is as good as ICRS."""
    if wcs is None:
        return ""
    return wcs.wcs.radesys.lower() if frame_of(wcs) is None else "icrs"


def _side(wcs: WCS | None) -> float:
    return 0.0 if wcs is None else float(np.sqrt(np.abs(np.linalg.det(wcs.pixel_scale_matrix)))) * 3600.0


def _checked(image: np.ndarray, exposure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    counts, seconds = np.asarray(image), np.asarray(exposure, np.float64)
    if counts.shape != seconds.shape or counts.ndim != 2:
        raise _shapes_differ("exposure", seconds.shape, counts.shape)
    seconds = np.where(np.isfinite(seconds) & (seconds > 0), seconds, 0.0)
    inside = counts[seconds > 0]
    if not inside.size:
        raise DataError("exposure", "no pixel of the image was exposed", remedy="check the exposure map")
    if not np.isfinite(inside).all() or (inside < 0).any() or (inside != np.rint(inside)).any():
        raise DataError(
            "counts",
            "the image holds values that are no counts (negative, fractional or undefined)",
            remedy="give the counts image, not a rate or a smoothed one",
        )
    return np.where(seconds > 0, counts, 0), seconds


def _shapes_differ(what: str, shape, expected) -> DataError:
    return DataError(
        "shape", f"the {what} has shape {tuple(shape)}, the image {tuple(expected)}", remedy="make both on one grid"
    )


def _valid(seconds: np.ndarray, regions, wcs: WCS | None) -> np.ndarray:
    """Pixels in which sources are looked for: exposed, not at the rim of the exposed area, not masked."""
    valid = seconds >= _LEAST_EXPOSURE * seconds.max()
    # Where map and image disagree by a pixel, counts stand on pixels of hardly any exposure.
    valid = binary_erosion(valid, np.ones((3, 3)), border_value=1)
    if regions is not None:
        mask = np.asarray(regions) if isinstance(regions, np.ndarray) else region_mask(regions, seconds.shape, wcs)
        if mask.shape != seconds.shape:
            raise _shapes_differ("mask", mask.shape, seconds.shape)
        valid &= ~mask.astype(bool)
    if not valid.any():
        raise NotPossible("masked", "the regions leave nothing of the image", remedy="mask less")
    return valid


def _cleared(peaks: Peaks, counts: np.ndarray, background: np.ndarray, psf: Psf, log_p: float) -> Peaks:
    """Peaks without hot pixels, and without those that are noise of the glow that they stand in."""
    kept = [
        row
        for row in range(len(peaks))
        if not _is_hot(peaks, row, counts, background, psf) and _stands_out(peaks, row, counts, background, log_p)
    ]
    return peaks.take(np.array(kept, dtype=int))


def _is_hot(peaks: Peaks, row: int, counts: np.ndarray, background: np.ndarray, psf: Psf) -> bool:
    """Whether one pixel holds more of the counts around it than the point spread function allows."""
    x, y = round(peaks.x[row]), round(peaks.y[row])
    around = (slice(max(y - 2, 0), y + 3), slice(max(x - 2, 0), x + 3))
    stamp = counts[around]
    total, most = float(stamp.sum()), float(stamp.max(initial=0))
    if most < 3:
        return False
    weights, widths = psf.mixture(psf.angle(x, y))
    core, box = ((weights * erf(half / (math.sqrt(2.0) * widths)) ** 2).sum() for half in (0.5, 2.5))
    below = float(background[around].sum())
    net = max(total - below, 0.0)
    share = (net * core / box + float(background[around].max())) / max(net + below, 1e-9)
    return bool(betainc(most, total - most + 1.0, min(share, 1.0)) * stamp.size < _HOT)


def _stands_out(peaks: Peaks, row: int, counts: np.ndarray, background: np.ndarray, log_p: float) -> bool:
    """Whether a peak remains unlikely when what surrounds it is taken for background.

    The median of eight sectors of the ring, so that a neighbour does not hide a source.
    """
    x, y, scale = peaks.x[row], peaks.y[row], peaks.scale[row]
    inner, outer = 2.0 * scale, 4.0 * scale + 2.0
    y0, y1 = max(math.floor(y - outer), 0), math.ceil(y + outer) + 1
    x0, x1 = max(math.floor(x - outer), 0), math.ceil(x + outer) + 1
    iy, ix = np.mgrid[y0 : min(y1, counts.shape[0]), x0 : min(x1, counts.shape[1])]
    radius = np.hypot(ix - x, iy - y)
    ring = (radius >= inner) & (radius <= outer)
    number, below = counts[iy[ring], ix[ring]], background[iy[ring], ix[ring]]
    if not pdtrc(max(float(number.sum()) - 1, 0), float(below.sum())) < _CROWDED:
        return True
    sector = np.floor((np.arctan2(iy[ring] - y, ix[ring] - x) / (2 * np.pi) + 0.5) * _SECTORS).astype(int) % _SECTORS
    above, under = (np.bincount(sector, part, _SECTORS) for part in (number, below))
    if not (under > 0).any():
        return True
    excess = float(np.median(above[under > 0] / under[under > 0]))
    wavelet = make_wavelets((scale,))[0]
    local = np.array([peaks.background[row] * max(excess, 1.0) * wavelet.bin**2])
    return bool(log_chance(wavelet, peaks.excess[row : row + 1], local, np.array([0.5]))[0] <= log_p)


@dataclass(frozen=True, eq=False)
class _Glow:
    """Extended light that the background holds: its components, and counts of shape (ny, nx)."""

    lights: tuple[Light, ...]
    counts: np.ndarray

    def is_at(self, x: float, y: float, scale: float) -> bool:
        """Whether a peak is the light itself: in its core, and no smaller."""
        return any(math.hypot(x - one.x, y - one.y) < max(one.core, scale) and scale >= 0.5 * one.core
                   for one in self.lights)  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Beside:
    """What a fit must know besides counts and background."""

    hidden: Hidden
    glow: _Glow


def _measured(scene: Scene, beside: _Beside, peaks: Peaks, most_rate: float) -> dict[str, np.ndarray]:
    """The columns of the list: two rounds of fits, each source with the others as background."""
    total = scene.background.astype(np.float64)
    fits: dict[int, Fit] = {}
    extents: dict[int, float] = {}
    shown: dict[int, tuple] = {}
    rest = Scene(scene.counts, scene.exposure, total, scene.psf)
    for final in (False, True):
        for row in range(len(peaks)):
            if row in shown:
                total[shown[row][0]] -= shown[row][1]
            own = beside.glow.is_at(peaks.x[row], peaks.y[row], peaks.scale[row])
            around = replace(rest, background=np.maximum(total - beside.glow.counts, 0)) if own else rest
            fits[row], extents[row] = _fit(around, beside.hidden, peaks, row, extended=final)
            place, light = source_image(scene, fits[row], _LARGEST_STAMP)
            # The light of a cluster is in the background of the others already.
            shown[row] = place, np.maximum(light - beside.glow.counts[place], 0.0) if own else light
            total[shown[row][0]] += shown[row][1]
    likelihood = {row: float(detection_likelihood(fit.gain, 3 + (fit.extent > 0))) for row, fit in fits.items()}
    rows = [row for row in fits if likelihood[row] >= _LIKELIHOOD or not _shaded(fits, row, peaks)]
    kept = [fits[row] for row in rows]
    columns = _columns(scene, peaks.take(np.array(rows, dtype=int)), kept)
    columns["quality"] = judge(scene, beside.hidden, kept, most_rate=most_rate)
    columns["likelihood"] = np.array([likelihood[row] for row in rows], float)
    columns["extent_likelihood"] = np.array([extents[row] for row in rows], float)
    return columns


def _fit(scene: Scene, hidden: Hidden, peaks: Peaks, row: int, *, extended: bool) -> tuple[Fit, float]:
    """The fit, and the likelihood of its extent."""
    x, y, scale = peaks.x[row], peaks.y[row], peaks.scale[row]
    angle = scene.psf.angle(x, y)
    reach = float(np.clip(max(scene.psf.radius(0.85, angle), 3.0 * scale), 4.0, _LARGEST_STAMP))
    stray = float(np.clip(0.75 * scale, 2.0, 8.0))
    is_hidden = sum(hidden_shares(hidden, scene.psf, x, y)) > HIDDEN
    if is_hidden:
        point = fit_hidden(scene, hidden, x, y, reach=reach, stray=stray)
    else:
        point = fit_source(scene, x, y, reach=reach, stray=stray)
    best = point
    core = scene.psf.radius(0.5, angle)
    if not extended:
        return point, 0.0
    for step in range(12):
        size = 0.5 * core * 2.0 ** (0.5 * step)
        if size > 2.0 * max(scale, core):
            break
        fit = fit_source(scene, x, y, reach=reach, stray=stray, extent=size, begin=best)
        if fit.gain > best.gain:
            best = fit
        elif step > 1 and fit.gain < best.gain - 2.0:
            break
    sure = float(detection_likelihood(best.gain - point.gain, 1))
    if sure < _LIKELIHOOD:
        return point, 0.0
    if is_hidden:
        best = fit_hidden(scene, hidden, best.x, best.y, reach=reach, stray=stray, extent=best.extent)
    return best, sure


def _shaded(fits: dict[int, Fit], row: int, peaks: Peaks) -> bool:
    """Whether a brighter source lies so near that it may have made this one."""
    own = fits[row]
    return any(
        other.gain > own.gain
        and math.hypot(other.x - own.x, other.y - own.y) < 6.0 * max(peaks.scale[k], peaks.scale[row])
        for k, other in fits.items()
        if k != row
    )


def _columns(scene: Scene, peaks: Peaks, fits: list[Fit]) -> dict[str, np.ndarray]:
    columns = {name: np.array([getattr(fit, name) for fit in fits], float) for name in _FITTED}
    ix, iy = (
        np.clip(np.rint(columns[axis]).astype(int), 0, n - 1)
        for axis, n in zip("xy", scene.counts.shape[::-1], strict=True)
    )
    return columns | {
        "scale": peaks.scale,
        "log_p": peaks.log_p,
        "background": scene.background[iy, ix].astype(float),
        "radius": np.array([circle_radius(scene.psf, fit.x, fit.y, fit.extent) for fit in fits], float),
    }


_FITTED = ("x", "y", "x_error", "y_error", "counts", "rate", "rate_low", "rate_high", "extent", "exposure")


def sensitivity_map(
    exposure: np.ndarray,
    background: np.ndarray,
    psf: Psf,
    *,
    log_p: float,
    scales: Sequence[float] | None = None,
    workers: int = 2,
) -> np.ndarray:
    """Rate at which half of the point sources are found, at each pixel.

    Parameters
    ----------
    exposure, background
        Shape (ny, nx): seconds, and expected counts without sources.
    psf
        The point spread function.
    log_p
        ln of the largest chance (`SourceList.log_p`).
    scales
        Wavelet scales, pixels; by default `default_scales`.
    workers
        Threads; the result does not depend on them.

    Returns
    -------
    numpy.ndarray
        float32, shape (ny, nx), count/s; infinite where nothing was exposed.

    Notes
    -----
    A source of N counts whose point spread function is a sum of Gaussians of variances
    ``v_j`` and weights ``a_j`` gives the mean coefficient ``N sum(a_j s^4 / (s^2 + v_j)^2)``.
    The rate is that at which it equals the threshold of the scale that serves best.
    """
    wavelets = make_wavelets(tuple(scales) if scales is not None else default_scales(psf))
    seconds = np.where(np.isfinite(exposure) & (exposure > 0), exposure, 0.0)
    below = np.where(seconds > 0, background, 0.0).astype(np.float32)
    angles = _angles(psf, seconds.shape)
    known, place = np.unique(angles, return_inverse=True)
    least = np.full(seconds.shape, np.inf, dtype=np.float32)
    for response in respond(np.zeros_like(below), below, wavelets, workers=workers):
        wavelet = response.wavelet
        limit = np.maximum(threshold(wavelet, response.background * wavelet.bin**2, log_p), 1.05)
        gain = [_coefficient(wavelet.scale, psf.mixture(float(angle))) for angle in known]
        counts = enlarge(limit, wavelet.coarse, seconds.shape) / np.array(gain, np.float32)[place].reshape(
            seconds.shape
        )
        np.minimum(least, counts, out=least)
    return np.divide(least, seconds, out=np.full_like(least, np.inf), where=seconds > 0)


def _angles(psf: Psf, shape: tuple[int, int]) -> np.ndarray:
    """`Psf.angle` of every pixel."""
    if psf.axis is None:
        return np.zeros(shape)
    y, x = np.ogrid[: shape[0], : shape[1]]
    arcmin = np.hypot(x - psf.axis[0], y - psf.axis[1]) * psf.pixel_arcsec / 60.0
    return np.minimum(np.round(2.0 * arcmin) / 2.0, psf.facts.angle)


def _coefficient(scale: float, mixture: tuple[np.ndarray, np.ndarray]) -> float:
    """Coefficient of one count, in units of the wavelet's peak; a pixel adds 1/12 to the variance."""
    weights, widths = mixture
    return float((weights * scale**4 / (scale**2 + widths**2 + 1.0 / 12.0) ** 2).sum())
