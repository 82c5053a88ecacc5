"""The likelihood of one source over rate and position: where it may begin, and how far it reaches."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import maximum_filter

from daxa.xray.detection.likelihood import LEAST, PhotonLikelihood, climb, pixel_lines
from daxa.xray.detection.psffit import PlacedSource, Scene, cut_stamp, widened

__all__ = ["Tracer"]

_WIDE_BOX = 30.0
"""Pixels to the side of the box of positions from which the grid is coarser."""

_EM_STEPS = 8
"""Steps of expectation and maximisation towards the best rate at a place."""


class Tracer:
    """The likelihood of one source as a function of rate and position, about a place in an image.

    Parameters
    ----------
    scene, x, y, reach, stray, extent
        As for `fit_source`.
    """

    def __init__(self, scene: Scene, x: float, y: float, *, reach: float, stray: float, extent: float = 0.0) -> None:
        self.stamp = cut_stamp(scene, x, y, reach)
        self.mixture = widened(scene.psf, scene.psf.angle(x, y), extent)
        self.box = ((x - stray, x + stray), (y - stray, y + stray))
        self.likelihood = PhotonLikelihood(self.stamp, self.mixture)

    def surface(self) -> tuple[np.ndarray, ...]:
        """x, y, best rate and ln likelihood above that of no source over the places of a grid, shape (rows, columns).

        Its places are half a pixel apart, or a whole one where there would be very many.
        """
        step = 0.5 if self.box[0][1] - self.box[0][0] < _WIDE_BOX else 1.0
        columns, rows = (np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step for low, high in self.box)
        weights, widths = self.mixture
        stamp = self.stamp
        px = np.stack([pixel_lines(at, stamp.x0, stamp.counts.shape[1], widths)[:, 0] for at in columns])
        py = np.stack([pixel_lines(at, stamp.y0, stamp.counts.shape[0], widths)[:, 0] for at in rows])
        # Light within the stamp per unit of rate, of all places at once.
        along = np.einsum("jgy,yx->jgx", py, stamp.exposure, optimize=True)
        total = np.einsum("jgx,cgx->jc", along * weights[:, None], px, optimize=True)
        # The rest of the likelihood is in the pixels that have counts: they are few.
        iy, ix = np.nonzero(stamp.counts)
        n, below, exposed = stamp.counts[iy, ix], stamp.background[iy, ix], stamp.exposure[iy, ix]
        beside = px[:, :, ix].transpose(2, 0, 1)
        above = (py[:, :, iy] * (weights[:, None] * exposed)).transpose(0, 2, 1)[..., None]
        under = float(stamp.background.sum())
        most = max(float(n.sum()) - under, 1.0)
        gains, rates = np.empty(total.shape), np.empty(total.shape)
        for j in range(len(rows)):
            light = np.matmul(beside, above[j])[..., 0]
            reach = np.maximum(total[j], LEAST)
            rate = most / reach
            for _ in range(_EM_STEPS):
                # Steps of expectation and maximisation: they never leave the positive rates.
                model = rate * light
                model += below[:, None]
                rate *= np.einsum("kc,kc->c", light, np.divide(n[:, None], model, out=model)) / reach
            gain = n @ np.log(rate * light + below[:, None]) - (rate * total[j] + under)
            gains[j] = np.where(total[j] > 0, gain - self.likelihood.nothing, -np.inf)
            rates[j] = rate
        return *np.meshgrid(columns, rows), rates, gains

    def at(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Best rate, and ln likelihood above that of no source, at some places (pixels), shape (n,)."""
        weights, widths = self.mixture
        stamp = self.stamp
        (ny, nx), (columns, column), (rows, row) = (
            stamp.counts.shape, *(np.unique(axis, return_inverse=True) for axis in (x, y)),
        )  # fmt: skip
        px = np.stack([pixel_lines(at, stamp.x0, nx, widths)[:, 0] for at in columns])
        py = np.stack([pixel_lines(at, stamp.y0, ny, widths)[:, 0] for at in rows]) * weights[:, None]
        total = np.einsum("kcx,kcx->k", (py @ stamp.exposure)[row], px[column])
        iy, ix = np.nonzero(stamp.counts)
        n, below = stamp.counts[iy, ix], stamp.background[iy, ix]
        light = np.einsum("kcn,kcn->kn", py[:, :, iy][row], px[:, :, ix][column]) * stamp.exposure[iy, ix]
        reach = np.maximum(total, LEAST)
        under = float(stamp.background.sum())
        rate = max(float(n.sum()) - under, 1.0) / reach
        for _ in range(_EM_STEPS):
            rate = rate * ((light / (rate[:, None] * light + below)) @ n) / reach
        gain = np.log(rate[:, None] * light + below) @ n - (rate * total + under) - self.likelihood.nothing
        return rate, np.where(total > 0, gain, -np.inf)

    def starts(
        self, surface: tuple[np.ndarray, ...], number: int, depth: float
    ) -> list[tuple[tuple[float, float], float]]:
        """Places of a surface that stand out as most likely, and the best rate at each."""
        x, y, rates, gains = surface
        top = gains == maximum_filter(gains, 3, mode="constant", cval=-np.inf)
        places = sorted(zip(*np.nonzero(top & (gains > gains.max() - depth)), strict=True), key=lambda p: -gains[p])
        return [((float(x[place]), float(y[place])), float(rates[place])) for place in places[:number]]

    def profile(self, fit: PlacedSource, best: float, factor: float, steps: int, depth: float) -> np.ndarray:
        """Rates from that of a fit up and down, each with its best position, until the likelihood has fallen.

        Returns
        -------
        ndarray
            Shape (n, 4): rate, x, y and ln likelihood above that of no source.
        """
        line = [(fit.rate, fit.x, fit.y, fit.gain)]
        for ratio in (factor, 1.0 / factor):
            at, rate = (fit.x, fit.y), fit.rate
            for _ in range(steps):
                rate *= ratio
                x, y, _, gain = climb(self.likelihood, at, rate, self.box, fixed=True)
                at = (x, y)
                line.append((rate, x, y, gain))
                if gain < best - depth:
                    break
        return np.array(line)
