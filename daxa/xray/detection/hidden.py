"""Sources of which gaps between chips, bad columns or the edge of the field hide a part.

Where a part of the point spread function falls on pixels that saw nothing, position and
rate are entangled: a faint source beside a gap and a bright one within it look alike.
The fit then begins at every place that the counts allow, and the errors are those of
the likelihood profile: at each rate the best position, not the position of the best fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.ndimage import distance_transform_edt, maximum_filter, minimum_filter

from daxa.xray.detection.psf import Psf
from daxa.xray.detection.psffit import PlacedSource, Scene, SourceFit, describe_source, place_source
from daxa.xray.detection.tracing import Tracer

__all__ = ["HIDDEN", "HiddenPixels", "HiddenSearch", "find_hidden", "fit_hidden", "hidden_fractions"]

HIDDEN = 0.03
"""Share of the light beyond which position and rate are fitted together."""

_WIDE = 0.8
"""What is wider than twice the radius of this share of the light is not a gap but the edge of the field."""

_WIDEST = 16.0
_STARTS = 4
_NEAR = 6.0
"""Places are tried whose likelihood lies within this of the best one's, ln."""

_RIVAL = 3.5
"""Another place is a source of its own kind that the errors include, if its likelihood is within this, ln.

A faint source beside a gap and a bright one in it are two peaks of the likelihood: of made sources a
few in a hundred lie at the lower one by as much.
"""

_STEP = 1.08
_STEPS = 60
_DEEP = 2.5
"""Places are profiled whose likelihood lies within this of the best one's, ln."""

_SHAPE = 0.08
"""Error of the rate for the shape of the point spread function, times the share that is hidden."""


@dataclass(frozen=True, eq=False)
class HiddenPixels:
    """Pixels of an image that saw nothing, bool arrays of shape (ny, nx).

    Parameters
    ----------
    gap
        In gaps and bad columns: exposed pixels lie on both sides.
    edge
        Outside the field, and in areas as large as a chip.
    width
        Width of the gaps, pixels, at each pixel of them and beside them.
    """

    gap: np.ndarray
    edge: np.ndarray
    width: np.ndarray


def find_hidden(exposure: np.ndarray, psf: Psf) -> HiddenPixels:
    """Tell gaps from the outside.

    Parameters
    ----------
    exposure
        Seconds, shape (ny, nx); zero in pixels that are left out.
    psf
        The point spread function: what is wider than it is not a gap.
    """
    dark = exposure <= 0
    if not dark.any():
        return HiddenPixels(dark, dark, np.zeros(dark.shape, np.float32))
    size = 2 * int(np.clip(math.ceil(psf.radius(_WIDE)), 4, _WIDEST)) + 1
    # Beyond the image there is nothing either.
    padded = np.pad(dark, size, constant_values=True)
    # Squares are opened and grown along one axis after the other, which is cheaper by far than all at once.
    middles = minimum_filter(padded, size, mode="constant", cval=0)
    outside = maximum_filter(middles, size + 2, mode="constant", cval=0)
    edge = outside[size:-size, size:-size] & dark
    gap = dark & ~edge
    depth = 2.0 * distance_transform_edt(gap) if gap.any() else np.zeros(dark.shape)
    return HiddenPixels(gap, edge, maximum_filter(depth.astype(np.float32), size=size))


def hidden_fractions(hidden: HiddenPixels, psf: Psf, x: float, y: float) -> tuple[float, float]:
    """Shares of a point source's light that gaps, and that the edge of the field, hide.

    Parameters
    ----------
    hidden
        Of the image.
    psf
        The point spread function.
    x, y
        Pixel of the source.
    """
    angle = psf.angle(x, y)
    half = math.ceil(min(psf.radius(0.9, angle), 40.0))
    columns, rows = (np.arange(round(at) - half, round(at) + half + 1) for at in (x, y))
    ny, nx = hidden.gap.shape
    weights, widths = psf.mixture(angle)
    away = np.hypot(columns[None, :] - x, rows[:, None] - y)
    light = sum(a / w**2 * np.exp(-0.5 * (away / np.hypot(w, 0.4)) ** 2) for a, w in zip(weights, widths, strict=True))
    inside = ((rows >= 0) & (rows < ny))[:, None] & ((columns >= 0) & (columns < nx))[None, :]
    at = np.ix_(np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1))
    total = float(light.sum())
    gap = float(light[inside & hidden.gap[at]].sum()) / total
    edge = float(light[~inside | hidden.edge[at]].sum()) / total
    return gap, edge


def fit_hidden(
    scene: Scene, hidden: HiddenPixels, x: float, y: float, *, reach: float, stray: float, extent: float = 0.0
) -> SourceFit:
    """The fit of a source that is partly hidden, with the errors of the likelihood profile.

    Parameters
    ----------
    scene, x, y, reach, stray, extent
        As for `daxa.xray.detection.psffit.fit_source`; the position may move by the width of a
        gap more.
    hidden
        Of the same image.
    """
    return HiddenSearch(scene, hidden, x, y, reach=reach, stray=stray, extent=extent).fit()


