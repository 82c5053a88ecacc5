"""The part of the background that saw no mirrors: particles, as many at the edge of the field as on the axis.

An exposure map falls with the angle from the axis as the mirrors' area does.  Divided by
that fall it is flat, but for gaps and bad columns, and what is proportional to it beside
the vignetted part is fitted to the counts of the dark parts of the image.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares

from daxa.xray.detection.cells import binned

__all__ = ["area_share", "particle_level"]

_SIDE = 48
"""Blocks to the side of an image in which the fall of the exposure is fitted."""

_LEAST_FALL = 0.15
"""An exposure map that falls by less has no vignetting, or too little to tell the two parts apart."""

_WORST = 0.05
"""Median residual of the fall beyond which it is no vignetting: parts of the field were looked at longer."""

_LEAST_SHARE = 0.1
_LEAST_GAIN = 4.5
"""Rise of ln likelihood that particles must make, three standard deviations."""

_STEPS = 12


def area_share(exposure: np.ndarray) -> np.ndarray | None:
    """The vignetting of an exposure map, from the map itself.

    Parameters
    ----------
    exposure
        Seconds, shape (ny, nx); zero in pixels that are left out.

    Returns
    -------
    numpy.ndarray or None
        float64, same shape: share of the area on the optical axis, so that the map over it is
        flat.  None where the map is flat already, or falls otherwise than with the angle from
        one axis.

    Examples
    --------
    >>> y, x = np.mgrid[:256, :256]
    >>> share = 1 - 0.6 * (np.hypot(x - 120, y - 140) / 180) ** 2
    >>> bool(abs(area_share(1e4 * share) / share - 1).max() < 0.02), area_share(np.ones((256, 256))) is None
    (True, True)
    """
    size = max(max(exposure.shape) // _SIDE, 1)
    rows, columns, value = _block_most(exposure, size)
    if len(value) < 50 or np.quantile(value, 0.1) > 1.0 - _LEAST_FALL:
        return None
    reach = max(exposure.shape) / 2.0
    y, x = (rows + 0.5) / reach, (columns + 0.5) / reach

    def fall(found: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        square = (u - found[0]) ** 2 + (v - found[1]) ** 2
        return found[2] * (1.0 + square * (found[3] + np.sqrt(square) * found[4] + square * found[5]))

    bright = value >= np.quantile(value, 0.9)
    start = [x[bright].mean(), y[bright].mean(), 1.0, -0.6, 0.0, 0.0]
    fitted = least_squares(lambda p: fall(p, x, y) - value, start, loss="soft_l1", f_scale=0.02).x
    if np.median(np.abs(fall(fitted, x, y) / value - 1.0)) > _WORST or not fitted[2] > 0:
        return None
    rows, columns = ((np.arange(n) + 0.5) / reach for n in exposure.shape)
    share = fall(fitted, columns[None, :], rows[:, None]) / fitted[2]
    return np.clip(share, _LEAST_SHARE, 1.0)


def _block_most(image: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The largest pixel of each block that has one: its row, its column, and its share of the largest of all.

    Gaps are no vignetting.
    """
    ny, nx = (-n % size for n in image.shape)
    blocks = np.pad(image, ((0, ny), (0, nx)))
    blocks = blocks.reshape(blocks.shape[0] // size, size, -1, size).swapaxes(1, 2).reshape(-1, size * size)
    within = blocks.argmax(axis=1)
    value = np.take_along_axis(blocks, within[:, None], axis=1)[:, 0].astype(np.float64)
    across = -(-image.shape[1] // size)
    row, column = divmod(np.arange(len(blocks)), across)
    rows, columns = row * size + within // size, column * size + within % size
    used = value > 0
    return rows[used], columns[used], value[used] / max(float(value.max()), 1e-30)


def particle_level(counts: np.ndarray, vignetted: np.ndarray, flat: np.ndarray, cell: int) -> float:
    """Counts per second of unvignetted exposure that no mirror made.

    Parameters
    ----------
    counts, vignetted, flat
        Counts, and exposure with and without vignetting, shape (ny, nx); all zero in pixels
        that are left out.
    cell
        Pixels to the side of the cells in which they are compared.

    Returns
    -------
    float
        0 where the counts do not ask for it.

    Notes
    -----
    Poisson likelihood of ``a E + b F``, by iterated weighted least squares, neither negative.
    """
    number, above, below = (
        np.asarray(binned(np.asarray(part, np.float64), cell)).ravel() for part in (counts, vignetted, flat)
    )
    seen = above > 0
    number, above, below = number[seen], above[seen], below[seen]
    if not number.sum() > 0:
        return 0.0
    alone = number.sum() / above.sum()
    a, b = 0.5 * alone, 0.5 * number.sum() / below.sum()
    for _ in range(_STEPS):
        mean = np.maximum(a * above + b * below, 1e-12)
        aa, ab, bb = (above * above / mean).sum(), (above * below / mean).sum(), (below * below / mean).sum()
        fa, fb = (above * number / mean).sum(), (below * number / mean).sum()
        whole = aa * bb - ab * ab
        if not whole > 1e-9 * aa * bb:
            return 0.0
        a, b = (bb * fa - ab * fb) / whole, (aa * fb - ab * fa) / whole
        if b <= 0:
            return 0.0
        if a <= 0:
            a, b = 0.0, float(number.sum() / below.sum())
    mean = np.maximum(a * above + b * below, 1e-12)
    gain = (number * np.log(mean / (alone * above)) - mean + alone * above).sum()
    return float(b) if gain > _LEAST_GAIN else 0.0
