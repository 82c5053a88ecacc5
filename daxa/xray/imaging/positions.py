"""What an observation says about given positions on the sky: exposure, counts, rate or upper limit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntFlag

import numpy as np

from daxa.errors import DataError
from daxa.xray.eventlists.frames import pixel_side, reach_of, to_pixels
from daxa.xray.eventlists.sky_grid import header_wcs
from daxa.xray.imaging.exposed_field import Field
from daxa.xray.imaging.pairing import exposed_seconds
from daxa.xray.imaging.upper_limits import chance_of, count_errors, upper_limit

__all__ = ["ROW", "Aperture", "Quality", "cover_fields", "coverage_at"]


class Quality(IntFlag):
    """What to know before a value is used; 0 is good."""

    OUTSIDE = 1
    """No exposure at the position."""
    EDGE = 2
    """More than a tenth of the aperture has no exposure."""
    FLAT = 4
    """The exposure map is not vignetted: the rate is too low off the axis."""
    FAR = 8
    """Farther from the axis than the vignetting was checked."""
    NO_BACKGROUND = 16
    """Too little exposure around to measure the background: the limit is that of no background."""
    NOT_MEASURED = 32
    """Nothing shows which part of the sky was seen: there is neither exposure nor rate nor limit."""


@dataclass(frozen=True)
class Aperture:
    """How counts are taken, and how they are evaluated.

    Parameters
    ----------
    radius
        Of the circle, arcsec; one, or one per position, shape (n,).
    inner, outer
        Radii of the ring in which the background is measured, arcsec; one each, or shape (n,).
    enclosed
        Share of a point source's light within the circle.
    level
        Confidence of upper limits, a share between 0 and 1.
    chance
        A rate is given where the background alone has that many counts less often than this.
    """

    radius: float | np.ndarray = 20.0
    inner: float | np.ndarray = 60.0
    outer: float | np.ndarray = 120.0
    enclosed: float = 1.0
    level: float = 0.9
    chance: float = 1e-3

    def of(self, which: slice | np.ndarray) -> Aperture:
        """The aperture of some of the positions.

        Parameters
        ----------
        which
            Indices or booleans of the positions, shape (n,), or a slice of them.

        Returns
        -------
        Aperture
            With the radii of these positions.
        """
        radii = {name: getattr(self, name) for name in ("radius", "inner", "outer")}
        return replace(self, **{name: radius[which] for name, radius in radii.items() if np.ndim(radius)})


ROW = np.dtype(
    [
        ("target", "i8"),
        ("offaxis", "f8"),
        ("exposure", "f8"),
        ("exposed", "f8"),
        ("counts", "i8"),
        ("background", "f8"),
        ("chance", "f8"),
        ("rate", "f8"),
        ("rate_low", "f8"),
        ("rate_high", "f8"),
        ("limit", "f8"),
        ("flag", "i4"),
    ]
)
"""What a field says about one position (`coverage_at`)."""

_UNMEASURED = ("exposure", "exposed", "background", "chance", "rate", "rate_low", "rate_high", "limit")
"""What a map of last resort cannot give."""

_WHOLE = 0.9
_NEARLY = 1e-6
"""Arcmin: positions so far outside are on the rim."""

_BLOCK = 100_000


def coverage_at(ra: np.ndarray, dec: np.ndarray, field: Field, aperture: Aperture | None = None) -> np.ndarray:
    """What a field says about positions.

    Parameters
    ----------
    ra, dec
        Shape (n,), deg, ICRS.
    field
        Image and exposure map.
    aperture
        How counts are taken.

    Returns
    -------
    ndarray
        Shape (n,), one row per position, with the fields ``target`` (its number), ``offaxis``
        (arcmin), ``exposure`` (s, of the pixel at the position), ``exposed`` (share of the circle
        with exposure), ``counts``, ``background`` (counts in the circle), ``chance`` (of that many
        counts without a source), ``rate`` with ``rate_low`` and ``rate_high`` (count/s; NaN where
        the chance is too great), ``limit`` (count/s) and ``flag`` (`Quality`).

    Raises
    ------
    DataError
        Image, map and header do not match, or the aperture is not valid.

    Notes
    -----
    A pixel is in a circle when its middle is.  The ring's counts are scaled by the exposure of
    circle over ring.  Rates are for a source at the middle: counts less background over the mean
    exposure of the circle and `enclosed`.  Errors are those of Gehrels 1986 on the counts, limits
    those of Kraft et al. 1991 (`daxa.xray.imaging.upper_limits`).  Where a map is not a measurement
    (``NOT_MEASURED``), only counts are given.
    """
    use = aperture or Aperture()
    ra, dec = (np.atleast_1d(np.asarray(one, dtype=np.float64)) for one in (ra, dec))
    _check(field, use, len(ra))
    field = replace(field, exposure=exposed_seconds(field.exposure))
    sums = _Sums(field)
    parts = [
        _block(ra[part], dec[part], field, use.of(part), sums)
        for part in (slice(start, start + _BLOCK) for start in range(0, len(ra), _BLOCK))
    ]
    rows = np.concatenate(parts) if parts else np.empty(0, ROW)
    rows["target"] = np.arange(len(ra))
    return rows


def cover_fields(
    ra: np.ndarray, dec: np.ndarray, fields: Mapping[str, Field], aperture: Aperture | None = None
) -> dict[str, np.ndarray]:
    """What several fields say about positions, field by field.

    Parameters
    ----------
    ra, dec
        Shape (n,), deg, ICRS.
    fields
        Name and field.
    aperture
        As in `coverage_at`.

    Returns
    -------
    dict
        Name to the rows of the positions with exposure there, shape (k,); ``target`` is the number of the position.
    """
    ra, dec = (np.atleast_1d(np.asarray(one, dtype=np.float64)) for one in (ra, dec))
    found = {}
    for name, field in fields.items():
        near = np.flatnonzero(_within(ra, dec, field))
        rows = coverage_at(ra[near], dec[near], field, aperture and aperture.of(near))
        rows["target"] = near
        found[name] = rows[(rows["flag"] & Quality.OUTSIDE) == 0]
    return found


def _check(field: Field, use: Aperture, count: int) -> None:
    shape = np.shape(field.counts)
    others = [np.shape(one) for one in (field.exposure, field.background, field.readout) if one is not None]
    if len(shape) != 2 or any(other != shape for other in others):
        raise DataError(
            "exposure-mismatch", "image and maps of a field have different shapes", remedy="make them again"
        )
    if np.isinf(field.exposure).any():
        raise DataError("exposure", "an exposure map holds infinite seconds", remedy="make it again")
    if not np.isfinite(np.where(np.asarray(field.exposure) > 0, field.counts, 0)).all():
        raise DataError("counts", "an image holds no number of counts where it is exposed", remedy="make it again")
    radii = tuple(np.asarray(one, dtype=np.float64) for one in (use.radius, use.inner, use.outer))
    if any(one.shape not in {(), (count,)} for one in radii):
        raise DataError("aperture", f"{count} positions have radii in another number", remedy="give one, or one each")
    radius, inner, outer = np.broadcast_arrays(*radii)
    wrong = np.flatnonzero(~((radius > 0) & (radius <= inner) & (inner < outer) & np.isfinite(outer)))
    if len(wrong) or not (0 < use.enclosed <= 1 and 0 < use.level < 1):
        at = wrong[0] if len(wrong) else 0
        texts = [f"{one.flat[at]:g}" if one.size else "no" for one in (radius, inner, outer)]
        raise DataError(
            "aperture",
            f"an aperture of {texts[0]} arcsec with a ring of {texts[1]} to {texts[2]} is not valid",
            remedy="choose 0 < radius <= inner < outer, and shares between 0 and 1",
        )


def _within(ra: np.ndarray, dec: np.ndarray, field: Field) -> np.ndarray:
    """Positions within the circle around a field."""
    *middle, reach = reach_of(header_wcs(field.header), field.counts.shape)
    return ~(_separation(ra, dec, (middle[0], middle[1])) > reach * 60.0 + _NEARLY)


def _separation(ra: np.ndarray, dec: np.ndarray, other: tuple[float, float]) -> np.ndarray:
    """Angle from a position, arcmin, by the haversine formula; NaN where a position is unknown."""
    a, b = np.deg2rad(dec), math.radians(other[1])
    half = (
        np.sin((a - b) / 2) ** 2 + np.cos(a) * math.cos(b) * np.sin((np.deg2rad(ra) - math.radians(other[0])) / 2) ** 2
    )
    return np.rad2deg(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1)))) * 60


class _Sums:
    """Sums along the rows of a field's images, from which those of circles follow."""

    def __init__(self, field: Field) -> None:
        def along(image: np.ndarray) -> np.ndarray:
            return np.cumsum(np.pad(image, ((0, 0), (1, 0))), axis=1)

        self.shape = field.counts.shape
        # Where nothing was seen a count may be undefined.
        counts = np.asarray(field.counts, dtype=np.float64)
        self.counts = along(np.where(np.isnan(counts) & (field.exposure <= 0), 0.0, counts))
        self.exposure = along(np.asarray(field.exposure, dtype=np.float64))
        self.exposed = along((np.asarray(field.exposure) > 0).astype(np.float64))
        self.background, self.readout = (
            None if image is None else along(np.asarray(image, dtype=np.float64))
            for image in (field.background, field.readout)
        )
        self.scale = pixel_side(header_wcs(field.header))

    def circle(
        self, images: list[np.ndarray], x: np.ndarray, y: np.ndarray, radius: float | np.ndarray
    ) -> list[np.ndarray]:
        """Sum of each image over the pixels whose middle lies within a radius, pixels; and their number, last."""
        ny, nx = self.shape
        sums = [np.zeros(len(x)) for _ in range(len(images) + 1)]
        middle = np.floor(y + 0.5)
        most = math.ceil(np.max(radius, initial=0.0))
        for step in range(-most - 1, most + 2):
            row = middle + step
            square = radius * radius - (row - y) ** 2
            half = np.sqrt(np.maximum(square, 0.0))
            low, high = np.ceil(x - half), np.floor(x + half)
            width = np.where(square >= 0, np.maximum(high - low + 1, 0), 0)
            sums[-1] += width
            valid = (width > 0) & (row >= 0) & (row < ny) & (high >= 0) & (low < nx)
            number = np.where(valid, row, 0).astype(np.intp)
            first = np.where(valid, np.clip(low, 0, nx), 0).astype(np.intp)
            last = np.where(valid, np.clip(high + 1, 0, nx), 0).astype(np.intp)
            for index, image in enumerate(images):
                sums[index] += image[number, last] - image[number, first]
        return sums


