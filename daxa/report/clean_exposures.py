"""How long the cleaned exposures are, as a table that `dvc plots` draws."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable

from daxa.missions.spec import SAFE_ID

__all__ = ["HISTOGRAM", "exposure_histogram"]

HISTOGRAM = "exposures.csv"
"""Its name in the report."""

_EDGES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Of the bins, ks: fixed, so that versions of an archive can be compared."""


def exposure_histogram(found: Iterable[tuple[str, str, float]]) -> str:
    r"""A table in CSV: good time of cleaned exposures, mission, instrument, and how many there are.

    Parameters
    ----------
    found
        Mission, instrument and good time (s) of every cleaned exposure.

    Examples
    --------
    >>> print(exposure_histogram([("xmm", "PN", 12500.0), ("xmm", "PN", 15000.0), ("xmm", "M1", 400.0)]), end="")
    clean_exposure_ks,mission,instrument,exposures
    0-1,xmm,M1,1
    10-20,xmm,PN,2
    """
    # Ledgers may be a stranger's.
    named = ((mission, name if SAFE_ID.fullmatch(name) else "unknown", good) for mission, name, good in found)
    counts = Counter((max(bisect_right(_EDGES, good / 1000), 1), mission, name) for mission, name, good in named)
    lines = [f"{_bin(at)},{mission},{name},{count}" for (at, mission, name), count in sorted(counts.items())]
    return "\n".join(["clean_exposure_ks,mission,instrument,exposures", *lines, ""])


def _bin(at: int) -> str:
    return f"over {_EDGES[-1]}" if at == len(_EDGES) else f"{_EDGES[at - 1]}-{_EDGES[at]}"
