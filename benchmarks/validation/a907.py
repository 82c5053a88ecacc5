"""The real cluster field Abell 907: background in rings, and sources that another camera and another method confirm."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.detection import real_image
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

LIKELIHOODS = (20.0, 13.0, 11.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0)
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


def _confirmed(own: np.ndarray, others: list[np.ndarray]) -> tuple[int, int]:
    """Detections outside of the cluster that lie within 15 arcsec of one in another list, and the rest."""
    own = own[np.hypot(*(own - CENTRE).T) * PIXEL / 60 > _OUTSIDE]
    other = np.concatenate(others)
    near = (np.hypot(*(own[:, None] - other[None]).transpose(2, 0, 1)) * PIXEL < _MATCH).any(axis=1)
    return int(near.sum()), int((~near).sum())


def _points_of(image: tuple[np.ndarray, np.ndarray], camera: str) -> dict[str, np.ndarray]:
    """Places that daxa finds: those of the usual list, and of a long one cut by its likelihoods."""
    psf = psf_for(camera, PIXEL, axis=(255.5, 255.5))
    usual, long = (
        find_sources(*image, psf, false_per_field=allowed, realisations=0, workers=1) for allowed in (1.0, LOOSE)
    )
    places = {USUAL: np.column_stack((usual["x"], usual["y"]))}
    for least in LIKELIHOODS:
        kept = long["likelihood"] >= least
        places[f"L {least:g}"] = np.column_stack((long["x"], long["y"]))[kept]
    return places


def check_curve(_scale: float) -> list[Figure]:
    """Both methods' detections, each confirmed by the other method in another camera."""
    try:
        import sep  # noqa: F401
    except ImportError:
        raise NoDataError("sep is not installed: pip install --group benchmark") from None
    folder = real_data() / "xmm" / "0404910601"
    images = {camera: real_image(folder, camera) for camera in CAMERAS}
    daxa = {camera: _points_of(image, camera) for camera, image in images.items()}
    curve = {cut: {camera: with_sep(cut, *image) for camera, image in images.items()} for cut in CUTS}
    judges = curve[CUTS[0]]
    figures = []
    for camera in CAMERAS:
        other = [name for name in CAMERAS if name != camera]
        # daxa's are confirmed by sep at its lowest threshold, sep's by daxa: never by the same method or camera.
        mine = {name: _confirmed(own, [judges[one] for one in other]) for name, own in daxa[camera].items()}
        points = {cut: _confirmed(curve[cut][camera], [daxa[one][USUAL] for one in other]) for cut in CUTS}
        beaten = [
            cut for cut, (good, bad) in points.items()
            if not any(more >= good and fewer < max(bad, 1) for more, fewer in mine.values())
        ]  # fmt: skip
        texts = [", ".join(f"{cut}: {good}/{bad}" for cut, (good, bad) in one.items()) for one in (mine, points)]
        text = f"daxa at {texts[0]}; sep at sigma {texts[1]}" + (f"; missed: {beaten}" if beaten else "")
        figures.append(Figure(
            f"{camera}: confirmed/unconfirmed", text,
            "for each point of sep's curve one of daxa's with as many or more confirmed and fewer unconfirmed",
            not beaten,
        ))  # fmt: skip
    return figures


CHECKS = (
    Check("a907-rings", "Background over counts, in rings about A907", "the counts themselves",
          "0404910601 pn, MOS1, MOS2 (images and maps of SAS)", check_rings),
    Check("a907-sep", "Sources confirmed in another camera by the other method", "sep at six thresholds",
          "0404910601 pn, MOS1, MOS2", check_curve),
)  # fmt: skip