def _block(ra: np.ndarray, dec: np.ndarray, field: Field, use: Aperture, sums: _Sums) -> np.ndarray:
    rows = np.zeros(len(ra), ROW)
    x, y = (np.nan_to_num(one, nan=-1e6) for one in to_pixels(header_wcs(field.header), ra, dec))
    # What lies far outside needs no number that fits its distance.
    x, y = np.clip(x, -1e6, 1e7), np.clip(y, -1e6, 1e7)
    rows["offaxis"] = _separation(ra, dec, field.axis)
    rows["exposure"] = _at(field.exposure, x, y)
    counts, seconds, exposed, pixels = sums.circle(
        [sums.counts, sums.exposure, sums.exposed], x, y, use.radius / sums.scale
    )
    rows["counts"] = np.rint(counts).astype(np.int64)
    pixels = np.maximum(pixels, 1.0)
    rows["exposed"] = exposed / pixels
    background = _background(x, y, use, sums, (seconds, exposed))
    known = np.isfinite(background)
    rows["background"] = background
    _rate(rows, np.where(known, background, 0.0), seconds / pixels * use.enclosed, use)
    rows["flag"] = (
        np.where(rows["exposure"] > 0, 0, Quality.OUTSIDE)
        | np.where(rows["exposed"] < _WHOLE, Quality.EDGE, 0)
        | (0 if field.vignetted else Quality.FLAT)
        | np.where(field.vignetted & ~(rows["offaxis"] <= field.checked), Quality.FAR, 0)
        | np.where(known, 0, Quality.NO_BACKGROUND)
        | (0 if field.measured else Quality.NOT_MEASURED)
    )
    if not field.measured:
        for name in _UNMEASURED:
            rows[name] = np.nan
    return rows


