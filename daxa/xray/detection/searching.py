"""The search of the exposed part of an image, with the expected number of false sources."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np

from daxa.xray.detection.background import SmoothingGrid, estimate_components
from daxa.xray.detection.bodies import ExtendedBodies, find_bodies
from daxa.xray.detection.diffuse import filled
from daxa.xray.detection.falserate import chance_for, expected_false
from daxa.xray.detection.hidden import HiddenPixels, find_hidden
from daxa.xray.detection.measure import Columns, measured
from daxa.xray.detection.peaks import find_peaks, merge_peaks
from daxa.xray.detection.psf import Psf
from daxa.xray.detection.psffit import Scene
from daxa.xray.detection.quality import PileUp
from daxa.xray.detection.vetoes import cleared
from daxa.xray.detection.wavelet import LADDER, Wavelet

__all__ = ["Field", "Searched", "SearchedImage", "search_field"]

_SMOOTH = 3.0
"""Smoothing of the background, in largest scales."""

_LIT = 0.1
"""Extended light that is brighter than this share of the background may make false sources."""


@dataclass(frozen=True)
class Field:
    """The part of an image in which sources are searched for.

    Parameters
    ----------
    x, y
        Its first column and row, at which cells of all sizes begin.
    box
        Its rows and columns.
    shape
        Of the image.
    """

    x: int
    y: int
    box: tuple[slice, slice]
    shape: tuple[int, int]

    @classmethod
    def of(cls, valid: np.ndarray, cell: int) -> Field:
        """The smallest field of whole cells (pixels to the side) that holds the valid pixels."""
        ends = [np.flatnonzero(valid.any(axis=axis))[[0, -1]] for axis in (1, 0)]
        rows, columns = (
            slice(int(first) // cell * cell, min(-(-(int(last) + 1) // cell) * cell, n))
            for (first, last), n in zip(ends, valid.shape, strict=True)
        )
        return cls(columns.start, rows.start, (rows, columns), valid.shape)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The field of an image."""
        return np.ascontiguousarray(image[self.box])

    def whole(self, part: np.ndarray) -> np.ndarray:
        """An image of the field, with zeros around it."""
        image = np.zeros(self.shape, part.dtype)
        image[self.box] = part
        return image

    def placed(self, columns: Columns) -> Columns:
        """Sources of the field in pixels of the image."""
        return {**columns, "x": columns["x"] + self.x, "y": columns["y"] + self.y}


@dataclass(frozen=True, eq=False)
class SearchedImage:
    """What is searched, and how; all images have the shape of the field, and are zero at invalid pixels.

    Parameters
    ----------
    counts, exposure
        Counts and seconds.
    valid
        Pixels at which sources may be centred.
    psf
        The point spread function, in pixels of the field.
    wavelets
        The scales.
    origin
        First column and row of the field.
    background, known
        Expected counts without sources, and the part that is not sky, if known.
    pile_up
        The rate above which photons coincide (pile-up).
    workers
        Threads; the result does not depend on them.
    """

    counts: np.ndarray
    exposure: np.ndarray
    valid: np.ndarray
    psf: Psf
    wavelets: tuple[Wavelet, ...]
    origin: tuple[int, int]
    background: np.ndarray | None
    known: np.ndarray | None
    pile_up: PileUp
    workers: int

    @property
    def first(self) -> int:
        """Place of the smallest scale in `LADDER`."""
        return LADDER.index(self.wavelets[0].scale)


@dataclass(frozen=True, eq=False)
class Searched:
    """What was found in a field, in pixels of the field.

    Parameters
    ----------
    columns, parts
        Sources, and parts of extended light, as `daxa.xray.detection.measure.measured` gives them.
    background
        Expected counts without sources.
    log_p
        ln of the largest chance.
    expected_false
        Expected number of false sources.
    simulated
        Simulated fields from which that number was counted.
    """

    columns: Columns
    parts: Columns
    background: np.ndarray
    log_p: float
    expected_false: float
    simulated: int


@dataclass(frozen=True, eq=False)
class _Search:
    """An image, the counts expected without sources, and how sources are searched for."""

    image: SearchedImage
    scene: Scene
    bodies: ExtendedBodies | None
    hidden: HiddenPixels
    log_p: float
    grid: SmoothingGrid
    within: np.ndarray = field(repr=False)


