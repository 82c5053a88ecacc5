"""Sources in gaps beside other sources.

No wavelet shows a source of which a gap hides most: a peak would stand in the gap, where nothing is searched, and
what is left of its light beside the gap counts as its neighbour's.  Beside each source that was found the places in
gaps are therefore tried, with the light of all sources in the background.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from daxa.xray.detection.fitting import PeakFits
from daxa.xray.detection.hidden import hidden_fractions
from daxa.xray.detection.likelihood import detection_likelihood
from daxa.xray.detection.peaks import Peaks
from daxa.xray.detection.tracing import Tracer

__all__ = ["GapSources", "find_in_gaps"]

_SURE = 8.0
"""Least likelihood of a source in a gap.

Beside 1,500 sources near gaps in simulated fields of MOS and pn, bright ones among them, no place without a source
had as much (7.1 at most), and all seven places that had more held one.
"""

_POSSIBLE = 4.0
"""Likelihood from which a source in a gap is possible, so that its neighbour's rate may be too high."""

_HIDDEN = 0.5
"""Share of its light that is hidden at least: less does not keep a source from being found."""

_SHARE = 0.1
"""Share of a source's counts above which a possible one is worth a mark; half of it, noise makes beside many gaps."""

_LIT = 0.1
"""Extended light that is more than this share of the background would be taken for sources."""


@dataclass(frozen=True)
class GapSources:
    """What gaps hold beside the sources that were found.

    Parameters
    ----------
    rows
        Rows of the peaks that were added.
    doubtful
        Rows of peaks whose source may have light of another one, in a gap, that is not sure.
    """

    rows: tuple[int, ...]
    doubtful: tuple[int, ...]


@dataclass(frozen=True)
class _Candidate:
    """A place in a gap: pixel, counts that the image holds of a source there, and its likelihood."""

    x: float
    y: float
    counts: float
    likelihood: float


def find_in_gaps(fits: PeakFits, rows: Iterable[int]) -> GapSources:
    """Look for sources in gaps beside some that were found.

    Parameters
    ----------
    fits
        Those of all peaks; sources in gaps are added, and their neighbours fitted again.
    rows
        The peaks to look beside.
    """
    rows, added, doubtful = list(rows), [], []
    if not fits.hidden.gap.any():
        return GapSources((), ())
    for row in rows:
        found = _beside(fits, row)
        if found is None:
            continue
        if found.likelihood >= _SURE:
            new = _added(fits, found)
            near = [one for one in rows if _apart(fits, one, found) < _far(fits, one)]
            _fit_again(fits, [*near, new])
            if detection_likelihood(fits.found[new][0].gain, 3) >= _SURE:
                added.append(new)
                continue
            fits.drop(new)
            _fit_again(fits, near)
        if found.counts > _SHARE * fits.found[row][0].counts:
            doubtful.append(row)
    return GapSources(tuple(added), tuple(doubtful))


def _beside(fits: PeakFits, row: int) -> _Candidate | None:
    """The most likely place in a gap beside a source, if a source there is possible."""
    fit, psf, far = fits.found[row][0], fits.rest.psf, _far(fits, row)
    x, y = _gap_places(fits, fit.x, fit.y, far)
    if not len(x):
        return None
    tracer = Tracer(fits.rest, fit.x, fit.y, reach=far + psf.radius(0.85, psf.angle(fit.x, fit.y)), stray=far)
    rates, gains = tracer.at(x, y)
    best = int(gains.argmax())
    likelihood = float(detection_likelihood(gains[best], 3))
    at = float(x[best]), float(y[best])
    hidden = sum(hidden_fractions(fits.hidden, psf, *at))
    if likelihood < _POSSIBLE or hidden < _HIDDEN or _is_lit(fits, *at):
        return None
    seen = (1.0 - hidden) * float(tracer.stamp.exposure.max())
    return _Candidate(*at, float(rates[best]) * seen, likelihood)


def _far(fits: PeakFits, row: int) -> float:
    """Pixels from a source within which another one could be taken for a part of it."""
    fit, psf = fits.found[row][0], fits.rest.psf
    return float(np.clip(psf.radius(0.9, psf.angle(fit.x, fit.y)), 4.0, 16.0))


def _apart(fits: PeakFits, row: int, other: _Candidate) -> float:
    fit = fits.found[row][0]
    return math.hypot(fit.x - other.x, fit.y - other.y)


def _gap_places(fits: PeakFits, x: float, y: float, far: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of gaps about a place."""
    first_x, first_y = (max(math.floor(at - far), 0) for at in (x, y))
    rows, columns = slice(first_y, max(math.ceil(y + far), 0) + 1), slice(first_x, max(math.ceil(x + far), 0) + 1)
    iy, ix = np.nonzero(fits.hidden.gap[rows, columns])
    iy, ix = iy + first_y, ix + first_x
    near = np.hypot(ix - x, iy - y) <= far
    return ix[near].astype(float), iy[near].astype(float)


def _is_lit(fits: PeakFits, x: float, y: float) -> bool:
    """Whether extended light reaches a place: what its model lacks in a gap is not a source."""
    if fits.bodies is None:
        return False
    around = tuple(slice(max(round(at) - 3, 0), max(round(at) + 4, 0)) for at in (y, x))
    light, below = (float(image[around].max(initial=0.0)) for image in (fits.bodies.light, fits.scene.background))
    return light > _LIT * below


def _added(fits: PeakFits, found: _Candidate) -> int:
    values = found.x, found.y, 0.0, found.counts, 0.0, -found.likelihood
    new = fits.add(Peaks(*(np.array([value]) for value in values)))
    fits.begin(new)
    return new


def _fit_again(fits: PeakFits, rows: list[int]) -> None:
    for row in rows:
        fits.fit(row)
