"""Images in cells of several pixels, and back."""

from __future__ import annotations

import numpy as np

__all__ = ["binned", "enlarge"]


def binned(image: np.ndarray, size: int) -> np.ndarray:
    """Sums of blocks of pixels.

    Parameters
    ----------
    image
        Shape (ny, nx).
    size
        Pixels to the side of a block.

    Returns
    -------
    numpy.ndarray
        An incomplete block at the far edges counts what there is.
    """
    if size == 1:
        return image
    ny, nx = (-n % size for n in image.shape)
    if ny or nx:
        image = np.pad(image, ((0, ny), (0, nx)))
    rows = np.asarray(sum(image[k::size] for k in range(size)))
    return np.asarray(sum(rows[:, k::size] for k in range(size)))


def enlarge(coarse: np.ndarray, cell: int, shape: tuple[int, int]) -> np.ndarray:
    """A map of cells, interpolated between their centres, in pixels.

    Parameters
    ----------
    coarse
        One value for each cell.
    cell
        Pixels to the side of a cell.
    shape
        Of the result; the last cells may reach beyond.

    Returns
    -------
    numpy.ndarray
        float32.
    """
    coarse = np.asarray(coarse, np.float32)
    for axis, n in enumerate(shape):
        place = np.clip((np.arange(n) + 0.5) / cell - 0.5, 0, coarse.shape[axis] - 1)
        low = place.astype(int)
        high = np.minimum(low + 1, coarse.shape[axis] - 1)
        share = (place - low).astype(np.float32)
        share = share[:, None] if axis == 0 else share
        first, second = np.take(coarse, low, axis=axis), np.take(coarse, high, axis=axis)
        second -= first
        second *= share
        coarse = first + second
    return coarse
