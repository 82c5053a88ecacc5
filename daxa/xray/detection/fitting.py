"""Fits of the peaks of an image, each source with the light of all others in its background."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from daxa.xray.detection.bodies import ExtendedBodies
from daxa.xray.detection.hidden import HIDDEN, HiddenPixels, HiddenSearch, hidden_fractions
from daxa.xray.detection.likelihood import detection_likelihood
from daxa.xray.detection.peaks import Peaks, joined
from daxa.xray.detection.psffit import PlacedSource, Scene, SourceFit, describe_source, place_source, source_image

__all__ = ["LARGEST_STAMP", "LIKELIHOOD", "PeakFits", "Place"]

LIKELIHOOD = 6.0
"""Least likelihood beside a brighter source, and of an extent."""

LARGEST_STAMP = 60.0
"""Pixels from a source up to which its light is compared with the counts, and is in the background of others."""


@dataclass(frozen=True)
class Place:
    """Where a source is fitted: the peak, and how far pixels are compared and the position may move."""

    scene: Scene
    hidden: HiddenPixels
    x: float
    y: float
    reach: float
    stray: float
    is_hidden: bool

    @classmethod
    def of(cls, peaks: Peaks, row: int, scene: Scene, hidden: HiddenPixels) -> Place:
        x, y, scale = (float(column[row]) for column in (peaks.x, peaks.y, peaks.scale))
        reach = max(scene.psf.radius(0.85, scene.psf.angle(x, y)), 3.0 * scale)
        is_hidden = sum(hidden_fractions(hidden, scene.psf, x, y)) > HIDDEN
        return cls(
            scene,
            hidden,
            x,
            y,
            reach=float(np.clip(reach, 4.0, LARGEST_STAMP)),
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
    place, scale = Place.of(peaks, row, scene, hidden), float(peaks.scale[row])
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


class PeakFits:
    """The fits of all peaks of an image, as far as they have been made.

    Parameters
    ----------
    scene
        Image, exposure, background with extended light, and point spread function.
    hidden
        What of the image saw nothing.
    bodies
        Its extended light, if there is any.
    peaks
        The bodies first.
    number
        How many of the peaks are bodies.

    Attributes
    ----------
    found
        Row of a peak to its fit, and the likelihood of its extent.
    scene
        As it was given.
    rest
        The scene, with the light of all fits in its background.
    """

    def __init__(
        self, scene: Scene, hidden: HiddenPixels, bodies: ExtendedBodies | None, peaks: Peaks, number: int
    ) -> None:
        self.scene, self.hidden, self.bodies, self.peaks, self.number = scene, hidden, bodies, peaks, number
        self.rest = replace(scene, background=scene.background.astype(np.float64))
        self.found: dict[int, tuple[SourceFit, float]] = {}
        self._shown: dict[int, tuple[tuple[slice, slice], np.ndarray]] = {}

    def add(self, peak: Peaks) -> int:
        """One peak more; its row."""
        self.peaks = joined(self.peaks, peak)
        return len(self.peaks) - 1

    def drop(self, row: int) -> None:
        """A peak is no source: no fit, and no light."""
        self.hide(row)
        self.found.pop(row, None)

    def place(self, row: int) -> Place:
        """Where a peak is fitted, with what is in the background now."""
        return Place.of(self.peaks, row, self.rest, self.hidden)

    def show(self, row: int, placed: PlacedSource) -> None:
        """Add the light of a source, in place of what was shown for its peak."""
        self.hide(row)
        self._shown[row] = source_image(self.rest, placed, LARGEST_STAMP)
        self._add(self._shown[row], 1.0)

    def hide(self, row: int) -> None:
        """Take the light of a peak's source from the background."""
        if row in self._shown:
            self._add(self._shown.pop(row), -1.0)

    def begin(self, row: int) -> None:
        """Fit a point to a peak, without errors."""
        self.hide(row)
        # The light of a body is in the background of all others already.
        if row >= self.number:
            self.show(row, self.place(row).point())

    def fit(self, row: int) -> None:
        """Fit a peak."""
        self.hide(row)
        body, around = row < self.number, self.rest
        if self.bodies is not None and body:
            around = replace(around, background=np.maximum(around.background - self.bodies.light_of(row), 0))
        self.found[row] = _fit(around, self.hidden, self.peaks, row, body=body)
        if not body:
            self.show(row, self.found[row][0])

    def take(self, row: int, fit: SourceFit) -> None:
        """Let a peak have a fit that was made elsewhere, of a point."""
        self.found[row] = fit, 0.0
        self.show(row, fit)

    def _add(self, light: tuple[tuple[slice, slice], np.ndarray], sign: float) -> None:
        self.rest.background[light[0]] += sign * light[1]
