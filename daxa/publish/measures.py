"""What tasks measured, as recorded in ledgers: exposures that were cleaned, images that were searched for sources.

A ledger may come from a stranger: what does not have the right form is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from daxa.run.task import LedgerRow

__all__ = [
    "UNMEASURED",
    "Measured",
    "cleaned_exposures",
    "measured_by_instrument",
    "searched_images",
    "total",
    "total_of",
]


@dataclass(frozen=True)
class Measured:
    """Totals over exposures; None if nothing was measured.

    Parameters
    ----------
    exposure
        Good time of the cleaned exposures, s.
    lost
        Fraction of the archive's good time that is cut.
    counts
        Events in the cleaned lists.
    sources
        Sources in the lists of all images that were searched, so that one seen in two images counts twice.
    """

    exposure: float | None = None
    lost: float | None = None
    counts: int | None = None
    sources: int | None = None

    def as_dict(self) -> dict[str, float | int]:
        """The measurements, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


UNMEASURED = Measured()


def cleaned_exposures(row: LedgerRow | None) -> list[Mapping[str, Any]]:
    """The cleaned exposures of an observation.

    Examples
    --------
    >>> cleaned_exposures(LedgerRow("0404910601", "done", "", measures='{"exposures":[{"good":"long"}]}'))
    []
    """
    whole = json.loads(row.measures) if row and row.measures else None
    exposures = whole.get("exposures") if isinstance(whole, dict) else None
    return [one for one in exposures if _is_cleaned(one)] if isinstance(exposures, list) else []


def searched_images(row: LedgerRow | None) -> list[Mapping[str, Any]]:
    """The images of an observation in which sources were searched."""
    whole = json.loads(row.measures) if row and row.measures else None
    return [one for one in whole if _is_searched(one)] if isinstance(whole, list) else []


def total(rows: Mapping[str, LedgerRow | None]) -> Measured:
    """The measurements of an observation, from the rows of the steps that are to be counted.

    Examples
    --------
    >>> total({"sources": LedgerRow("0404910601", "done", "", measures='[{"instrument":"PN","sources":12}]')})
    Measured(exposure=None, lost=None, counts=None, sources=12)
    """
    return total_of([rows.get("clean")], [rows.get("sources")])


def total_of(cleaned: Iterable[LedgerRow | None], searched: Iterable[LedgerRow | None]) -> Measured:
    """Totals over observations, from their rows of the steps ``clean`` and ``sources``."""
    return _sum(
        [one for row in cleaned for one in cleaned_exposures(row)],
        [one for row in searched for one in searched_images(row)],
    )


def measured_by_instrument(
    cleaned: Iterable[LedgerRow | None], searched: Iterable[LedgerRow | None]
) -> dict[str, Measured]:
    """Totals over observations, for each instrument, by name.

    Parameters
    ----------
    cleaned, searched
        Rows of the steps ``clean`` and ``sources``.
    """
    exposures = _grouped(one for row in cleaned for one in cleaned_exposures(row))
    images = _grouped(one for row in searched for one in searched_images(row))
    return {name: _sum(exposures.get(name, []), images.get(name, [])) for name in sorted({*exposures, *images})}


def _grouped(found: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for one in found:
        groups.setdefault(str(one.get("instrument", ""))[:40], []).append(one)
    return groups


def _sum(exposures: list[Mapping[str, Any]], images: list[Mapping[str, Any]]) -> Measured:
    good, archived = (math.fsum(one[key] for one in exposures) for key in ("good", "archived"))
    # Lists that were cleaned before events were counted have no number.
    counts = [one["events"] for one in exposures if "events" in one]
    return Measured(
        round(good, 3) if exposures else None,
        (round(1 - good / archived, 6) if archived > 0 else 0.0) if exposures else None,
        sum(counts) if counts and len(counts) == len(exposures) else None,
        sum(one["sources"] for one in images) if images else None,
    )


def _is_cleaned(one: object) -> bool:
    if not isinstance(one, dict) or not isinstance(one.get("left"), dict):
        return False
    return (
        all(map(_is_number, (one.get("good"), one.get("archived"), *one["left"].values())))
        and _is_count(one.get("events", 0))
        and isinstance(one.get("flares"), str)
        and isinstance(one.get("anomalous"), list)
    )


def _is_searched(one: object) -> bool:
    return isinstance(one, dict) and _is_count(one.get("sources"))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 60