def _at(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    ny, nx = image.shape
    column, row = np.floor(x + 0.5).astype(np.intp), np.floor(y + 0.5).astype(np.intp)
    inside = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    return np.where(inside, np.asarray(image)[np.where(inside, row, 0), np.where(inside, column, 0)], 0.0)


def _background(
    x: np.ndarray, y: np.ndarray, use: Aperture, sums: _Sums, circle: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Counts of the background in the circle, NaN where it is not known."""
    nothing = np.zeros_like(sums.counts) if sums.readout is None else sums.readout
    known = sums.circle([nothing], x, y, use.radius / sums.scale)[0]
    if sums.background is not None:
        return known + sums.circle([sums.background], x, y, use.radius / sums.scale)[0]
    images = [sums.counts - nothing, sums.exposure, sums.exposed]
    inner, outer = (sums.circle(images, x, y, radius / sums.scale) for radius in (use.inner, use.outer))
    counts, seconds, exposed = (b - a for a, b in zip(inner[:3], outer[:3], strict=True))
    enough = (seconds > 0) & (exposed >= circle[1]) & (circle[0] > 0)
    # Sums of many terms, differenced: what should be nothing may be a little less.
    sky = np.divide(np.maximum(counts, 0.0) * circle[0], seconds, out=np.full(len(x), np.nan), where=enough)
    return known + sky


def _rate(rows: np.ndarray, background: np.ndarray, seconds: np.ndarray, use: Aperture) -> None:
    """Fill in chance, rate with errors, and limit, for seconds of exposure that all light is seen in."""
    seen = seconds > 0
    counts = rows["counts"].astype(np.float64)
    rows["chance"] = chance_of(counts, background)
    below, above = count_errors(counts)
    time = np.where(seen, seconds, np.nan)
    found = seen & (rows["chance"] < use.chance)
    for name, value in (("rate", 0.0), ("rate_low", -below), ("rate_high", above)):
        rows[name] = np.where(found, (counts + value - background) / time, np.nan)
    rows["limit"] = upper_limit(counts, background, use.level) / time
