"""Sources measured: fits of the point spread function and of extents, each source beside all others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from daxa.xray.detection.bodies import ExtendedBodies, is_part
from daxa.xray.detection.hidden import HIDDEN, HiddenPixels, HiddenSearch, hidden_fractions
from daxa.xray.detection.likelihood import detection_likelihood, log_likelihood
from daxa.xray.detection.peaks import Peaks, joined
from daxa.xray.detection.psffit import (
    PlacedSource,
    Scene,
    SourceFit,
    cut_stamp,
    describe_source,
    light_of,
    place_source,
    source_image,
    widened,
)
from daxa.xray.detection.quality import PileUp, SourceQuality, circle_radius, judge

__all__ = ["Columns", "measured"]

Columns = dict[str, np.ndarray]

LIKELIHOOD = 6.0
"""Least likelihood beside a brighter source, and of an extent."""

_UNSURE = 1.0 / 7.0
"""Relative error of extended light, which follows 50 counts under the kernel (`daxa.xray.detection.diffuse`)."""

_LARGEST_STAMP = 60.0
_SAME = 1.5
"""Points that lie so many half-power radii (and the width of a gap) apart may be one source."""


def measured(
    scene: Scene, hidden: HiddenPixels, bodies: ExtendedBodies | None, peaks: Peaks, pile_up: PileUp
) -> tuple[Columns, Columns, np.ndarray, np.ndarray]:
    """Fit every peak of an image.

    Parameters
    ----------
    scene
        Image, exposure, background with extended light, and point spread function.
    hidden
        What of the image saw nothing.
    bodies
        Its extended light, if there is any.
    peaks
        The least likely first.
    pile_up
        From which rate photons coincide.

    Returns
    -------
    tuple
        The columns of the sources, bodies among them, those of what is a part of a body, the
        counts of the sources that are no bodies, shape (ny, nx), and those of the points among them.
    """
    number = len(bodies.peaks) if bodies is not None else 0
    peaks = joined(bodies.peaks, peaks) if bodies is not None and number else peaks
    fits, extents, twins = _fitted(scene, hidden, bodies, peaks, number)
    if bodies is not None and number:
        fits = [fit if row < number else _beside_light(scene, bodies, fit) for row, fit in enumerate(fits)]
    likelihood = [float(detection_likelihood(fit.gain, 3 + (fit.extent > 0))) for fit in fits]
    parent, kept = np.zeros(len(peaks), int), []
    for row, fit in enumerate(fits):
        if row in twins:
            continue
        if row < number or likelihood[row] >= LIKELIHOOD or not _shaded(fits, row, peaks):
            kept.append(row)
        if bodies is not None and row >= number > 0:
            parent[row] = is_part(bodies, fit.x, fit.y, fit.extent, likelihood[row])
    rows = sorted((row for row in kept if not parent[row]), key=lambda row: peaks.log_p[row])
    parts = [row for row in kept if parent[row]]
    chosen_columns = []
    for chosen in (rows, parts):
        columns = _columns(scene, peaks.take(np.array(chosen, dtype=int)), [fits[row] for row in chosen])
        columns["quality"] = judge(scene, hidden, [fits[row] for row in chosen], pile_up=pile_up)
        columns["likelihood"] = np.array([likelihood[row] for row in chosen], float)
        columns["extent_likelihood"] = np.array([extents[row] for row in chosen], float)
        chosen_columns.append(columns)
    sources, structure = chosen_columns
    places = {row: place for place, row in enumerate(rows)}
    sources["body"] = np.array([row < number for row in rows], bool)
    if bodies is not None and number:
        # A body stands in the background without its own light.
        ix, iy = (np.clip(np.rint(sources[axis]).astype(int), 0, n - 1)
                  for axis, n in zip("xy", scene.counts.shape[::-1], strict=True))  # fmt: skip
        sources["background"] -= np.where(sources["body"], bodies.light[iy, ix], 0.0)
    sources["parts"] = np.array([(parent[parts] == row + 1).sum() if row < number else 0 for row in rows], np.int32)
    sources["quality"][sources["parts"] > 0] |= SourceQuality.SUBSTRUCTURE
    structure["parent"] = np.array([places[parent[row] - 1] + 1 for row in parts], np.int32)
    listed, points = np.zeros((2, *scene.counts.shape), np.float32)
    for row in rows if number else ():
        if row >= number:
            place, light = source_image(scene, fits[row], _LARGEST_STAMP)
            listed[place] += light
            if fits[row].extent == 0:
                points[place] += light
    return sources, structure, listed, points


def _beside_light(scene: Scene, bodies: ExtendedBodies, fit: SourceFit) -> SourceFit:
    """A fit whose errors know that the extended light under it is known to a seventh only."""
    ny, nx = scene.counts.shape
    radius = max(scene.psf.radius(0.5, scene.psf.angle(fit.x, fit.y)), 1.0)
    x0, y0 = max(math.floor(fit.x - radius), 0), max(math.floor(fit.y - radius), 0)
    x1, y1 = min(math.ceil(fit.x + radius) + 1, nx), min(math.ceil(fit.y + radius) + 1, ny)
    if x0 >= x1 or y0 >= y1 or not fit.exposure > 0:
        return fit
    iy, ix = np.ogrid[y0:y1, x0:x1]
    under = float(bodies.light[y0:y1, x0:x1][np.hypot(ix - fit.x, iy - fit.y) <= radius].sum())
    unsure = _UNSURE * under / (0.5 * fit.exposure)
    return replace(
        fit,
        rate_low=max(fit.rate - math.hypot(fit.rate - fit.rate_low, unsure), 0.0),
        rate_high=fit.rate + math.hypot(fit.rate_high - fit.rate, unsure),
    )


def _fitted(
    scene: Scene, hidden: HiddenPixels, bodies: ExtendedBodies | None, peaks: Peaks, number: int
) -> tuple[list[SourceFit], list[float], set[int]]:
    """Fits, and the likelihoods of their extents: two rounds, each source with the others as background.

    The third are rows whose light another row's source explains as well.
    """
    total = scene.background.astype(np.float64)
    rest = Scene(scene.counts, scene.exposure, total, scene.psf)
    found: dict[int, tuple[SourceFit, float]] = {}
    shown: dict[int, tuple] = {}
    for final in (False, True):
        for row in range(len(peaks)):
            if row in shown:
                total[shown[row][0]] -= shown[row][1]
            # The light of a body is in the background of all others already.
            body, around = row < number, rest
            if bodies is not None and body:
                around = replace(rest, background=np.maximum(total - bodies.light_of(row), 0))
            if final:
                found[row] = _fit(around, hidden, peaks, row, body=body)
            if not body:
                placed = found[row][0] if final else _Place.of(peaks, row, around, hidden).point()
                shown[row] = source_image(scene, placed, _LARGEST_STAMP)
                total[shown[row][0]] += shown[row][1]
    twins = _joined_twins(rest, hidden, peaks, found, shown, number=number)
    return [fit for fit, _ in found.values()], [extent for _, extent in found.values()], twins


def _joined_twins(
    rest: Scene,
    hidden: HiddenPixels,
    peaks: Peaks,
    found: dict[int, tuple[SourceFit, float]],
    shown: dict[int, tuple],
    *,
    number: int,
) -> set[int]:
    """Rows of points that are one source with another row, whose fit takes their light.

    Beside gaps peaks of a coarse scale between two sources end at one of them, beside its own peak, and the light
    on either side of a gap makes a peak each: two fits then share what is one source.
    """
    dropped: set[int] = set()
    points = [row for row in range(number, len(peaks)) if found[row][0].extent == 0]
    for first, second in _close(rest, hidden, [found[row][0] for row in points]):
        pair = points[first], points[second]
        places = {row: _Place.of(peaks, row, rest, hidden) for row in pair}
        # Only where pixels are hidden do fits go far enough to meet.
        if dropped.intersection(pair) or not any(place.is_hidden for place in places.values()):
            continue
        for row in pair:
            rest.background[shown[row][0]] -= shown[row][1]
        both = [found[row][0] for row in pair]
        alone = {row: places[row].point() for row in pair}
        value = _common_likelihood(rest, both, max(place.reach for place in places.values()))
        kept, other = sorted(pair, key=lambda row: -value([alone[row]]))
        if detection_likelihood(value(both) - value([alone[kept]]), 3) < LIKELIHOOD:
            dropped.add(other)
            found[kept] = places[kept].described(alone[kept]), 0.0
            shown[kept] = source_image(rest, alone[kept], _LARGEST_STAMP)
            rest.background[shown[kept][0]] += shown[kept][1]
            continue
        for row in pair:
            rest.background[shown[row][0]] += shown[row][1]
    return dropped


def _close(scene: Scene, hidden: HiddenPixels, fits: Sequence[SourceFit]) -> list[tuple[int, int]]:
    """Pairs that may be one source, the closest first."""
    if len(fits) < 2:
        return []
    pairs = []
    places = np.array([(fit.x, fit.y) for fit in fits])
    for first, second in cKDTree(places).query_pairs(_LARGEST_STAMP):
        apart, middle = math.dist(places[first], places[second]), 0.5 * (places[first] + places[second])
        column, row = (
            int(np.clip(round(at), 0, n - 1)) for at, n in zip(middle, scene.counts.shape[::-1], strict=True)
        )
        gap = float(hidden.width[row, column]) if hidden.gap[row, column] else 0.0
        if apart < _SAME * scene.psf.radius(0.5, scene.psf.angle(*middle)) + gap:
            pairs.append((apart, first, second))
    return [(first, second) for _, first, second in sorted(pairs)]


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


@dataclass(frozen=True)
class _Place:
    """Where a source is fitted: the peak, and how far pixels are compared and the position may move."""

    scene: Scene
    hidden: HiddenPixels
    x: float
    y: float
    reach: float
    stray: float
    is_hidden: bool

    @classmethod
    def of(cls, peaks: Peaks, row: int, scene: Scene, hidden: HiddenPixels) -> _Place:
        x, y, scale = (float(column[row]) for column in (peaks.x, peaks.y, peaks.scale))
        reach = max(scene.psf.radius(0.85, scene.psf.angle(x, y)), 3.0 * scale)
        is_hidden = sum(hidden_fractions(hidden, scene.psf, x, y)) > HIDDEN
        return cls(
            scene,
            hidden,
            x,
            y,
            reach=float(np.clip(reach, 4.0, _LARGEST_STAMP)),
            stray=float(np.clip(0.75 * scale, 2.0, 8.0)),
            is_hidden=is_hidden,
        )

    def point(self) -> PlacedSource:
        if self.is_hidden:
            return self._places.best
        return place_source(self.scene, self.x, self.y, reach=self.reach, stray=self.stray)

    def extended(self, size: float, begin: PlacedSource) -> PlacedSource:
        return place_source(self.scene, self.x, self.y, reach=self.reach, stray=self.stray, extent=size, begin=begin)

    def described(self, placed: PlacedSource) -> SourceFit:
        if not self.is_hidden:
            return describe_source(self.scene, self.x, self.y, placed, reach=self.reach)
        places = self._searched(placed.x, placed.y, placed.extent) if placed.extent else self._places
        return places.fit()

    @cached_property
    def _places(self) -> HiddenSearch:
        """Where a point may be that is partly hidden."""
        return self._searched(self.x, self.y, 0.0)

    def _searched(self, x: float, y: float, extent: float) -> HiddenSearch:
        return HiddenSearch(self.scene, self.hidden, x, y, reach=self.reach, stray=self.stray, extent=extent)


def _fit(scene: Scene, hidden: HiddenPixels, peaks: Peaks, row: int, *, body: bool) -> tuple[SourceFit, float]:
    """The fit, and the likelihood of its extent; a body of light has one in any case."""
    place, scale = _Place.of(peaks, row, scene, hidden), float(peaks.scale[row])
    point = place.point()
    best = replace(point, gain=-math.inf) if body else point
    core = scene.psf.radius(0.5, scene.psf.angle(place.x, place.y))
    for step in range(12):
        size = 0.5 * core * 2.0 ** (0.5 * step)
        if size > 2.0 * max(scale, core):
            break
        fit = place.extended(size, point if best.gain == -math.inf else best)
        if fit.gain > best.gain:
            best = fit
        elif step > 1 and fit.gain < best.gain - 2.0:
            break
    sure = float(detection_likelihood(best.gain - point.gain, 1))
    if sure < LIKELIHOOD and not body:
        return place.described(point), 0.0
    return place.described(best), sure


def _shaded(fits: Sequence[SourceFit], row: int, peaks: Peaks) -> bool:
    """Whether a brighter source lies so near that it may have made this one."""
    own = fits[row]
    return any(
        other.gain > own.gain
        and math.hypot(other.x - own.x, other.y - own.y) < 6.0 * max(peaks.scale[k], peaks.scale[row])
        for k, other in enumerate(fits)
        if k != row
    )


def _columns(scene: Scene, peaks: Peaks, fits: list[SourceFit]) -> dict[str, np.ndarray]:
    columns = {name: np.array([getattr(fit, name) for fit in fits], float) for name in _FITTED}
    ix, iy = (
        np.clip(np.rint(columns[axis]).astype(int), 0, n - 1)
        for axis, n in zip("xy", scene.counts.shape[::-1], strict=True)
    )
    return columns | {
        "scale": peaks.scale,
        "log_p": peaks.log_p,
        "background": scene.background[iy, ix].astype(float),
        "radius": np.array([circle_radius(scene.psf, fit.x, fit.y, fit.extent) for fit in fits], float),
    }


_FITTED = ("x", "y", "x_error", "y_error", "counts", "rate", "rate_low", "rate_high", "extent", "exposure")
