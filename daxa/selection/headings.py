"""One heading for each quantity, and one way to show it, in every table for people.

JSON and files keep plain numbers in the units of `daxa.selection.schema`: MJD, seconds, degrees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, SupportsFloat

from daxa.quantities import band_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HEADINGS", "band_cell", "cell", "for_people", "headings", "moment"]

HEADINGS: Mapping[str, str] = {
    "row": "row",
    "mission": "mission",
    "obs_id": "ObsID",
    "target": "target",
    "ra": "RA (deg)",
    "dec": "Dec (deg)",
    "target_ra": "target RA (deg)",
    "target_dec": "target Dec (deg)",
    "start": "start (UTC)",
    "end": "end (UTC)",
    "public_date": "public (UTC)",
    "exposure": "exposure (ks)",
    "instrument": "instrument",
    "instruments": "instruments",
    "exposure_id": "exposure ID",
    "band": "band (keV)",
    "kind": "kind",
    "size": "size",
    "path": "path",
    "step": "step",
    "category": "category",
    "mode": "mode",
    "off_axis": "off-axis (arcmin)",
    "counts": "counts",
    "background": "background (counts)",
    "rate": "rate (count/s)",
    "limit": "upper limit (count/s)",
    "quality": "quality",
    "approximate": "approximate",
    "owner": "owner",
}
"""Name of a column, as JSON and files have it, to its heading."""

_EPOCH = datetime(1858, 11, 17)  # noqa: DTZ001 - all of them are UTC, and said to be so in the heading
_DATES = ("start", "end", "public_date")
_FORMS = {
    "ra": ".4f",
    "dec": "+.4f",
    "target_ra": ".4f",
    "target_dec": "+.4f",
    "off_axis": ".2f",
    "background": ".1f",
    "rate": ".3g",
    "limit": ".3g",
}


def headings(names: Sequence[str]) -> list[str]:
    """The headings of columns.

    Examples
    --------
    >>> headings(["obs_id", "exposure"])
    ['ObsID', 'exposure (ks)']
    """
    return [HEADINGS.get(name, name.replace("_", " ")) for name in names]


def cell(name: str, value: object) -> object:
    """A value as the table of its column shows it; '' for one that is not known.

    Examples
    --------
    >>> cell("start", 53882.39), cell("exposure", 23456.7), cell("dec", -11.06), cell("rate", float("nan"))
    ('2006-05-27T09:21', 23.5, '-11.0600', '')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if name in _DATES and isinstance(value, SupportsFloat):
        return moment(float(value))
    if name == "exposure" and isinstance(value, SupportsFloat):
        return round(float(value) / 1000, 1)
    return format(value, _FORMS[name]) if name in _FORMS else value


def for_people(table: pd.DataFrame) -> pd.DataFrame:
    """A table as people read it: headings with units, dates, and nothing where a value is not known.

    Examples
    --------
    >>> import pandas as pd
    >>> for_people(pd.DataFrame({"obs_id": ["0404910601"], "start": [53882.39]})).to_dict("records")
    [{'ObsID': '0404910601', 'start (UTC)': '2006-05-27T09:21'}]
    """
    shown = {name: [cell(name, value) for value in table[name]] for name in table.columns}
    return type(table)(dict(zip(headings(list(shown)), shown.values(), strict=True)))


def band_cell(lo_kev: float | None, hi_kev: float | None) -> str:
    """Energies from and to, keV, without the unit that the heading has; '' where there are none.

    Examples
    --------
    >>> band_cell(0.5, 2.0)
    '0.5-2'
    """
    if lo_kev is None or hi_kev is None or not math.isfinite(lo_kev):
        return ""
    return band_text((lo_kev, hi_kev)).removesuffix(" keV")


def moment(mjd: float) -> str:
    """A time as an ISO date, to the minute; a whole day without hours, '' for none.

    Examples
    --------
    >>> moment(53882.39), moment(53882.0), moment(float("nan"))
    ('2006-05-27T09:21', '2006-05-27', '')
    """
    if not math.isfinite(mjd):
        return ""
    try:
        text = (_EPOCH + timedelta(minutes=math.floor(mjd * 1440 + 1e-6))).isoformat(timespec="minutes")
    except OverflowError:
        return f"MJD {mjd:g}"
    return text.removesuffix("T00:00")
