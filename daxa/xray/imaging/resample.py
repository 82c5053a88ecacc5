"""From pixels of one grid of the sky to those of another, and exposure maps resampled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from daxa.xray.eventlists.frames import frame_of, to_icrs, to_pixels
from daxa.xray.eventlists.sky_grid import header_wcs
from daxa.xray.imaging.pairing import exposed_seconds, same_grid

__all__ = ["between_pixels", "resample_exposure"]

_NODE = 16
"""Pixels between the points at which positions are computed; between them they are interpolated."""

_BLOCK = 2_000_000


def resample_exposure(exposure: np.ndarray, source: fits.Header, target: fits.Header) -> np.ndarray:
    """An exposure map on the pixels of another image.

    Parameters
    ----------
    exposure
        Seconds, shape (ny, nx).
    source, target
        Headers with NAXIS cards of the map and of the requested image.

    Returns
    -------
    ndarray
        float64, shape of the target, s: the mean over each pixel, 0 where the map does not
        reach or holds no number.  A map that is already on these pixels comes back unchanged.

    Notes
    -----
    Each target pixel is sampled at 4 x 4 points or more, with the value of the map's pixel
    there: exposure has edges, and interpolation would lend exposure to pixels beyond them.
    Time times area is conserved to the fineness of the sampling.
    """
    if same_grid(source, target):
        return exposed_seconds(exposure)
    ny, nx = int(target["NAXIS2"]), int(target["NAXIS1"])
    here, there = header_wcs(target), header_wcs(source)
    ratio = float(np.sqrt(abs(np.linalg.det(here.pixel_scale_matrix) / np.linalg.det(there.pixel_scale_matrix))))
    points = int(np.clip(np.ceil(4 * ratio), 4, 16))
    nodes = _nodes(here, there, nx, ny)
    padded = np.pad(exposed_seconds(exposure), 1)
    result = np.zeros((ny, nx))
    fine_x = (np.arange(nx * points) + 0.5) / points - 0.5
    per_block = max(1, _BLOCK // (nx * points * points))
    for begin in range(0, ny, per_block):
        end = min(begin + per_block, ny)
        fine_y = begin + (np.arange((end - begin) * points) + 0.5) / points - 0.5
        column, row = (_between(one, fine_x, fine_y) for one in nodes)
        value = padded[_padded(row, padded.shape[0]), _padded(column, padded.shape[1])]
        result[begin:end] = value.reshape(end - begin, points, nx, points).mean(axis=(1, 3))
    return result


def between_pixels(here: WCS, there: WCS) -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The map from pixels of one image to those of another, both counted from 1.

    Between two tangential planes of ICRS it is projective: nine numbers, and no trigonometry of each
    position.  Else it goes by way of the sky.  What has no place in the other plane is NaN.

    Examples
    --------
    >>> one = WCS(naxis=2)
    >>> one.wcs.ctype, one.wcs.cdelt, one.wcs.crval = ["RA---TAN", "DEC--TAN"], [-0.01, 0.01], [30.0, 40.0]
    >>> x, y = between_pixels(one, one)(np.array([3.0]), np.array([4.0]))
    >>> [round(float(value), 9) for value in (x[0], y[0])]
    [3.0, 4.0]
    """
    if not (_is_plane(here) and _is_plane(there)):
        return lambda x, y: to_pixels(there, *to_icrs(here, x, y, 1), 1)
    matrix = np.linalg.solve(_directions(there), _directions(here))

    def moved(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, second, depth = (row[0] * x + row[1] * y + row[2] for row in matrix)
        # Behind the plane the projection would show the opposite of the sky.
        depth = np.where(depth > 0, depth, np.nan)
        return first / depth, second / depth

    return moved


def _is_plane(wcs: WCS) -> bool:
    params = wcs.wcs
    plain = wcs.sip is None and wcs.cpdis1 is None and wcs.det2im1 is None and not params.get_pv()
    standard = np.isnan(params.lonpole) or params.lonpole == 180.0
    tangential = [text[5:] for text in params.ctype] == ["TAN", "TAN"] and params.lng == 0
    return plain and standard and tangential and frame_of(wcs) is None


def _directions(wcs: WCS) -> np.ndarray:
    """The matrix that makes of (x, y, 1) the direction in which a pixel of a tangential plane lies."""
    ra, dec = np.deg2rad(wcs.wcs.crval)
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    out = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    plane = np.eye(3)
    plane[:2, :2] = np.deg2rad(wcs.pixel_scale_matrix)
    plane[:2, 2] = -plane[:2, :2] @ wcs.wcs.crpix
    return np.column_stack((east, north, out)) @ plane


def _nodes(here: WCS, there: WCS, nx: int, ny: int) -> tuple[np.ndarray, np.ndarray]:
    """Zero-based pixels of the source at every sixteenth pixel of the target, from one node before it."""
    x, y = (np.arange(-1, n // _NODE + 3) * float(_NODE) for n in (nx, ny))
    grid_x, grid_y = np.meshgrid(x, y)
    ra, dec = to_icrs(here, grid_x.ravel(), grid_y.ravel())
    columns, rows = to_pixels(there, ra, dec)
    return columns.reshape(grid_x.shape), rows.reshape(grid_x.shape)


def _between(nodes: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear values between nodes at all pairs of x and y, target pixels."""
    (i, along), (j, up) = ((np.floor(v / _NODE).astype(int) + 1, v / _NODE - np.floor(v / _NODE)) for v in (x, y))
    rows = nodes[j] * (1 - up)[:, None] + nodes[j + 1] * up[:, None]
    return rows[:, i] * (1 - along) + rows[:, i + 1] * along


def _padded(position: np.ndarray, n: int) -> np.ndarray:
    """Index into an axis with a pixel of nothing on each side; where there is no position, that pixel."""
    # fmin makes of what is not a number the last pixel, which is one of nothing.
    return np.fmax(np.fmin(np.floor(position + 1.5), n - 1), 0).astype(np.intp)