class HiddenSearch:
    """The places at which a source that is partly hidden may be; parameters as for `fit_hidden`.

    `best` is the fit without errors, `fit` has them.
    """

    def __init__(
        self, scene: Scene, hidden: HiddenPixels, x: float, y: float, *, reach: float, stray: float, extent: float
    ) -> None:
        row, column = (int(np.clip(round(at), 0, n - 1)) for at, n in zip((y, x), hidden.width.shape, strict=True))
        wide = float(min(hidden.width[row, column], _WIDEST))
        self._scene, self._hidden, self._at, self._reach = scene, hidden, (x, y), reach + wide
        place = partial(place_source, scene, x, y, reach=reach + wide, stray=stray + wide, extent=extent)
        self._tracer = Tracer(scene, x, y, reach=reach + wide, stray=stray + wide, extent=extent)
        self._surface = self._tracer.surface()
        first = place()
        begins = [
            replace(first, x=at[0], y=at[1], rate=rate)
            for at, rate in self._tracer.starts(self._surface, _STARTS, _NEAR)
        ]
        self._placed = [first, *(place(begin=begin) for begin in begins)]
        self.best = max(self._placed, key=lambda placed: placed.gain)

    def fit(self) -> SourceFit:
        """The best place, with the errors of the likelihood profile."""
        best = self.best
        fits = [fit for fit in self._placed if fit.gain > best.gain - _DEEP]
        line = np.concatenate([self._tracer.profile(fit, best.gain, _STEP, _STEPS, _NEAR) for fit in fits])
        found = _widened_by(self._described(best), line, _most_hidden(self._scene.psf, self._hidden, line))
        rivals = [self._described(fit) for fit in self._placed if fit.gain > best.gain - _RIVAL]
        return _reaching(found, self._surface, line, rivals)

    def _described(self, placed: PlacedSource) -> SourceFit:
        return describe_source(self._scene, *self._at, placed, reach=self._reach)


def _reaching(best: SourceFit, surface: tuple[np.ndarray, ...], line: np.ndarray, rivals: list[SourceFit]) -> SourceFit:
    """The fit with errors that reach all places whose likelihood comes near the best, other peaks above all.

    A likelihood that lies ``d`` below the best is ``sqrt(2 d)`` standard deviations away, as it is
    on a parabola: where there is but one, nothing changes.  Rates are those of the profile (``line``), too: one that
    is twice as bright is often hardly less likely, at another place than that of the best fit.
    """
    x, y, rate, gain = (part.ravel() for part in surface)
    deep = max(best.gain, float(gain.max())) - gain
    near = deep < _NEAR
    sigmas = np.sqrt(2.0 * np.maximum(deep[near], 0.5))
    off_x, off_y, off_rate = (
        (part[near] - own) / sigmas for part, own in ((x, best.x), (y, best.y), (rate, best.rate))
    )
    below = max(best.gain, float(line[:, 3].max())) - line[:, 3]
    far = (line[:, 0] - best.rate) / np.sqrt(2.0 * np.maximum(below, 0.5))
    off_rate = np.concatenate((off_rate, far[below < _NEAR]))
    return replace(
        best,
        rate_low=max(min(best.rate_low, best.rate + off_rate.min(initial=0.0), *(fit.rate_low for fit in rivals)), 0.0),
        rate_high=max(best.rate_high, best.rate + off_rate.max(initial=0.0), *(fit.rate_high for fit in rivals)),
        x_error=max(best.x_error, np.abs(off_x).max(initial=0.0), *(0.5 * abs(fit.x - best.x) for fit in rivals)),
        y_error=max(best.y_error, np.abs(off_y).max(initial=0.0), *(0.5 * abs(fit.y - best.y) for fit in rivals)),
    )


def _most_hidden(psf: Psf, hidden: HiddenPixels, line: np.ndarray) -> float:
    """The largest share that is hidden of the sources that the counts allow."""
    near = line[line[:, 3] >= line[:, 3].max() - 0.5]
    ends = near[np.unique([part for axis in (0, 1, 2) for part in (near[:, axis].argmin(), near[:, axis].argmax())])]
    return max(sum(hidden_fractions(hidden, psf, x, y)) for _, x, y, _ in ends)


def _widened_by(best: SourceFit, line: np.ndarray, share: float) -> SourceFit:
    """The fit with the range of rates and positions whose likelihood is not too far below the best.

    ``line`` has the columns rate, x, y and gain, in any order.
    """
    top = max(best.gain, float(line[:, 3].max()))
    level = top - 0.5
    order = np.argsort(line[:, 0], kind="stable")
    rate, gain = line[order, 0], line[order, 3]
    # The profile is the best of all lines at each rate.
    known, first = np.unique(np.round(np.log(rate), 3), return_index=True)
    most = np.maximum.reduceat(gain, first)
    inside = np.flatnonzero(most >= level)
    low, high = best.rate_low, best.rate_high
    if len(inside):
        low = min(low, math.exp(_crossing(known, most, inside[0], -1, level)))
        high = max(high, math.exp(_crossing(known, most, inside[-1], 1, level)))
    shape = _SHAPE * share * best.rate
    near = line[line[:, 3] >= level]
    spread = [0.5 * float(np.ptp(near[:, axis])) if len(near) else 0.0 for axis in (1, 2)]
    return replace(
        best,
        rate_low=max(best.rate - math.hypot(best.rate - low, shape), 0.0),
        rate_high=best.rate + math.hypot(high - best.rate, shape),
        x_error=max(best.x_error, spread[0]),
        y_error=max(best.y_error, spread[1]),
    )


def _crossing(logs: np.ndarray, gain: np.ndarray, at: int, side: int, level: float) -> float:
    """Where the profile falls through a level beyond a point that lies above it."""
    other = at + side
    if not 0 <= other < len(logs):
        return float(logs[at])
    share = (gain[at] - level) / max(gain[at] - gain[other], 1e-12)
    return float(logs[at] + (logs[other] - logs[at]) * min(share, 1.0))
