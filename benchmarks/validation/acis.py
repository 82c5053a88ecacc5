"""Detection on simulated Chandra images: a point spread function as measured, not the Gaussian that is fitted."""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.validation.checks import Check, Figure, poisson, told
from benchmarks.validation.optics import draw_acis
from benchmarks.validation.simulated import Pulls, pull_figures
from daxa.xray.detection.detect import find_sources
from daxa.xray.detection.psf import psf_for

__all__ = ["CHECKS"]

SIDE, PIXEL, SECONDS = 1024, 0.984, 3e4
_LEVEL = 0.02
_GAP = 12


def _exposure() -> np.ndarray:
    """Four chips, the gap between them blurred by nothing: seconds, without vignetting (daxa's map has none)."""
    seconds = np.full((SIDE, SIDE), SECONDS)
    middle = slice(SIDE // 2 - _GAP // 2, SIDE // 2 + _GAP // 2)
    seconds[middle] = seconds[:, middle] = 0.0
    return seconds


def _image(seed: int, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, and the sources' pixels (from 1) and expected counts."""
    rng, seconds = np.random.default_rng([17, seed]), _exposure()
    counts = rng.poisson(_LEVEL * (seconds > 0))
    places: list[np.ndarray] = []
    while len(places) < number:
        place = rng.uniform(40, SIDE - 40, 2)
        away = np.abs(place - SIDE / 2).min() > 40
        if away and all(np.hypot(*(place - other)) > 45 for other in places):
            places.append(place)
    expected = np.exp(rng.uniform(np.log(10), np.log(400), number))
    for place, mean in zip(places, expected, strict=True):
        arcmin = float(np.hypot(*(place - SIDE / 2 - 0.5))) * PIXEL / 60.0
        spread = np.array(draw_acis(rng, rng.poisson(mean), arcmin)) / PIXEL
        column, line = np.rint(place[:, None] + spread - 1).astype(int)
        inside = (column >= 0) & (column < SIDE) & (line >= 0) & (line < SIDE)
        column, line = column[inside], line[inside]
        seen = seconds[line, column] > 0
        np.add.at(counts, (line[seen], column[seen]), 1)
    return counts, np.array(places).reshape(-1, 2), expected


def check_acis(scale: float) -> list[Figure]:
    """Pulls by distance from the axis, and false sources on empty images."""
    seconds, psf = _exposure(), psf_for("ACIS", PIXEL, kev=1.0, axis=(SIDE / 2 - 0.5, SIDE / 2 - 0.5))
    near, far, found_all, there_all = Pulls(), Pulls(), 0, 0
    for seed in range(max(1, round(6 * scale))):
        print(f"  acis {seed}", file=sys.stderr, flush=True)
        counts, places, expected = _image(seed, 40)
        found = find_sources(counts, seconds, psf, workers=1)
        own = np.column_stack((found["x"], found["y"]))
        for place, mean in zip(places, expected, strict=True):
            if mean < 30:
                continue
            there_all += 1
            away = np.hypot(*(own - place).T)
            row = int(np.argmin(away))
            if away[row] * PIXEL > 6.0 or found["quality"][row]:
                continue
            found_all += 1
            group = near if np.hypot(*(place - SIDE / 2)) * PIXEL < 240 else far
            group.add_values(
                [(found[axis][row] - place[n]) / found[f"{axis}_error"][row] for n, axis in enumerate("xy")],
                (found["rate"][row], found["rate_low"][row], found["rate_high"][row]),
                mean / SECONDS,
            )
    empty, claimed = 0, 0.0
    for seed in range(max(1, round(4 * scale))):
        nothing = find_sources(_image(1000 + seed, 0)[0], seconds, psf, false_per_field=3.0, workers=1)
        empty, claimed = empty + len(nothing), claimed + nothing.expected_false
    return [
        *pull_figures("to 4 arcmin off the axis", near),
        *pull_figures("beyond", far),
        told("found, of at least 30 counts", f"{found_all} of {there_all}"),
        poisson("empty images", empty, claimed),
    ]


CHECKS = (
    Check("acis", "Pulls and false sources in Chandra images", "the simulation",
          "simulated ACIS images of 0.98 arcsec pixels, given their exposure", check_acis),
)  # fmt: skip
