"""The real cluster field Abell 907: background in rings, and sources that another camera and another method confirm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.detection import real_image, seen_elsewhere
from benchmarks.validation.checks import Check, Figure, NoDataError, between, real_data
from benchmarks.validation.peers import with_sep
from daxa.xray.detection.detect import find_sources
from daxa.xray.detection.psf import psf_for

__all__ = ["CHECKS"]

PIXEL = 4.35
CENTRE = (256.6, 278.0)
"""The cluster, pixels from 1."""

CAMERAS = ("PN", "M1", "M2")
CUTS = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
USUAL = "1 false"
LOOSE = 10.0
"""False sources that are allowed in the list that is cut by likelihood."""

_MATCH = 15.0
_OUTSIDE = 4.35


def _found(folder: Path) -> dict[str, tuple]:
    found = {}
    for camera in CAMERAS:
        counts, seconds = real_image(folder, camera)
        psf = psf_for(camera, PIXEL, axis=(255.5, 255.5))
        found[camera] = counts, seconds, find_sources(counts, seconds, psf, workers=1)
    return found


def check_rings(_scale: float) -> list[Figure]:
    """Background over counts, without the sources that were found."""
    figures = []
    for camera, (counts, _, found) in _found(real_data() / "xmm" / "0404910601").items():
        y, x = np.indices(counts.shape) + 1.0
        away = np.hypot(x - CENTRE[0], y - CENTRE[1]) * PIXEL / 60
        kept = found.valid.copy()
        for column, line in zip(found["x"], found["y"], strict=True):
            if np.hypot(column - CENTRE[0], line - CENTRE[1]) * PIXEL / 60 > 3:
                kept &= np.hypot(x - column, y - line) > 8
        for inner in range(3, 12):
            ring = kept & (away >= inner) & (away < inner + 1)
            figures.append(
                between(f"{camera}: {inner} to {inner + 1} arcmin",
                        found.background[ring].sum() / max(counts[ring].sum(), 1), 0.9, 1.1,
                        error=float(1 / np.sqrt(max(counts[ring].sum(), 1))))
            )  # fmt: skip
    return figures


@dataclass(frozen=True, eq=False)
class _Lists:
    """Places (pixels from 1) outside of the cluster: daxa's usual and its long list with likelihoods, sep's by cut."""

    usual: np.ndarray
    long: np.ndarray
    likelihood: np.ndarray
    sep: dict[float, np.ndarray]

    @classmethod
    def of(cls, image: tuple[np.ndarray, np.ndarray], camera: str) -> _Lists:
        psf = psf_for(camera, PIXEL, axis=(255.5, 255.5))
        usual, long = (
            find_sources(*image, psf, false_per_field=allowed, realisations=0, workers=1) for allowed in (1.0, LOOSE)
        )
        places = np.column_stack((long["x"], long["y"]))
        return cls(
            _outside(np.column_stack((usual["x"], usual["y"]))),
            _outside(places),
            long["likelihood"][_is_outside(places)],
            {cut: _outside(with_sep(cut, *image)) for cut in CUTS},
        )

    @property
    def judge(self) -> np.ndarray:
        """What sep finds at its lowest threshold."""
        return self.sep[CUTS[0]]


def _is_outside(places: np.ndarray) -> np.ndarray:
    return np.hypot(*(places - CENTRE).T) * PIXEL / 60 > _OUTSIDE


def _outside(places: np.ndarray) -> np.ndarray:
    return places[_is_outside(places)]


def _near(own: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """Whether places lie within 15 arcsec of one in any of other lists."""
    other = np.concatenate(others)
    return (np.hypot(*(own[:, None] - other[None]).transpose(2, 0, 1)) * PIXEL < _MATCH).any(axis=1)


def _points(daxa: Callable[[np.ndarray], np.ndarray], own: _Lists) -> dict[str, tuple[int, int]]:
    """Confirmed and unconfirmed ones of daxa's usual list, and of the long one cut at each of its likelihoods.

    Of cuts with as many confirmed ones that with the fewest unconfirmed is named.
    """
    usual, good = daxa(own.usual), daxa(own.long)
    points = {USUAL: (int(usual.sum()), int((~usual).sum()))}
    best: dict[int, tuple[int, float]] = {}
    for least in np.unique(own.likelihood):
        kept = own.likelihood >= least
        number = int((good & kept).sum())
        best[number] = min(best.get(number, (len(good), 0.0)), (int((kept & ~good).sum()), float(least)))
    return points | {f"L {least:.1f}": (number, fewest) for number, (fewest, least) in sorted(best.items())}


def _figure(
    what: str,
    own: _Lists,
    daxa: Callable[[np.ndarray], np.ndarray],
    sep: Callable[[np.ndarray], np.ndarray],
) -> Figure:
    """Both curves; ``daxa`` and ``sep`` say which places of a program are confirmed."""
    mine = _points(daxa, own)
    verdicts = {cut: sep(places) for cut, places in own.sep.items()}
    points = {cut: (int(good.sum()), int((~good).sum())) for cut, good in verdicts.items()}
    beaten = [
        cut for cut, (good, bad) in points.items()
        if not any(more >= good and fewer < max(bad, 1) for more, fewer in mine.values())
    ]  # fmt: skip
    texts = [", ".join(f"{cut}: {good}/{bad}" for cut, (good, bad) in one.items()) for one in (mine, points)]
    return Figure(
        what, f"daxa at {texts[0]}; sep at sigma {texts[1]}" + (f"; missed: {beaten}" if beaten else ""),
        "for each point of sep's curve one of daxa's with as many or more confirmed and fewer unconfirmed", not beaten,
    )  # fmt: skip


def check_curve(_scale: float) -> list[Figure]:
    """Both programs' detections by two judges.

    The first is the other program in another camera, so that the two programs have different judges: a source that
    both see here, and daxa alone in another camera, is confirmed for sep and not for daxa.  The second, the counts
    of the other cameras, says the same of a place whoever found it.
    """
    try:
        import sep  # noqa: F401
    except ImportError:
        raise NoDataError("sep is not installed: pip install --group benchmark") from None
    folder = real_data() / "xmm" / "0404910601"
    images = {camera: real_image(folder, camera) for camera in CAMERAS}
    lists = {camera: _Lists.of(image, camera) for camera, image in images.items()}
    figures: list[list[Figure]] = [[], []]
    for camera, own in lists.items():
        others = [one for name, one in lists.items() if name != camera]
        daxas, seps = [one.usual for one in others], [one.judge for one in others]

        def by_sep(places: np.ndarray, seps=seps) -> np.ndarray:
            return _near(places, *seps)

        def by_daxa(places: np.ndarray, daxas=daxas) -> np.ndarray:
            return _near(places, *daxas)

        def by_counts(places: np.ndarray, camera=camera) -> np.ndarray:
            return seen_elsewhere(places - 1.0, images, camera)

        figures[0].append(_figure(f"{camera}: confirmed/unconfirmed", own, by_sep, by_daxa))
        figures[1].append(_figure(f"{camera}, by counts in the other cameras", own, by_counts, by_counts))
    return [figure for part in figures for figure in part]


CHECKS = (
    Check("a907-rings", "Background over counts, in rings about A907", "the counts themselves",
          "0404910601 pn, MOS1, MOS2 (images and maps of SAS)", check_rings),
    Check("a907-sep", "Sources confirmed in another camera by the other method", "sep at six thresholds",
          "0404910601 pn, MOS1, MOS2", check_curve),
)  # fmt: skip
