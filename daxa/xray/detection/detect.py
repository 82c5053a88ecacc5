"""Sources in an image: one method for every mission.

Wavelets find peaks that the background alone would hardly make; how hardly follows from
the number of false sources that the user allows in the field.  The point spread function
of the mission is then fitted to each, which gives position, counts and extent.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from astropy.wcs import WCS
from scipy.ndimage import binary_erosion

from daxa.errors import DataError, NotPossible
from daxa.xray.detection.background import estimate_components
from daxa.xray.detection.bodies import ExtendedBodies, find_bodies
from daxa.xray.detection.cells import enlarge
from daxa.xray.detection.diffuse import filled
from daxa.xray.detection.falserate import chance_for, expected_false
from daxa.xray.detection.hidden import HiddenPixels, find_hidden
from daxa.xray.detection.measure import Columns, measured
from daxa.xray.detection.peaks import find_peaks, merge_peaks
from daxa.xray.detection.psf import Psf
from daxa.xray.detection.psffit import Scene
from daxa.xray.detection.quality import PileUp
from daxa.xray.detection.source_list import SourceList, make_table
from daxa.xray.detection.vetoes import cleared
from daxa.xray.detection.wavelet import LADDER, Wavelet, make_wavelets, respond, threshold
from daxa.xray.eventlists.frames import frame_of
from daxa.xray.eventlists.regions import region_mask

if TYPE_CHECKING:
    from regions import Regions

__all__ = ["default_scales", "find_sources", "sensitivity_map"]

_LEAST_EXPOSURE = 0.1
"""Share of the largest exposure below which pixels are left out (as eSASS's ermask does)."""

_SCALES = 9
_CORE = 0.7
"""Smallest scale, in radii that hold 30 % of the counts."""

_SMOOTH = 3.0
"""Smoothing of the background, in largest scales."""

_LIT = 0.1
"""Extended light that is brighter than this share of the background may make false sources."""

REALISATIONS = 4
"""Made fields from which the number of false sources is counted in an image with extended light."""


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
    all_counts: np.ndarray | None = None,
    known: np.ndarray | None = None,
    realisations: int = REALISATIONS,
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
        Expected number of sources that noise alone may make in the image.  The search is
        calibrated for it at any count level (`daxa.xray.detection.falserate`).
    regions
        Areas to leave out: a bool array of the same shape (True is left out) or regions.
    wcs
        World coordinates, for positions on the sky and for regions on the sky.
    most_rate
        Rate of a source on the detector, count/s, above which photons coincide in a frame
        and the source is marked (``PILEUP``); at all energies.
    all_counts
        Counts of all energies, same shape, where the image holds a band: rates are compared with
        `most_rate` by what the band holds of the counts of each source.
    known
        Expected counts that are no sky and no sources, same shape, such as those of out-of-time events
        (`daxa.xray.imaging.outoftime`): they are a part of the background, whatever is estimated of it.
    realisations
        Made fields from which the number of false sources within extended light is counted; each
        takes about as long as the search itself.  Only images with such light need them.
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
    bodies = None
    if known is not None and np.shape(known) != counts.shape:
        raise _shapes_differ("image of known counts", np.shape(known), counts.shape)
    known = np.where(valid, known, 0).astype(np.float32) if known is not None else None
    if background is None:
        background, bodies = _expected(counts, seconds, valid, (wavelets, psf, workers), known)
    elif np.shape(background) != counts.shape:
        raise _shapes_differ("background", np.shape(background), counts.shape)
    elif known is not None:
        background = background + known
    background = np.where(valid, background, 0).astype(np.float32)
    first = LADDER.index(wavelets[0].scale)
    log_p = chance_for(false_per_field, background, valid, first)
    hidden = find_hidden(seconds, psf)
    search = _Search(Scene(counts, seconds, background, psf), bodies, hidden, valid, wavelets, log_p, known)
    if all_counts is not None and np.shape(all_counts) != counts.shape:
        raise _shapes_differ("image of all energies", np.shape(all_counts), counts.shape)
    pile_up = PileUp(most_rate, all_counts)
    columns, parts, listed, points = _found(search, pile_up, workers)
    if bodies is not None and points.any():
        # The wings of the points that were found are no extended light: it is told again without them.
        below, bodies = _expected(counts, seconds, valid, (wavelets, psf, workers), known, points=points)
        background = np.where(valid, below, 0).astype(np.float32)
        search = replace(search, scene=replace(search.scene, background=background), bodies=bodies)
        columns, parts, listed, _ = _found(search, pile_up, workers)
    made = realisations if bodies is not None else 0
    return SourceList(
        make_table(columns, wcs),
        background if bodies is None else _with_structure(search, bodies, listed),
        valid,
        tuple(w.scale for w in wavelets),
        log_p,
        _simulated(search, bodies, made, workers)
        if bodies is not None and made > 0
        else expected_false(log_p, background, valid, first),
        _frame(wcs),
        _side(wcs),
        make_table(parts, wcs),
        max(made, 0),
    )


@dataclass(frozen=True, eq=False)
class _Search:
    """An image, what is expected without sources, and how sources are looked for."""

    scene: Scene
    bodies: ExtendedBodies | None
    hidden: HiddenPixels
    valid: np.ndarray
    wavelets: tuple[Wavelet, ...]
    log_p: float
    known: np.ndarray | None = None


def _expected(
    counts: np.ndarray,
    seconds: np.ndarray,
    valid: np.ndarray,
    search: tuple[tuple[Wavelet, ...], Psf, int],
    known: np.ndarray | None,
    *,
    points: np.ndarray | None = None,
) -> tuple[np.ndarray, ExtendedBodies | None]:
    """What is expected without sources, and the extended light in it, if there is any."""
    wavelets, psf, workers = search
    sigma, psf_radius = _SMOOTH * wavelets[-1].scale, psf.radius(0.8)
    found = estimate_components(
        counts, seconds, sigma=sigma, psf_radius=psf_radius, points=points, known=known, workers=workers
    )
    whole = found.whole if known is None else found.whole + known
    if found.whole is found.smooth:
        return whole, None
    bodies = find_bodies(counts if known is None else counts - known, found, valid, wavelets, workers=workers)
    return whole, bodies if len(bodies.peaks) else None


def _found(
    search: _Search, pile_up: PileUp, workers: int, within: np.ndarray | None = None
) -> tuple[Columns, Columns, np.ndarray, np.ndarray]:
    """The sources and the parts of extended light within some pixels, as `measured` gives them."""
    scene, log_p = search.scene, search.log_p
    there = search.valid if within is None else search.valid & within
    peaks = find_peaks(scene.counts, scene.background, there, search.wavelets, log_p, workers=workers)
    peaks = cleared(merge_peaks(peaks), scene.counts, scene.background, scene.psf, log_p)
    return measured(scene, search.hidden, search.bodies, peaks, pile_up)


def _with_structure(search: _Search, bodies: ExtendedBodies, listed: np.ndarray) -> np.ndarray:
    """What is expected without the sources that are listed: extended light with its structure."""
    scene, least = search.scene, search.scene.psf.radius(0.5)
    left = scene.counts - listed
    sigma = _SMOOTH * search.wavelets[-1].scale
    return filled(left, scene.background, bodies.number > 0, sigma, least).astype(np.float32)


def _simulated(search: _Search, light: ExtendedBodies, fields: int, workers: int) -> float:
    """Sources in a field of light and background alone, on average.

    Where there is light they are counted in made fields, elsewhere the calibration of dark fields
    holds.  The seed follows from the data, so that the number does.
    """
    scene, valid = search.scene, search.valid
    lit = (light.light > _LIT * (scene.background - light.light)) & valid
    digest = hashlib.sha256(scene.counts.tobytes() + scene.exposure.tobytes()).digest()
    # What gaps do to errors is of no account here.
    nowhere = np.zeros(lit.shape, bool)
    search = replace(search, hidden=HiddenPixels(nowhere, nowhere, np.zeros(lit.shape, np.float32)))
    rng, number = np.random.default_rng(np.frombuffer(digest, np.dtype("<u4"))), 0
    for _ in range(fields):
        made = rng.poisson(scene.background).astype(np.float32)
        below, bodies = _expected(made, scene.exposure, valid, (search.wavelets, scene.psf, workers), search.known)
        again = replace(scene, counts=made, background=np.where(valid, below, 0).astype(np.float32))
        columns, *_ = _found(replace(search, scene=again, bodies=bodies), PileUp(), workers, lit)
        x, y = (
            np.clip(np.rint(columns[axis]).astype(int), 0, n - 1) for axis, n in zip("xy", lit.shape[::-1], strict=True)
        )
        number += int((lit[y, x] & ~columns["body"]).sum())
    rest = expected_false(search.log_p, scene.background, valid & ~lit, LADDER.index(search.wavelets[0].scale))
    return number / fields + rest


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


def _shapes_differ(what: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> DataError:
    return DataError("shape", f"the {what} has shape {shape}, the image {expected}", remedy="make both on one grid")


def _valid(seconds: np.ndarray, regions: Regions | np.ndarray | None, wcs: WCS | None) -> np.ndarray:
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
