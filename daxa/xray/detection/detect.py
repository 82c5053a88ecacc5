"""Sources in an image: one method for every mission.

Wavelets find peaks that the background alone would hardly make; how hardly follows from
the number of false sources that the user allows in the field.  The point spread function
of the mission is then fitted to each, which gives position, counts and extent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from astropy.wcs import WCS
from scipy.ndimage import binary_erosion

from daxa.errors import DataError, NotPossible
from daxa.xray.detection.cells import enlarge
from daxa.xray.detection.chance import LEAST, threshold
from daxa.xray.detection.psf import Psf
from daxa.xray.detection.quality import PileUp
from daxa.xray.detection.searching import Field, SearchedImage, search_field
from daxa.xray.detection.source_list import SourceList, make_table
from daxa.xray.detection.wavelet import LADDER, make_wavelets, respond
from daxa.xray.eventlists.frames import frame_of, pixel_side
from daxa.xray.eventlists.regions import region_mask

if TYPE_CHECKING:
    from regions import Regions

__all__ = ["default_scales", "find_sources", "sensitivity_map"]

_LEAST_EXPOSURE = 0.1
"""Share of the largest exposure below which pixels are left out (as eSASS's ermask does)."""

_SCALES = 9
_CORE = 0.7
"""Smallest scale, in radii that hold 30 % of the counts."""

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
    for what, other in (
        ("background", background),
        ("image of known counts", known),
        ("image of all energies", all_counts),
    ):
        if other is not None and np.shape(other) != counts.shape:
            raise _shapes_differ(what, np.shape(other), counts.shape)
    valid = _valid(seconds, regions, wcs)
    field = Field.of(valid, max(wavelet.coarse for wavelet in wavelets))

    def cut(part: np.ndarray | None) -> np.ndarray | None:
        return None if part is None else np.where(field.cut(valid), field.cut(part), 0).astype(np.float32)

    searched = SearchedImage(
        np.where(field.cut(valid), field.cut(counts), 0).astype(np.float32),
        np.where(field.cut(valid), field.cut(seconds), 0).astype(np.float32),
        field.cut(valid),
        psf.moved(field.x, field.y),
        wavelets,
        (field.x, field.y),
        cut(background),
        cut(known),
        PileUp(most_rate, None if all_counts is None else field.cut(np.asarray(all_counts))),
        workers,
    )
    found = search_field(searched, false_per_field=false_per_field, realisations=realisations)
    return SourceList(
        make_table(field.placed(found.columns), wcs),
        field.whole(found.background),
        valid,
        tuple(w.scale for w in wavelets),
        found.log_p,
        found.expected_false,
        _frame(wcs),
        0.0 if wcs is None else pixel_side(wcs),
        make_table(field.placed(found.parts), wcs),
        found.simulated,
    )


def _frame(wcs: WCS | None) -> str:
    """Frame of the positions in the list: the image's own where that is as good as ICRS."""
    if wcs is None:
        return ""
    return wcs.wcs.radesys.lower() if frame_of(wcs) is None else "icrs"


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
        limit = np.maximum(threshold(wavelet, response.background * wavelet.bin**2, log_p), LEAST)
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
