"""Extended light as sources: one body for each piece of it, and what within it is not a source of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from daxa.xray.detection.background import Background
from daxa.xray.detection.chance import log_chance
from daxa.xray.detection.light import LightComponent, light_image
from daxa.xray.detection.peaks import Peaks
from daxa.xray.detection.wavelet import Wavelet, respond

__all__ = ["ExtendedBodies", "find_bodies", "is_part"]

_SURE = 15.0
"""Likelihood from which a point within extended light is a source of its own."""

_BRIGHTEST = 3.0
_LIT = 1.0
"""Extended light that is brighter than so many backgrounds shows its own structure."""


_VALLEY, _STEPS = 0.25, 33
"""Lights are two where all light falls between them to less than this share of the fainter's, in so many steps."""

_WIDEST = 16
"""Pixels from a gap's middle to the nearest exposed pixel, at most."""


@dataclass(frozen=True, eq=False)
class ExtendedBodies:
    """Pieces of extended light.

    Parameters
    ----------
    peaks
        One for each, where its light is brightest.
    number
        int32, shape (ny, nx): the body (from 1) whose light outshines the background there, or 0.
    light
        Counts of all bodies, shape (ny, nx).
    own
        The body (from 1) that the light of a pixel belongs to, or 0, int32.
    valid
        Pixels in which sources are looked for, bool: in all others the first three are zero.
    """

    peaks: Peaks
    number: np.ndarray
    light: np.ndarray
    own: np.ndarray
    valid: np.ndarray

    def light_of(self, body: int) -> np.ndarray:
        """Counts of one body (from 0), shape (ny, nx)."""
        return np.where(self.own == body + 1, self.light, 0.0)


def find_bodies(
    counts: np.ndarray, found: Background, valid: np.ndarray, wavelets: tuple[Wavelet, ...], *, workers: int
) -> ExtendedBodies:
    """The bodies of an image.

    Parameters
    ----------
    counts
        Shape (ny, nx).
    found
        Background and extended light of the image.
    valid
        Pixels in which sources are looked for.
    wavelets
        The scales of the search.
    workers
        Threads; the result does not depend on them.
    """
    light = np.where(valid, found.whole - found.smooth, 0.0).astype(np.float32)
    own = np.zeros(counts.shape, np.int32)
    centres: list[tuple[float, float, float]] = []
    parts = _divided(found, valid)
    smoothed = gaussian_filter(light, _BRIGHTEST, mode="constant") if parts.any() else light
    for part in range(1, int(parts.max(initial=0)) + 1):
        rows, columns = np.nonzero((parts == part) & valid)
        if not len(rows) or not light[rows, columns].any():
            continue
        brightest, here = int(smoothed[rows, columns].argmax()), smoothed[rows, columns]
        centres.append((columns[brightest], rows[brightest], math.sqrt((here > 0.5 * here.max()).sum() / math.pi)))
        own[rows, columns] = len(centres)
    for one in found.lights:
        column, row = _nearest_valid(valid, one.x, one.y)
        if _is_inside(one, valid) and valid[row, column] and own[row, column] == 0:
            centres.append((one.x, one.y, one.core))
            mine = light_image((one,), counts.shape) > 0.5 * light_image(found.lights, counts.shape)
            own[(own == 0) & mine & (light > 0)] = len(centres)
    number = np.where((light > _LIT * found.smooth) & valid, own, 0)
    return ExtendedBodies(_peaks(counts, found.smooth * valid, centres, wavelets, workers), number, light, own, valid)


def _divided(found: Background, valid: np.ndarray) -> np.ndarray:
    """The parts of extended light; round lights with a valley between them, as two clusters, are not one part."""
    parts = found.parts
    groups: dict[int, list[LightComponent]] = {}
    for one in found.lights:
        column, row = _nearest_valid(valid, one.x, one.y)
        group = groups.setdefault(int(parts[row, column]) if _is_inside(one, valid) else 0, [])
        if all(_is_apart(one, other, found.lights) for other in group):
            group.append(one)
    for part, group in groups.items():
        if part and len(group) > 1:
            rows, columns = np.nonzero(parts == part)
            brightest = np.argmax([one.profile(np.hypot(columns - one.x, rows - one.y)) for one in group], axis=0)
            parts = parts.copy()
            parts[rows, columns] = np.where(brightest > 0, int(parts.max()) + brightest, part)
    return parts


