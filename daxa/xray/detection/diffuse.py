"""Light of any shape that fills more of an image than sources do: nebulae, clusters beyond their models, wings.

What wavelets mark as sources is such light where the marks run together over an area far
larger than their largest scale.  There the model of what lies between the compact sources
is corrected by what the counts say, over ever smaller distances, wherever the difference
is certain; what is not certain stays as it was, so that the noise of the counts does not
become the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
from scipy.ndimage import gaussian_filter, label

from daxa.xray.detection.cells import binned, enlarge

__all__ = ["adapted", "filled", "large_parts", "spread_out"]

_SURE, _SLOPE = 4.0, 2.0
"""Standard deviations at which a correction begins, and over which it comes to be full."""

_COUNTS = 50.0
"""Counts under the smoothing kernel without which no correction is made: it is uncertain by a seventh."""

_BRIGHTEST, _SHARE = 3.0, 0.2
"""Width, pixels, of the smoothing in which the brightest place is looked for; share of light that is far from it."""

_FINER = 2.0**-0.5
_LEAST_SIGMA = 6.0
_CELLS = 6.0
"""Least number of cells per width in which light is smoothed: it differs by a twentieth of its noise from pixels."""

_FLOOR = 1e-9
"""Counts of a pixel of which nothing is expected."""

_TRUNCATE = 4.0
"""Widths at which the smoothing ends."""

_MOST = 10.0
"""No expectation is more than so many times the largest number of counts."""

_AGAIN = 3
"""Further corrections with the smallest width: the model becomes as peaked as the counts are."""


def large_parts(mask: np.ndarray, seen: np.ndarray, radius: float) -> np.ndarray:
    """The connected parts of a mask of which more than a circle of this radius was seen.

    Parameters
    ----------
    mask
        bool, shape (ny, nx); it spans gaps in what was seen, which divide nothing.
    seen
        Exposed pixels, bool, same shape.
    radius
        Pixels.

    Returns
    -------
    numpy.ndarray
        int, same shape: the number of the part in its pixels that were seen, 0 elsewhere.

    Examples
    --------
    >>> mask = np.zeros((40, 40), bool)
    >>> mask[2:5, 2:5] = mask[10:30, 10:30] = True
    >>> seen = np.ones_like(mask)
    >>> seen[18:20] = False
    >>> np.unique(large_parts(mask, seen, 8.0), return_counts=True)[1].tolist()
    [1240, 360]
    """
    parts, number = label(mask)
    parts[~seen] = 0
    large = np.bincount(parts.ravel(), minlength=number + 1) > np.pi * radius**2
    large[0] = False
    return np.where(large, np.cumsum(large), 0)[parts]


def spread_out(counts: np.ndarray, model: np.ndarray, parts: np.ndarray, far: float) -> np.ndarray:
    """The parts whose light reaches far from its brightest place, as that of no point source does.

    Parameters
    ----------
    counts, model
        Counts, and those that are expected without the light, shape (ny, nx).
    parts
        As `large_parts` gives them.
    far
        Pixels beyond which a fifth of the light must lie.

    Returns
    -------
    numpy.ndarray
        int, same shape, numbered anew.
    """
    kept = [0]
    smoothed = gaussian_filter(counts - model, _BRIGHTEST, mode="constant") if parts.any() else counts
    for number in range(1, int(parts.max(initial=0)) + 1):
        rows, columns = np.nonzero(parts == number)
        brightest = int(smoothed[rows, columns].argmax())
        excess = counts[rows, columns] - model[rows, columns]
        away = np.hypot(columns - columns[brightest], rows - rows[brightest])
        kept.append(int(excess[away > far].sum() > _SHARE * excess.sum() > 0))
    numbers = np.array(kept)
    numbers[numbers > 0] = np.arange(1, (numbers > 0).sum() + 1)
    return numbers[parts]


def adapted(
    counts: np.ndarray,
    model: np.ndarray,
    kept: np.ndarray,
    compact: Callable[[np.ndarray], np.ndarray],
    *,
    sigma: float,
    least: float,
) -> np.ndarray:
    """A model of what lies between the sources, corrected where the counts contradict it.

    Parameters
    ----------
    counts, model
        Counts, and those that are expected, shape (ny, nx).
    kept
        Pixels that are exposed and belong to no source beside the light, bool.
    compact
        From a model to the pixels of compact sources above it, bool.
    sigma, least
        Widths, pixels, of the smoothing with which the correction begins and ends.

    Returns
    -------
    numpy.ndarray
        The corrected model, same shape.
    """
    model = np.maximum(model, _FLOOR)
    least = max(least, _LEAST_SIGMA)
    # What is compact shows only above the light itself: at first nothing is left out.
    first = _corrected(counts, model, kept, sigma, least)
    light = kept & ~compact(first)
    return first if np.array_equal(light, kept) else _corrected(counts, model, light, sigma, least)


def _corrected(counts: np.ndarray, model: np.ndarray, used: np.ndarray, sigma: float, least: float) -> np.ndarray:
    widths = [max(_FINER * sigma, least)]
    while widths[-1] > least:
        widths.append(max(_FINER * widths[-1], least))
    widths += [least] * _AGAIN
    coarse = [width for width in widths if _cell(width) > 1]
    model = _stepped(counts, model, used, coarse)
    # Beside the field there is nothing: where pixels are smoothed it is left out.
    box = _box(used | (model > _FLOOR))
    model[box] = _stepped(counts[box], model[box], used[box], widths[len(coarse) :])
    return np.maximum(model, 0.0)


def _stepped(counts: np.ndarray, model: np.ndarray, used: np.ndarray, widths: Sequence[float]) -> np.ndarray:
    """A model corrected over one distance after the other."""
    model, counts = model.copy(), np.where(used, counts, 0.0)
    # Where sources that were taken away leave less than nothing, or nothing is compared, corrections know no end.
    most = _MOST * max(float(model.max()), float(counts.max()))
    for width, same in groupby(widths):
        above, here = _smoothed(counts, width), _whole(model.shape)
        for _ in same:
            wide = _around(here, width, model.shape)
            below = _smoothed(np.where(used[wide], model[wide], 0.0), width)[_shifted(here, wide, -1)]
            area = 4.0 * np.pi * width**2
            noise = np.sqrt(np.maximum(below, 1e-12) / area)
            sure = np.clip((np.abs(above[here] - below) / noise - _SURE) / _SLOPE, 0.0, 1.0)
            sure *= np.maximum(above[here], below) * area > _COUNTS
            factor = 1.0 + sure * (above[here] / np.maximum(below, 1e-12) - 1.0)
            model[here] = np.clip(model[here] * factor, 0.0, most)
            changed = factor != 1.0
            if not changed.any():
                break
            # What is far from all that has changed stays as it is.
            here = _around(_shifted(_box(changed), here, 1), width, model.shape)
    return model


_Box = tuple[slice, slice]


def _whole(shape: tuple[int, int]) -> _Box:
    return slice(0, shape[0]), slice(0, shape[1])


def _box(mask: np.ndarray) -> _Box:
    """The part of an image that holds all pixels of a mask."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _shifted(box: _Box, other: _Box, sign: int) -> _Box:
    """A box whose pixels are counted from the first of another one (sign -1), or no longer are (1)."""
    by_row, by_column = (sign * one.start for one in other)
    rows, columns = box
    return slice(rows.start + by_row, rows.stop + by_row), slice(columns.start + by_column, columns.stop + by_column)


