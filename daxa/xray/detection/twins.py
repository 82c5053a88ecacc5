"""Peaks that describe one source together: one fit has its light."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from daxa.xray.detection.fitting import LARGEST_STAMP, LIKELIHOOD, PeakFits
from daxa.xray.detection.hidden import HiddenPixels
from daxa.xray.detection.likelihood import detection_likelihood, log_likelihood
from daxa.xray.detection.psffit import PlacedSource, Scene, cut_stamp, light_of, widened

__all__ = ["Twins", "join_twins"]

_SAME = 1.5
"""Points that lie so many half-power radii (and the width of a gap) apart may be one source."""


@dataclass(frozen=True)
class Twins:
    """Peaks that describe one source with another.

    Parameters
    ----------
    dropped
        Rows whose light is that of another row's source.
    joined
        Row of such a source to the number of fits that it stands for.
    """

    dropped: frozenset[int]
    joined: dict[int, int]


def join_twins(fits: PeakFits) -> Twins:
    """Let one fit have the light of a source that two fits share.

    A peak of a coarse scale between two sources ends at one of them, beside its own peak, and the light on either
    side of a gap makes a peak each: two fits then share what is one source, and the rates of both are too low.

    Parameters
    ----------
    fits
        Those of all peaks; they are changed.
    """
    dropped: set[int] = set()
    joined: dict[int, int] = {}
    points = [row for row in sorted(fits.found) if row >= fits.number and fits.found[row][0].extent == 0]
    for first, second in _close(fits.rest, fits.hidden, [fits.found[row][0] for row in points]):
        pair = points[first], points[second]
        if dropped.intersection(pair):
            continue
        for row in pair:
            fits.hide(row)
        both = [fits.found[row][0] for row in pair]
        places = {row: fits.place(row) for row in pair}
        alone = {row: places[row].point() for row in pair}
        value = _common_likelihood(fits.rest, both, max(place.reach for place in places.values()))
        kept, other = sorted(pair, key=lambda row: -value([alone[row]]))
        if detection_likelihood(value(both) - value([alone[kept]]), 3) < LIKELIHOOD:
            dropped.add(other)
            joined[kept] = joined.get(kept, 1) + joined.pop(other, 1)
            fits.take(kept, places[kept].described(alone[kept]))
        else:
            for row in pair:
                fits.show(row, fits.found[row][0])
    return Twins(frozenset(dropped), joined)


def _close(scene: Scene, hidden: HiddenPixels, fits: Sequence[PlacedSource]) -> Iterable[tuple[int, int]]:
    """Pairs that may be one source, the closest first."""
    if len(fits) < 2:
        return []
    places = np.array([(fit.x, fit.y) for fit in fits])
    pairs = cKDTree(places).query_pairs(LARGEST_STAMP, output_type="ndarray")
    apart = np.hypot(*(places[pairs[:, 0]] - places[pairs[:, 1]]).T)
    middles = 0.5 * (places[pairs[:, 0]] + places[pairs[:, 1]])
    column, row = (
        np.clip(np.rint(at).astype(int), 0, n - 1) for at, n in zip(middles.T, scene.counts.shape[::-1], strict=True)
    )
    gap = np.where(hidden.gap[row, column], hidden.width[row, column], 0.0)
    near = [
        (float(apart[k]), int(pairs[k, 0]), int(pairs[k, 1]))
        for k in range(len(pairs))
        if apart[k] < _SAME * scene.psf.radius(0.5, scene.psf.angle(*middles[k])) + gap[k]
    ]
    return [(first, second) for _, first, second in sorted(near)]


def _common_likelihood(
    scene: Scene, fits: Sequence[PlacedSource], reach: float
) -> Callable[[Sequence[PlacedSource]], float]:
    """The ln likelihood of points in one area about some of them."""
    x, y = (float(np.mean([getattr(fit, axis) for fit in fits])) for axis in "xy")
    stamp, mixture = cut_stamp(scene, x, y, reach), widened(scene.psf, scene.psf.angle(x, y), 0.0)

    def value(points: Sequence[PlacedSource]) -> float:
        model = stamp.background.copy()
        for one in points:
            model += one.rate * light_of(stamp, one.x, one.y, mixture)[0]
        return log_likelihood(stamp.counts, model)

    return value
