"""Completeness and purity by the origin of the photons, beside other detection programs at matched purity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.validation.chain import Searched
from benchmarks.validation.checks import Check, Figure, NoDataError, told
from benchmarks.validation.origins import judge
from benchmarks.validation.scenes import near_cluster, populated
from benchmarks.validation.simulated import RADIUS, searched

__all__ = ["CHECKS", "METHODS", "completeness", "with_photutils", "with_sep"]

BINS = (8, 15, 30, 100, np.inf)
THRESHOLDS = (1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)

Method = Callable[[float, np.ndarray, np.ndarray], np.ndarray]
"""Threshold, counts and seconds to pixels (x, y from 1)."""


def with_sep(cut: float, counts: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Source Extractor as a library, at a threshold in standard deviations of the background."""
    import sep

    data, mask = counts.astype(np.float64), seconds < 0.1 * seconds.max()
    below = sep.Background(data, mask=mask)
    # Clipping leaves no scatter where most pixels are empty: that of Poisson counts is the least.
    spread = max(below.globalrms, float(np.sqrt(data[~mask].mean())))
    found = sep.extract(data - below.back(), cut, err=spread, mask=mask)
    return np.column_stack((found["x"], found["y"])) + 1.0


def with_photutils(cut: float, counts: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Segments of photutils, at a threshold in standard deviations of the smoothed background."""
    from astropy.convolution import convolve
    from photutils.background import Background2D
    from photutils.segmentation import SourceCatalog, detect_sources, make_2dgaussian_kernel

    data, mask = counts.astype(float), seconds < 0.1 * seconds.max()
    below = Background2D(data, 64, filter_size=3, mask=mask, exclude_percentile=90)
    smooth = convolve(data - below.background, make_2dgaussian_kernel(3.0, size=5))
    scatter = np.maximum(below.background_rms, np.sqrt(data[~mask].mean()))
    regions = detect_sources(smooth, cut * scatter, n_pixels=5, mask=mask)
    if regions is None:
        return np.empty((0, 2))
    catalog = SourceCatalog(data - below.background, regions, mask=mask)
    places = np.column_stack((catalog.x_centroid, catalog.y_centroid))
    return places[np.isfinite(places).all(axis=1)] + 1.0


METHODS: dict[str, Method] = {"sep": with_sep, "photutils": with_photutils}


@dataclass(frozen=True)
class Score:
    """How many point sources there are and are found, by bins of their photons; how many of the detections are true.

    ``which`` are field and number of those found.
    """

    there: np.ndarray
    found: np.ndarray
    right: int
    every: int
    which: frozenset[tuple[int, int]] = frozenset()

    @property
    def purity(self) -> float:
        """Share of the detections that are true."""
        return self.right / max(self.every, 1)


def completeness(fields: Sequence[Searched], places: Sequence[np.ndarray]) -> Score:
    """Judge detections (pixels x, y from 1) in some fields."""
    there, found, right, every = np.zeros(len(BINS) - 1, int), np.zeros(len(BINS) - 1, int), 0, 0
    which = set()
    for index, (one, own) in enumerate(zip(fields, places, strict=True)):
        verdict = judge(own, one.photons, radius=RADIUS / one.pixel)
        right, every = right + int(verdict.first.sum()), every + len(own)
        numbers = set(verdict.origin[verdict.points].tolist())
        for number, photons in enumerate(one.seen, start=1):
            group = int(np.searchsorted(BINS, photons, side="right")) - 1
            if group >= 0:
                there[group] += 1
                if number in numbers:
                    found[group] += 1
                    which.add((index, number))
    return Score(there, found, right, every, frozenset(which))


def check_origin(scale: float) -> list[Figure]:
    """Fields with and without a cluster, in MOS1."""
    try:
        import photutils  # noqa: F401
        import sep  # noqa: F401
    except ImportError as absent:
        raise NoDataError(f"{absent.name} is not installed: pip install --group benchmark") from None
    figures = []
    for where, scene, number in (("no cluster", populated, 12), ("with a cluster", near_cluster, 20)):
        fields = [searched(scene, seed, "M1", 1.0) for seed in range(max(1, round(number * scale)))]
        own = [np.column_stack((one.table["x"], one.table["y"])) for one in fields]
        mine = completeness(fields, own)
        figures.append(_figure(f"daxa, {where}", mine))
        for name, method in METHODS.items():
            best = None
            for cut in THRESHOLDS:
                made = completeness(fields, [method(cut, one.counts, one.seconds) for one in fields])
                if made.purity >= mine.purity:
                    best = (cut, made)
                    break
            cut, made = best or (cut, made)
            figures.append(_figure(f"{name} at {cut:g} sigma, {where}", made, than=mine))
    return figures


def _figure(what: str, score: Score, *, than: Score | None = None) -> Figure:
    names = [f"{low:g}-{high:g}" if np.isfinite(high) else f"{low:g}+" for low, high in pairwise(BINS)]
    cells = [f"{name}: {n}/{of}" for name, n, of in zip(names, score.found, score.there, strict=True)]
    text = f"found of {', '.join(cells)} photons; purity {score.purity:.3f} of {score.every}"
    if than is None:
        return told(what, text)
    more, error = len(than.which) - len(score.which), np.sqrt(len(than.which ^ score.which))
    text += f"; daxa finds {more:+d} +- {error:.1f} more"
    return Figure(what, text, "daxa finds at least as many, within the error", bool(more >= -error))


CHECKS = (
    Check(
        "origin", "Completeness (by photons of a source) and purity", "origin of the photons; sep and photutils at the "
        "lowest threshold that makes them as pure", "simulated MOS1 lists through the whole chain", check_origin,
    ),
)  # fmt: skip