def _around(box: _Box, width: float, shape: tuple[int, int]) -> _Box:
    """A box with all pixels as far as the smoothing reaches; all of the image where that is done in cells."""
    if _cell(width) > 1:
        return _whole(shape)
    reach = int(_TRUNCATE * width + 0.5)
    rows, columns = (
        slice(max(one.start - reach, 0), min(one.stop + reach, n)) for one, n in zip(box, shape, strict=True)
    )
    return rows, columns


def _cell(width: float) -> int:
    return max(1, int(width / _CELLS))


def _smoothed(image: np.ndarray, width: float) -> np.ndarray:
    """An image smoothed with a Gaussian, in cells that are small beside it."""
    cell = _cell(width)
    if cell == 1:
        return gaussian_filter(image, width, mode="constant", truncate=_TRUNCATE)
    # The cells, and the straight lines between their middles, are as wide as half of a cell by themselves.
    narrower = math.sqrt(width**2 - 0.25 * cell**2) / cell
    coarse = gaussian_filter(binned(image, cell) / cell**2, narrower, mode="constant", truncate=_TRUNCATE)
    return enlarge(coarse, cell, image.shape)


def filled(counts: np.ndarray, model: np.ndarray, within: np.ndarray, sigma: float, least: float) -> np.ndarray:
    """A model that holds all counts of some pixels: extended light with its structure.

    Parameters
    ----------
    counts
        Counts without the sources that are listed, shape (ny, nx).
    model
        Expected counts of smooth light.
    within
        Pixels of extended light, bool.
    sigma, least
        As for `adapted`.
    """
    start = np.maximum(model, _FLOOR)
    return np.where(within, _corrected(counts, start, model > 0, sigma, max(least, 2.0)), model)
