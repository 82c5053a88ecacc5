"""Detection on simulated Chandra observations: a point spread function as measured, not the one that is fitted."""

from __future__ import annotations

import numpy as np

from benchmarks.validation.checks import Check, Figure, poisson, told
from benchmarks.validation.scenes import acis_empty, acis_populated
from benchmarks.validation.simulated import count_false, expected_counts, pull_figures, pulls_of, searched

__all__ = ["CHECKS"]

_NEAR = 240.0
"""Arcsec from the axis."""


def check_acis(scale: float) -> list[Figure]:
    """Pulls by distance from the axis, and false sources on empty fields."""
    fields = [searched(acis_populated, seed, "ACIS", 1.0) for seed in range(max(1, round(8 * scale)))]

    def near(one, number: int) -> bool:
        point = one.field.points[number]
        return bool(np.hypot(point.u, point.v) < _NEAR)

    inner = pulls_of(fields, lambda one, row, n: near(one, n) and one.table["quality"][row] == 0, 30.0)
    outer = pulls_of(fields, lambda one, row, n: not near(one, n) and one.table["quality"][row] == 0, 30.0)
    there = sum(expected_counts(one, n) >= 30 for one in fields for n in range(len(one.rates)))
    every = pulls_of(fields, lambda *_: True, 30.0)
    empty = [searched(acis_empty, seed, "ACIS", 3.0) for seed in range(max(1, round(6 * scale)))]
    return [
        *pull_figures("to 4 arcmin off the axis", inner),
        *pull_figures("beyond", outer),
        told("found, of at least 30 counts", f"{len(every.rate)} of {there}"),
        poisson("empty fields", *count_false(empty)),
    ]


CHECKS = (
    Check("acis", "Pulls and false sources in Chandra lists", "the simulation, whose photons name their sources",
          "simulated ACIS-I lists through the whole chain", check_acis),
)  # fmt: skip