def _is_inside(one: LightComponent, valid: np.ndarray) -> bool:
    """Whether the centre of a component lies within the image."""
    ny, nx = valid.shape
    return -0.5 <= one.x < nx - 0.5 and -0.5 <= one.y < ny - 0.5


def _is_apart(one: LightComponent, other: LightComponent, lights: Sequence[LightComponent]) -> bool:
    """Whether light falls between the centres of two components."""
    way = np.linspace(0.0, 1.0, _STEPS)
    x, y = one.x + way * (other.x - one.x), one.y + way * (other.y - one.y)
    along = np.sum([light.profile(np.hypot(x - light.x, y - light.y)) for light in lights], axis=0)
    return bool(along.min() < _VALLEY * min(along[0], along[-1]))


def _nearest(wavelets: tuple[Wavelet, ...], size: float) -> Wavelet:
    return min(wavelets, key=lambda wavelet: abs(math.log(wavelet.scale / max(size, 0.5))))


def _peaks(
    counts: np.ndarray,
    smooth: np.ndarray,
    centres: Sequence[tuple[float, float, float]],
    wavelets: tuple[Wavelet, ...],
    workers: int,
) -> Peaks:
    """The bodies as peaks of the wavelet that comes closest to their size."""
    columns: dict[str, list[float]] = {name: [] for name in ("x", "y", "scale", "excess", "background", "log_p")}
    chosen = [_nearest(wavelets, size) for *_, size in centres]
    responses = {
        part.wavelet.scale: part
        for part in respond(counts, smooth, tuple(w for w in wavelets if w in chosen), workers=workers)
    }  # fmt: skip
    for (x, y, _), wavelet in zip(centres, chosen, strict=True):
        response = responses[wavelet.scale]
        iy, ix = (
            np.array([int(np.clip(at // wavelet.bin, 0, n - 1))])
            for at, n in zip((y, x), response.excess.shape, strict=True)
        )
        local = response.local(iy, ix)
        values = (x, y, wavelet.scale, float(response.excess[iy, ix][0]), float(local[0]) / wavelet.bin**2)
        chance = float(log_chance(wavelet, response.excess[iy, ix].astype(float), local, np.array([0.5]))[0])
        for name, value in zip(columns, (*values, chance), strict=True):
            columns[name].append(value)
    return Peaks(**{name: np.array(values, float) for name, values in columns.items()})


def is_part(bodies: ExtendedBodies, x: float, y: float, extent: float, likelihood: float) -> int:
    """The body (from 1) that a source is a part of, 0 if it is a source of its own.

    Parameters
    ----------
    bodies
        Of the image.
    x, y, extent
        The source, pixels from 0.
    likelihood
        Of the source.

    Notes
    -----
    What is brighter than smooth light, within it, and extended, or a point that is not certain,
    is structure of the light, unless it outshines all of it: a likelihood of so much takes some counts of
    its own.  In a gap the light is that of the nearest pixel that was seen.
    """
    column, row = _nearest_valid(bodies.valid, x, y)
    body = int(bodies.number[row, column])
    if body == 0 or (extent == 0 and likelihood >= _SURE):
        return 0
    return 0 if likelihood > max(_SURE, float(bodies.light_of(body - 1).sum())) else body


def _nearest_valid(valid: np.ndarray, x: float, y: float) -> tuple[int, int]:
    """Column and row of the valid pixel nearest to a place, of its own if none is near."""
    ny, nx = valid.shape
    column, row = int(np.clip(round(x), 0, nx - 1)), int(np.clip(round(y), 0, ny - 1))
    if valid[row, column]:
        return column, row
    top, left = max(row - _WIDEST, 0), max(column - _WIDEST, 0)
    rows, columns = np.nonzero(valid[top : row + _WIDEST + 1, left : column + _WIDEST + 1])
    if not len(rows):
        return column, row
    near = int(np.hypot(columns + left - x, rows + top - y).argmin())
    return int(columns[near]) + left, int(rows[near]) + top
