"""Images in cells of several pixels, and back."""

from __future__ import annotations

import numpy as np

__all__ = ["binned", "block_least", "block_most", "enlarge", "grown"]


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


def block_least(image: np.ndarray, size: int) -> np.ndarray:
    """Smallest value of each block of so many pixels to the side; one at the far edges has what there is."""
    return _reduced(image, size, np.minimum)


def block_most(image: np.ndarray, size: int) -> np.ndarray:
    """Largest value of each block of so many pixels to the side, as `block_least`."""
    return _reduced(image, size, np.maximum)


def _reduced(image: np.ndarray, size: int, function: np.ufunc) -> np.ndarray:
    if size == 1:
        return image
    ny, nx = (-n % size for n in image.shape)
    image = np.pad(image, ((0, ny), (0, nx)), mode="edge") if ny or nx else image
    rows = function.reduce([image[k::size] for k in range(size)])
    return np.asarray(function.reduce([rows[:, k::size] for k in range(size)]))


def grown(mask: np.ndarray, steps: int) -> np.ndarray:
    """A mask with all pixels within so many steps, along rows and columns, of its own.

    Parameters
    ----------
    mask
        bool, shape (ny, nx).
    steps
        Each adds the four neighbours of every pixel.

    Examples
    --------
    >>> mask = np.zeros((5, 7), bool)
    >>> mask[0, 3] = True
    >>> grown(mask, 2).sum(axis=1).tolist()
    [5, 3, 1, 0, 0]
    """
    for _ in range(steps):
        wider = mask.copy()
        wider[1:] |= mask[:-1]
        wider[:-1] |= mask[1:]
        wider[:, 1:] |= mask[:, :-1]
        wider[:, :-1] |= mask[:, 1:]
        mask = wider
    return mask


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
