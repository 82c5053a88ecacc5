"""The simulated fields: point sources over the field, near a cluster, beside gaps, and none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.validation.acislist import AcisField, AcisPoint
from benchmarks.validation.epiclist import CAMERAS, UNIT, Camera, Cluster, Field, Point

__all__ = [
    "acis_empty",
    "acis_populated",
    "beside_gaps",
    "cluster_alone",
    "cluster_on_gap",
    "empty",
    "in_pairs",
    "near_cluster",
    "populated",
    "populated_king",
]

_ARCMIN = 60.0 / UNIT
_APART = 60.0 / UNIT
_OFFSET = {"M1": 1, "PN": 2}


def _draw(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _name(kind: int, seed: int) -> str:
    return f"09{kind:02d}{seed:04d}01"


def _spread_out(rng: np.random.Generator, number: int, draw, counts, taken=(), *, apart: float = _APART) -> list[Point]:
    """Point sources at drawn places, by default at least an arcminute apart, as many as fit."""
    points: list[Point] = list(taken)
    for _ in range(400 * number):
        if len(points) == number + len(taken):
            break
        x, y = draw()
        if all(np.hypot(one.detx - x, one.dety - y) > apart for one in points):
            points.append(Point(float(x), float(y), _draw(rng, *counts)))
    return points


def _in_field(rng: np.random.Generator, camera: Camera, arcmin: float = 11.0):
    x0, y0, _ = camera.circle
    radius, around = arcmin * _ARCMIN * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
    return x0 + radius * np.cos(around), y0 + radius * np.sin(around)


def populated(seed: int, camera: str = "M1", *, counts=(15.0, 500.0), number: int = 25) -> Field:
    """Point sources all over the field."""
    rng = np.random.default_rng([11, seed, _OFFSET[camera]])
    points = _spread_out(rng, number, lambda: _in_field(rng, CAMERAS[camera]), counts)
    return Field(_name(1, seed), seed, camera, points)


def populated_king(seed: int, camera: str = "M1") -> Field:
    """The same with the King functions of the calibration files: wider than daxa's, which follow measured energies."""
    return replace(populated(seed, camera), obs_id=_name(6, seed), psf="king")


def empty(seed: int, camera: str = "M1") -> Field:
    """Nothing but background."""
    return Field(_name(2, seed), 1000 + seed, camera)


def _cluster(rng: np.random.Generator) -> Cluster:
    x, y = rng.uniform(-1500, 1500, 2)
    return Cluster(float(x), float(y), counts=8000.0, core=_draw(rng, 25.0, 60.0))


def cluster_alone(seed: int, camera: str = "M1") -> Field:
    """A cluster, and no point source."""
    return Field(_name(3, seed), 2000 + seed, camera, clusters=(_cluster(np.random.default_rng([13, seed])),))


def cluster_on_gap(seed: int, camera: str = "M1") -> Field:
    """A cluster of 3,000 to 100,000 counts whose centre lies within 20 arcsec of the middle of a gap."""
    rng = np.random.default_rng([18, seed, _OFFSET[camera]])
    [place] = _spread_out(rng, 1, lambda: _by_gap(rng, CAMERAS[camera], 20.0, 0.5), (60.0, 400.0))
    cluster = Cluster(
        place.detx, place.dety, counts=_draw(rng, 3e3, 1e5), core=_draw(rng, 25.0, 80.0), beta=rng.uniform(0.55, 0.75)
    )
    return Field(_name(8, seed), 8000 + seed, camera, clusters=(cluster,))


def near_cluster(seed: int, camera: str = "M1") -> Field:
    """A cluster, four point sources 0.8 to 2 arcmin from its centre, and 12 farther out."""
    rng = np.random.default_rng([14, seed])
    cluster = _cluster(rng)

    def close():
        radius, around = rng.uniform(0.8, 2.0) * _ARCMIN, rng.uniform(0, 2 * np.pi)
        return cluster.detx + radius * np.cos(around), cluster.dety + radius * np.sin(around)

    def far():
        while True:
            x, y = _in_field(rng, CAMERAS[camera])
            if np.hypot(x - cluster.detx, y - cluster.dety) > 3.0 * _ARCMIN:
                return x, y

    points = _spread_out(rng, 4, close, (100.0, 500.0))
    points = _spread_out(rng, 12, far, (15.0, 500.0), taken=points)
    return Field(_name(4, seed), 3000 + seed, camera, points, (cluster,))


def _by_gap(rng: np.random.Generator, chips: Camera, arcsec: float, share: float) -> tuple[float, float]:
    """A place so near to the middle of a gap between two chips, within this share of the field's radius."""
    x0, y0, radius = chips.circle
    width, height = (pixels * chips.side for pixels in chips.size)
    while True:
        corner = np.array(chips.origins[rng.integers(len(chips.origins))])
        across, along = rng.uniform(-arcsec, arcsec) / UNIT - 80.0, rng.random()
        if rng.random() < 0.5:
            x, y = corner[0] + across, corner[1] + along * height
        else:
            x, y = corner[0] + along * width, corner[1] + across
        inside = np.hypot(x - x0, y - y0) < share * radius
        other = chips.locate(np.array([x - 400, x + 400, x, x]), np.array([y, y, y - 400, y + 400]))[0]
        if inside and (other > 0).all() and len(set(other)) > 1:
            return x, y


def beside_gaps(seed: int, camera: str = "M1") -> Field:
    """Twenty point sources within 12 arcsec of the middle of a gap between chips."""
    rng, chips = np.random.default_rng([15, seed]), CAMERAS[camera]
    points = _spread_out(rng, 20, lambda: _by_gap(rng, chips, 12.0, 0.65), (60.0, 400.0))
    return Field(_name(5, seed), 4000 + seed, camera, points)


def in_pairs(seed: int, camera: str = "M1") -> Field:
    """Thirteen pairs of point sources, 20 to 90 arcsec apart."""
    rng = np.random.default_rng([17, seed])
    singles = _spread_out(rng, 13, lambda: _in_field(rng, CAMERAS[camera], 10.0), (30.0, 500.0), apart=2.5 * _ARCMIN)
    points: list[Point] = []
    for one in singles:
        away, around = rng.uniform(20.0, 90.0) / UNIT, rng.uniform(0, 2 * np.pi)
        x, y = one.detx + away * np.cos(around), one.dety + away * np.sin(around)
        points += [one, Point(float(x), float(y), _draw(rng, 30.0, 500.0))]
    return Field(_name(7, seed), 7000 + seed, camera, points)


def acis_populated(seed: int, camera: str = "ACIS") -> AcisField:
    """Thirty point sources within 7 arcmin of the axis."""
    del camera
    rng = np.random.default_rng([16, seed])
    points: list[AcisPoint] = []
    while len(points) < 30:
        radius, around = 420.0 * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        u, v = radius * np.cos(around), radius * np.sin(around)
        if all(np.hypot(one.u - u, one.v - v) > 40.0 for one in points):
            points.append(AcisPoint(float(u), float(v), _draw(rng, 10.0, 400.0)))
    return AcisField(f"98{seed:03d}", seed, points)


def acis_empty(seed: int, camera: str = "ACIS") -> AcisField:
    """Nothing but background."""
    del camera
    return AcisField(f"97{seed:03d}", 1000 + seed)
