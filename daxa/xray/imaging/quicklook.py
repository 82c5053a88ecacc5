"""A picture of an observation for the eye: smoothed image and light curve in one PNG.

The bytes depend on the data alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from daxa.xray.cleaning.lightcurve import LightCurve
from daxa.xray.drawing import picture, plain_text
from daxa.xray.imaging.pairing import exposed_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["smoothed_rate", "write_quicklook"]

_WIDTH, _HEIGHT, _CURVE, _TEXTS = 8.0, 7.15, 2.45, 0.9
"""Inches: the picture without a light curve, what that adds below, texts alone."""

_MOST_POINTS = 4000


def smoothed_rate(image: np.ndarray, exposure: np.ndarray, *, sigma: float) -> np.ndarray:
    """Counts over exposure, both smoothed by the same Gaussian.

    Parameters
    ----------
    image
        Counts, shape (ny, nx).
    exposure
        Seconds, shape (ny, nx).
    sigma
        Standard deviation of the Gaussian, pixels.

    Returns
    -------
    numpy.ndarray
        Count/s per pixel, float64, shape (ny, nx); NaN where the exposure is below
        1.5 percent of its maximum.

    Examples
    --------
    >>> flat = smoothed_rate(np.full((9, 9), 4), np.full((9, 9), 2.0), sigma=1.0)
    >>> float(flat.min().round(9)), float(flat.max().round(9))
    (2.0, 2.0)
    """
    from scipy.ndimage import gaussian_filter

    counts = gaussian_filter(np.asarray(image, float), sigma, mode="constant", truncate=4.0)
    exposure = exposed_seconds(exposure)
    seconds = gaussian_filter(exposure, sigma, mode="constant", truncate=4.0)
    seen = (exposure > 0.015 * exposure.max()) & (seconds > 0)
    return np.divide(counts, seconds, out=np.full(counts.shape, np.nan), where=seen)


def write_quicklook(
    path: Path,
    image: np.ndarray | None,
    exposure: np.ndarray | None,
    curve: LightCurve | None,
    *,
    title: str,
    subtitle: str = "",
    pixel_arcsec: float = 0.0,
    circles: np.ndarray | None = None,
    numbers: np.ndarray | Sequence[int] = (),
    extended: np.ndarray | Sequence[bool] = (),
    flagged: np.ndarray | Sequence[bool] = (),
) -> None:
    """Write the picture.

    Parameters
    ----------
    path
        The PNG file to write.
    image, exposure
        Counts and seconds, shape (ny, nx).  Without an image the light curve stands alone;
        without an exposure the counts are shown as they are.
    curve
        The light curve below the image; None leaves it out.
    title, subtitle
        Texts above the image.
    pixel_arcsec
        Side of an image pixel; 0 draws no scale bar.
    circles
        Shape (n, 3): centre (x, y) and radius of circles to draw, pixels from 0.
    numbers
        Number beside each circle, shape (n,); () writes none.
    extended, flagged
        Circles to draw in green, and dashed, bool, shape (n,); () for none of them.
    """
    foot = _CURVE if curve is not None else 0.0
    height = foot + (_HEIGHT if image is not None else _TEXTS)
    with picture(path, _WIDTH, height) as figure:
        if image is not None:
            sky = figure.add_axes((0.05, (0.142 + foot) / height, 0.9, 6.24 / height))
            _draw_image(sky, image, exposure if exposure is not None else np.ones(image.shape), pixel_arcsec)
            if circles is not None:
                _draw_circles(sky, circles, numbers, extended, flagged)
        figure.text(0.05, 1.0 - 0.336 / height, plain_text(title), fontsize=12, weight="bold")
        figure.text(0.05, 1.0 - 0.576 / height, plain_text(subtitle), fontsize=9)
        if curve is not None:
            _draw_curve(figure.add_axes((0.1, 0.528 / height, 0.85, 1.632 / height)), curve)


def _draw_image(axes: Axes, image: np.ndarray, exposure: np.ndarray, pixel_arcsec: float) -> None:
    # Wide enough for about five counts under the Gaussian at the mean density.
    density = image.sum() / max(np.count_nonzero(exposure), 1)
    rate = smoothed_rate(image, exposure, sigma=float(np.clip(np.sqrt(5 / (4 * np.pi * density + 1e-9)), 1.2, 4.0)))
    # Six digits: the last bits of the filter differ between builds of scipy.
    known = rate[np.isfinite(rate) & (rate > 0)]
    level = float(np.quantile(known, 0.5)) if len(known) else 1.0
    stretched = np.arcsinh(np.round(rate / level, 6))
    shown = stretched[np.isfinite(stretched)]
    top = float(np.quantile(shown, 0.9995)) if len(shown) else 1.0
    axes.imshow(stretched, origin="lower", cmap="inferno", vmin=0.0, vmax=max(top, 1e-6), interpolation="nearest")
    axes.set_facecolor("0.15")
    axes.set_xticks([])
    axes.set_yticks([])
    seen = np.argwhere(exposure > 0)
    if len(seen):
        (y0, x0), (y1, x1) = seen.min(axis=0), seen.max(axis=0)
        axes.set_xlim(x0 - 2.5, x1 + 2.5)
        axes.set_ylim(y0 - 2.5, y1 + 2.5)
        if pixel_arcsec:
            _draw_scale(axes, float(x0), float(y0), float(x1 - x0), pixel_arcsec)


def _draw_circles(
    axes: Axes,
    circles: np.ndarray,
    numbers: np.ndarray | Sequence[int],
    extended: np.ndarray | Sequence[bool],
    flagged: np.ndarray | Sequence[bool],
) -> None:
    from matplotlib.patches import Circle

    for row, (x, y, radius) in enumerate(circles):
        colour = "#8cff66" if len(extended) and extended[row] else "#7fe7ff"
        line = (0, (4, 2)) if len(flagged) and flagged[row] else "solid"
        axes.add_patch(Circle((x, y), radius, fill=False, edgecolor=colour, linewidth=0.9, linestyle=line))
        if len(numbers):
            beside = x + 0.75 * radius, y + 0.75 * radius
            axes.text(*beside, str(numbers[row]), color=colour, fontsize=7, ha="left", va="bottom", clip_on=True)


def _draw_scale(axes: Axes, x: float, y: float, width: float, pixel_arcsec: float) -> None:
    arcmin = 1.0 if width * pixel_arcsec < 900 else 5.0
    length = arcmin * 60 / pixel_arcsec
    axes.plot([x, x + length], [y, y], color="white", linewidth=2.5, solid_capstyle="butt")
    axes.text(x + length / 2, y + width * 0.012, f"{arcmin:g}\u2032", color="white", ha="center", va="bottom")


def _draw_curve(axes: Axes, curve: LightCurve) -> None:
    if len(curve.counts) > _MOST_POINTS:
        curve = _coarser(curve, -(-len(curve.counts) // _MOST_POINTS))
    hours = (curve.edges[:-1] + curve.width / 2 - curve.start) / 3600
    seen = curve.exposure >= 0.1 * curve.width
    axes.errorbar(hours[seen], curve.rate[seen], yerr=curve.error[seen], fmt=".", ms=3, lw=0.6, color="tab:blue")
    axes.set_xlabel("hours since the first good time")
    axes.set_ylabel("count/s")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, max(float(curve.edges[-1] - curve.start) / 3600, 1e-6))


def _coarser(curve: LightCurve, factor: int) -> LightCurve:
    pad = -len(curve.counts) % factor
    counts, exposure = (np.pad(one, (0, pad)).reshape(-1, factor).sum(axis=1) for one in (curve.counts, curve.exposure))
    return LightCurve(curve.start, curve.width * factor, counts, exposure)
