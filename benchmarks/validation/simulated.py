"""Detection on simulated observations, judged by the origin of their photons."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np

from benchmarks.validation.chain import Observation, Searched, search_field
from benchmarks.validation.checks import Check, Figure, between, equal, poisson, told
from benchmarks.validation.epiclist import CLUSTER, UNIT, sky_pixel
from benchmarks.validation.origins import Judged, judge
from benchmarks.validation.scenes import (
    beside_gaps,
    cluster_alone,
    cluster_on_gap,
    empty,
    in_pairs,
    near_cluster,
    populated,
    populated_king,
)

__all__ = ["CHECKS", "Pulls", "count_false", "expected_counts", "judged", "pull_figures", "pulls_of", "searched"]

RADIUS = 15.0
"""Arcsec about a detection within which its photons are counted."""

_FALSE = 3.0
"""False sources asked for in each field of the tests of their number: more than usual, so that fewer fields tell."""


@cache
def searched(scene: Callable[..., Observation], seed: int, camera: str, asked: float) -> Searched:
    """A simulated field with what the chain made of it, each made once."""
    print(f"  {scene.__name__} {seed} ({camera})", file=sys.stderr, flush=True)
    return search_field(scene(seed, camera), false_per_field=asked)


def _fields(scene, number: float, scale: float, camera: str = "M1", asked: float = 1.0) -> list[Searched]:
    return [searched(scene, seed, camera, asked) for seed in range(max(1, round(number * scale)))]


def judged(one: Searched) -> Judged:
    """The detections of a field."""
    places = np.column_stack((one.table["x"], one.table["y"]))
    return judge(places, one.photons, radius=RADIUS / one.pixel)


class Pulls:
    """Deviations in units of their claimed errors, of the sources of some fields."""

    def __init__(self) -> None:
        self.place: list[float] = []
        self.rate: list[float] = []
        self.ratio: list[float] = []
        self.weight: list[float] = []

    def add(self, one: Searched, row: int, number: int) -> None:
        """A detection (row of the table) of a point source (from 0)."""
        table, true = one.table, float(one.rates[number])
        rate, low, high = (float(table[name][row]) for name in ("rate", "rate_low", "rate_high"))
        error = rate - low if rate > true else high - rate
        off = [float(table[axis][row] - one.places[number][n]) for n, axis in enumerate("xy")]
        place = [away / float(table[f"{axis}_error"][row]) for away, axis in zip(off, "xy", strict=True)]
        self.place += place
        self.rate.append((rate - true) / error)
        self.ratio.append(rate / true)
        self.weight.append(true**2 / error**2)
        if max(map(abs, (*place, self.rate[-1]))) > 4.0:
            print(
                f"    {one.field.obs_id} source {number + 1}, pixel {one.places[number].round(2).tolist()}, off by "
                f"{off[0]:.2f}, {off[1]:.2f} (pulls {place[0]:.1f}, {place[1]:.1f}), rate {rate / true:.2f} of the "
                f"truth (pull {self.rate[-1]:.1f}), {one.seen[number]} photons, quality {table['quality'][row]:.0f}",
                file=sys.stderr,
            )


def pulls_of(fields: Iterable[Searched], wanted: Callable[[Searched, int, int], bool], least: float) -> Pulls:
    """Pulls of the point sources that gave at least so many photons, of which ``wanted(field, row, number)`` is so."""
    pulls = Pulls()
    for one in fields:
        found = judged(one)
        for row in np.flatnonzero(found.points):
            number = int(found.origin[row]) - 1
            if expected_counts(one, number) >= least and wanted(one, row, number):
                pulls.add(one, row, number)
    return pulls


def expected_counts(one: Searched, number: int) -> float:
    """Counts that the image should hold of a source, from its true rate and the exposure at its place."""
    column, line = (round(value) - 1 for value in one.places[number])
    around = one.seconds[max(line - 3, 0) : line + 4, max(column - 3, 0) : column + 4]
    return float(one.rates[number] * around.max(initial=0.0))


def _robust(values: Sequence[float]) -> float:
    values = np.asarray(values)
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def pull_figures(where: str, pulls: Pulls, *, least: int = 8) -> list[Figure]:
    """Widths and means of pulls, for the table."""
    if len(pulls.rate) < least:
        return [told(f"{where}: pulls", f"only {len(pulls.rate)} sources")]
    place, rate = np.array(pulls.place), np.array(pulls.rate)
    number = len(rate)
    scatter = 1 / np.sqrt(2 * number)
    return [
        between(f"{where}: position, width of pulls", float(place.std()), 0.9, 1.1,
                error=scatter / np.sqrt(2), note=f", {number} sources; robust {_robust(place):.2f}"),
        between(f"{where}: flux, width of pulls", float(rate.std()), 0.9, 1.1, error=scatter,
                note=f"; robust {_robust(rate):.2f}"),
        between(f"{where}: flux, mean pull", float(rate.mean()), -0.1, 0.1, error=1 / np.sqrt(number)),
        told(f"{where}: flux over truth, weighted", f"{np.average(pulls.ratio, weights=pulls.weight):.3f}"),
        told(f"{where}: beyond 4 sigma", f"{int((np.abs(place) > 4).sum())} of {2 * number} coordinates, "
             f"{int((np.abs(rate) > 4).sum())} of {number} fluxes"),
    ]  # fmt: skip


def check_pulls_field(scale: float) -> list[Figure]:
    """Point sources over the field of both cameras, faint and bright ones apart."""
    figures = []
    for camera, scene, name in (("M1", populated, "M1"), ("PN", populated, "PN"), ("M1", populated_king, "M1, King")):
        fields = _fields(scene, 12, scale, camera)

        def of(low: float, high: float, fields=fields) -> Pulls:
            return pulls_of(
                fields, lambda one, row, n: one.table["quality"][row] == 0 and expected_counts(one, n) < high, low
            )

        figures += pull_figures(f"{name}, 30 to 100 counts", of(30.0, 100.0))
        figures += pull_figures(f"{name}, over 100 counts", of(100.0, np.inf))
    return figures


def _from_cluster(one: Searched, number: int) -> float:
    [cluster] = one.field.clusters
    point = one.field.points[number]
    return float(np.hypot(point.detx - cluster.detx, point.dety - cluster.dety)) * UNIT / 60.0


def check_pulls_cluster(scale: float) -> list[Figure]:
    """Point sources within 2 arcmin of a cluster, and those beyond in the same fields."""
    fields = _fields(near_cluster, 20, scale)
    close = pulls_of(fields, lambda one, _, n: _from_cluster(one, n) < 2.0, 40.0)
    far = pulls_of(fields, lambda one, row, n: _from_cluster(one, n) > 3.0 and one.table["quality"][row] == 0, 40.0)
    there = sum(
        _from_cluster(one, n) < 2.0 and expected_counts(one, n) >= 40 for one in fields for n in range(len(one.rates))
    )
    return [
        *pull_figures("within 2 arcmin of a cluster", close),
        told("within 2 arcmin of a cluster: found", f"{len(close.rate)} of {there} of at least 40 counts"),
        *pull_figures("beyond 3 arcmin of it", far),
    ]


def check_pulls_gaps(scale: float) -> list[Figure]:
    """Point sources within 12 arcsec of the middle of a gap."""
    fields = _fields(beside_gaps, 12, scale)
    every = pulls_of(fields, lambda *_: True, 40.0)
    figures = pull_figures("within 12 arcsec of a gap", every)
    marked = [row["quality"][k] for row, k in ((one.table, k) for one in fields for k in range(len(one.table["x"])))]
    return [*figures, told("detections marked GAP or EDGE", f"{sum(int(m) & 3 > 0 for m in marked)} of {len(marked)}")]


def check_pulls_pairs(scale: float) -> list[Figure]:
    """Point sources with another one 20 to 90 arcsec away, close ones apart; gaps are not left out."""
    fields = _fields(in_pairs, 72, scale)

    def neighbour(one: Searched, number: int) -> float:
        return float(np.sort(np.hypot(*(one.places - one.places[number]).T))[1]) * one.pixel

    close = pulls_of(fields, lambda one, _, n: neighbour(one, n) < 45.0, 30.0)
    far = pulls_of(fields, lambda one, _, n: 45.0 <= neighbour(one, n) < 90.0, 30.0)
    there = sum(expected_counts(one, n) >= 100 for one in fields for n in range(len(one.rates)))
    seen = pulls_of(fields, lambda *_: True, 100.0)
    return [
        *pull_figures("20 to 45 arcsec from another", close),
        *pull_figures("45 to 90 arcsec from another", far),
        told("20 to 90 arcsec from another: found", f"{len(seen.rate)} of {there} of at least 100 counts"),
    ]


def count_false(fields: Iterable[Searched]) -> tuple[int, float]:
    """False detections of fields, parts of clusters and of point sources among them, and how many were claimed."""
    fields = list(fields)
    return sum(int(judged(one).false.sum()) for one in fields), sum(one.expected_false for one in fields)


def check_false(scale: float) -> list[Figure]:
    """False sources on fields without any source, and on fields with a cluster alone."""
    figures = [
        poisson(f"{camera}, empty fields", *count_false(_fields(empty, 8, scale, camera, _FALSE)))
        for camera in ("M1", "PN")
    ]
    for camera in ("M1", "PN"):
        fields = _fields(cluster_alone, 8, scale, camera, _FALSE)
        figures.append(poisson(f"{camera}, fields with a cluster", *count_false(fields)))
        parts = sum(int(((found := judged(one)).origin >= CLUSTER).sum() - found.clusters.sum()) for one in fields)
        seen = sum(int(judged(one).clusters.sum()) for one in fields)
        figures.append(told(f"{camera}, clusters found, parts of them", f"{seen} of {len(fields)}; {parts} parts"))
    return figures


def check_bodies(scale: float) -> list[Figure]:
    """Clusters of all brightnesses that gaps between chips divide: one extended source each."""
    figures = []
    for camera in ("M1", "PN"):
        fields = _fields(cluster_on_gap, 12, scale, camera)
        entries, most, away = [], [], []
        for one in fields:
            found = judged(one)
            extended = (one.table["extent"] > 0) & (found.origin >= CLUSTER)
            entries.append(int(extended.sum()))
            if entries[-1]:
                place = one.at(*sky_pixel(one.field, [one.field.clusters[0].detx], [one.field.clusters[0].dety]))[0]
                main = int(np.argmax(np.where(extended, one.table["counts"], -1.0)))
                away.append(
                    float(np.hypot(one.table["x"][main] - place[0], one.table["y"][main] - place[1])) * one.pixel
                )
                most.append(one.table["counts"][main] / (one.photons.origin >= CLUSTER).sum())
        wrong = sum(number != 1 for number in entries)
        figures += [
            equal(f"{camera}: clusters that are not one extended source", wrong, len(fields)),
            told(f"{camera}: arcsec from the centre, median and largest", f"{np.median(away):.1f}, {max(away):.1f}"),
            told(f"{camera}: counts over those of the cluster", f"{min(most):.2f} to {max(most):.2f}"),
        ]
    return figures


def check_rings(scale: float) -> list[Figure]:
    """Background over what it should be, in rings about a cluster."""
    figures = []
    for name, fields in (("cluster alone", _fields(cluster_alone, 8, scale, "M1", _FALSE)),
                         ("cluster and point sources", _fields(near_cluster, 20, scale))):  # fmt: skip
        model, true = np.zeros(12), np.zeros(12)
        for one in fields:
            [cluster] = one.field.clusters
            [(x0, y0)] = one.at(*sky_pixel(one.field, [cluster.detx], [cluster.dety]))
            rings, inside = _rings(one, x0, y0)
            others = one.photons.origin <= 0
            others |= one.photons.origin >= CLUSTER
            places = np.rint(one.photons.places[others] - 1).astype(int)
            fits_in = ((places >= 0) & (places < one.counts.shape[0])).all(axis=1)
            column, line = places[fits_in].T
            here = inside[line, column]
            true += np.bincount(rings[line, column][here], minlength=12)[:12]
            model += np.bincount(rings[inside], one.background[inside], minlength=12)[:12]
        for ring in range(3, 10):
            error = 1 / np.sqrt(max(true[ring], 1))
            what = f"{name}: {ring} to {ring + 1} arcmin"
            figures.append(between(what, model[ring] / true[ring], 0.9, 1.1, error=error))
    return figures


def _rings(one: Searched, x0: float, y0: float) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.indices(one.counts.shape) + 1.0
    rings = np.minimum((np.hypot(x - x0, y - y0) * one.pixel / 60.0).astype(int), 11)
    return rings, (one.seconds > 0.1 * one.seconds.max()) & (one.background > 0)


_OWN = "the simulation, whose photons name their sources"
CHECKS = (
    Check("pulls-field", "Pulls of position and flux in the field", _OWN,
          "simulated EPIC lists through the whole chain", check_pulls_field),
    Check("pulls-cluster", "Pulls beside a cluster", _OWN,
          "simulated EPIC lists with a beta-model cluster", check_pulls_cluster),
    Check("pulls-gaps", "Pulls beside gaps between chips", _OWN, "simulated EPIC lists", check_pulls_gaps),
    Check("pulls-pairs", "Pulls of close pairs", _OWN, "simulated EPIC lists", check_pulls_pairs),
    Check("false", "Number of false sources", "Poisson statistics of the number that daxa claims",
          "simulated EPIC lists: empty fields, and fields with a cluster", check_false),
    Check("bodies", "Clusters that gaps divide are one source", _OWN,
          "simulated EPIC lists with a cluster on a gap", check_bodies),
    Check("rings-simulated", "Background over true background, in rings about a cluster", _OWN,
          "simulated EPIC lists with a cluster", check_rings),
)  # fmt: skip
