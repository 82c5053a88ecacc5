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


def check_curve(_scale: float) -> list[Figure]:
    """Both methods' detections, each confirmed by the other method in another camera."""
    try:
        import sep  # noqa: F401
    except ImportError:
        raise NoDataError("sep is not installed: pip install --group benchmark") from None
    found = _found(real_data() / "xmm" / "0404910601")
    daxa = {camera: np.column_stack((one[2]["x"], one[2]["y"])) for camera, one in found.items()}
    curve = {cut: {camera: with_sep(cut, *one[:2]) for camera, one in found.items()} for cut in CUTS}
    judges = curve[CUTS[0]]
    figures = []
    for camera in CAMERAS:
        other = [name for name in CAMERAS if name != camera]
        # daxa's are confirmed by sep at its lowest threshold, sep's by daxa: never by the same method or camera.
        mine = _confirmed(daxa[camera], [judges[name] for name in other])
        points = {cut: _confirmed(curve[cut][camera], [daxa[name] for name in other]) for cut in CUTS}
        met = all(mine[0] >= good or mine[1] < bad for good, bad in points.values())
        text = ", ".join(f"{cut:g}: {good}/{bad}" for cut, (good, bad) in points.items())
        figures.append(
            Figure(f"{camera}: confirmed/unconfirmed", f"daxa {mine[0]}/{mine[1]}; sep at sigma {text}",
                   "no point of sep's curve confirms more with as few or fewer unconfirmed", met)
        )  # fmt: skip
    return figures


CHECKS = (
    Check("a907-rings", "Background over counts, in rings about A907", "the counts themselves",
          "0404910601 pn, MOS1, MOS2 (images and maps of SAS)", check_rings),
    Check("a907-sep", "Sources confirmed in another camera by the other method", "sep at six thresholds",
          "0404910601 pn, MOS1, MOS2", check_curve),
)  # fmt: skip