def search_field(image: SearchedImage, *, false_per_field: float, realisations: int) -> Searched:
    """Search a field; parameters as for `daxa.xray.detection.detect.find_sources`."""
    grid, valid = SmoothingGrid.of(image.exposure), image.valid
    background, bodies = image.background, None
    if background is None:
        background, bodies = _expected(image, grid, image.counts)
    elif image.known is not None:
        background = background + image.known
    background = np.where(valid, background, 0).astype(np.float32)
    log_p = chance_for(false_per_field, background, valid, image.first)
    scene = Scene(image.counts, image.exposure, background, image.psf)
    search = _Search(image, scene, bodies, find_hidden(image.exposure, image.psf), log_p, grid, valid)
    columns, parts, listed, points = _found(search, image.pile_up)
    if bodies is not None and points.any():
        # The wings of point sources are not extended light, which is therefore measured again without them.
        below, bodies = _expected(image, grid, image.counts, points=points)
        background = np.where(valid, below, 0).astype(np.float32)
        search = replace(search, scene=replace(scene, background=background), bodies=bodies)
        columns, parts, listed, _ = _found(search, image.pile_up)
    fields = max(realisations, 0) if bodies is not None else 0
    if bodies is None or not fields:
        false = expected_false(log_p, background, valid, image.first)
    else:
        false = _simulated(search, bodies, fields)
    structured = background if bodies is None else _with_structure(search, bodies, listed)
    return Searched(columns, parts, structured, log_p, false, fields)


def _expected(
    image: SearchedImage, grid: SmoothingGrid, counts: np.ndarray, *, points: np.ndarray | None = None
) -> tuple[np.ndarray, ExtendedBodies | None]:
    """The counts expected without sources, and the extended light among them, if there is any."""
    known, wavelets, workers = image.known, image.wavelets, image.workers
    found = estimate_components(
        counts,
        image.exposure,
        sigma=_SMOOTH * wavelets[-1].scale,
        psf_radius=image.psf.radius(0.8),
        points=points,
        known=known,
        grid=grid,
        workers=workers,
    )
    whole = found.whole if known is None else found.whole + known
    if found.whole is found.smooth:
        return whole, None
    above = counts if known is None else counts - known
    bodies = find_bodies(above, found, image.valid, wavelets, workers=workers)
    return whole, bodies if len(bodies.peaks) else None


def _found(search: _Search, pile_up: PileUp) -> tuple[Columns, Columns, np.ndarray, np.ndarray]:
    """The sources and the parts of extended light, as `measured` gives them."""
    image, scene, log_p = search.image, search.scene, search.log_p
    peaks = find_peaks(
        scene.counts, scene.background, search.within, image.wavelets, log_p,
        origin=image.origin, workers=image.workers,
    )  # fmt: skip
    peaks = cleared(merge_peaks(peaks), scene.counts, scene.background, scene.psf, log_p)
    return measured(scene, search.hidden, search.bodies, peaks, pile_up)


def _with_structure(search: _Search, bodies: ExtendedBodies, listed: np.ndarray) -> np.ndarray:
    """The counts expected without the listed sources: background and extended light with its structure."""
    scene, least = search.scene, search.scene.psf.radius(0.5)
    left = scene.counts - listed
    sigma = _SMOOTH * search.image.wavelets[-1].scale
    return filled(left, scene.background, bodies.number > 0, sigma, least).astype(np.float32)


def _simulated(search: _Search, light: ExtendedBodies, fields: int) -> float:
    """Sources in a field of light and background alone, on average.

    Where there is light they are counted in made fields, elsewhere the calibration of dark fields
    holds.  The seed follows from the data, so that the number does.
    """
    image, scene = search.image, search.scene
    lit = (light.light > _LIT * (scene.background - light.light)) & image.valid
    digest = hashlib.sha256(scene.counts.tobytes() + scene.exposure.tobytes()).digest()
    # The effect of gaps on errors does not matter here.
    nowhere = np.zeros(lit.shape, bool)
    hidden = HiddenPixels(nowhere, nowhere, np.zeros(lit.shape, np.float32))
    rng, number = np.random.default_rng(np.frombuffer(digest, np.dtype("<u4"))), 0
    for _ in range(fields):
        made = rng.poisson(scene.background).astype(np.float32)
        below, bodies = _expected(image, search.grid, made)
        again = replace(scene, counts=made, background=np.where(image.valid, below, 0).astype(np.float32))
        columns, *_ = _found(replace(search, scene=again, bodies=bodies, hidden=hidden, within=lit), PileUp())
        x, y = (
            np.clip(np.rint(columns[axis]).astype(int), 0, n - 1) for axis, n in zip("xy", lit.shape[::-1], strict=True)
        )
        number += int((lit[y, x] & ~columns["body"]).sum())
    rest = expected_false(search.log_p, scene.background, image.valid & ~lit, image.first)
    return number / fields + rest
