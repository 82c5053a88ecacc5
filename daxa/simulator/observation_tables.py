"""The columns of HEASARC's observation tables: names, types and units of their columns.

Names are those that ``TAP_SCHEMA.columns`` listed in September 2026 for ``xmmmaster``
and ``numaster``; for ``chanmaster`` those that its documentation page names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["Row", "TableColumn", "complete_rows", "table_columns"]

Cell = str | float | None
Row = Mapping[str, Cell]
"""A row of a table: column to text, number or None."""


@dataclass(frozen=True)
class TableColumn:
    """One column as VOTable describes it.

    Parameters
    ----------
    name, datatype
        Lower-case name; ``char``, ``double`` or ``int``.
    width
        Characters of a ``char`` column: values are padded to it.
    unit, ucd
        As HEASARC gives them, '' without.
    """

    name: str
    datatype: str
    width: int = 0
    unit: str = ""
    ucd: str = ""


_COLUMNS = {
    "xmmmaster": """
        __row __x_ra_dec __y_ra_dec __z_ra_dec bii class data_in_heasarc dec distribution_date duration end_time
        estimated_exposure lii mos1_mode mos1_num mos1_time mos2_mode mos2_num mos2_time name obsid odf_date om_mode
        om_num om_time pi_fname pi_lname pi_title pn_mode pn_num pn_time pno pps_flag pps_version process_date
        process_status public_date ra rgs1_mode rgs1_num rgs1_time rgs2_mode rgs2_num rgs2_time sas_version
        scheduled_duration status subject_category time xmm_revolution""",
    "numaster": """
        __row __x_ra_dec __y_ra_dec __z_ra_dec abstract bii caldb_version category_code comments coordinated copi_fname
        copi_lname country cycle data_gap dec end_time exposure_a exposure_b instrument_mode issue_flag lii name
        nupsdout obs_type observation_mode obsid ontime_a ontime_b pi_fname pi_lname priority prnb processing_date
        public_date ra roll_angle slew_mode software_version solar_activity spacecraft_mode status subject_category
        time title""",
    "chanmaster": """
        __row __x_ra_dec __y_ra_dec __z_ra_dec bii category class cycle data_mode dec detector exposure grating lii name
        obsid pi proposal public_date ra sequence_number status time type""",
}

_UNITS = {
    "mjd": "time end_time public_date distribution_date odf_date process_date processing_date",
    "s": """duration estimated_exposure scheduled_duration mos1_time mos2_time pn_time om_time rgs1_time rgs2_time
        exposure exposure_a exposure_b ontime_a ontime_b nupsdout""",
    "degree": "ra dec lii bii roll_angle",
    "": "__x_ra_dec __y_ra_dec __z_ra_dec",
}
_UNIT_OF = {name: unit for unit, names in _UNITS.items() for name in names.split()}
_WHOLE = frozenset(
    {
        "category_code",
        "class",
        "cycle",
        "data_gap",
        "issue_flag",
        "mos1_num",
        "mos2_num",
        "om_num",
        "pn_num",
        "rgs1_num",
        "rgs2_num",
        "xmm_revolution",
    }
)
# A number in xmmmaster, words in chanmaster.
_LABELS = frozenset({("chanmaster", "class")})
_WIDTHS = {
    "class": 50,
    "subject_category": 60,
    "name": 30,
    "obsid": 11,
    "title": 120,
    "abstract": 200,
    "pi_title": 8,
    "data_in_heasarc": 1,
}
_UCDS = {"ra": "pos.eq.ra;meta.main", "dec": "pos.eq.dec;meta.main", "obsid": "meta.id;meta.main", "name": "meta.id"}


def table_columns(table: str, rows: Iterable[Row] = ()) -> tuple[TableColumn, ...]:
    """The columns of a table; of an unknown one, what its rows hold.

    Examples
    --------
    >>> next(column for column in table_columns("numaster") if column.name == "time").unit
    'mjd'
    """
    if table in _COLUMNS:
        return tuple(_describe(name, table=table) for name in _COLUMNS[table].split())
    found: dict[str, TableColumn] = {"__row": _describe("__row")}
    for row in rows:
        for name, value in row.items():
            found.setdefault(name, _describe(name, value))
    return tuple(found.values())


def _describe(name: str, value: Cell = "", *, table: str = "") -> TableColumn:
    ucd = _UCDS.get(name, "")
    if name in _UNIT_OF:
        return TableColumn(name, "double", 0, _UNIT_OF[name], ucd)
    if isinstance(value, int) or (name in _WHOLE and isinstance(value, str) and (table, name) not in _LABELS):
        return TableColumn(name, "int", 0, "", ucd)
    if isinstance(value, float):
        return TableColumn(name, "double", 0, "", ucd)
    return TableColumn(name, "char", _WIDTHS.get(name, 20), "", ucd)


def complete_rows(rows: Iterable[Row]) -> list[dict[str, Cell]]:
    """Give rows what every HEASARC table has: ``__row`` and the unit vector of the position.

    Parameters
    ----------
    rows
        Rows with ``ra`` and ``dec`` in degrees where they are known.
    """
    completed = []
    for number, row in enumerate(rows, start=1):
        full = {"__row": str(number), **row}
        ra, dec = row.get("ra"), row.get("dec")
        if isinstance(ra, float) and isinstance(dec, float) and math.isfinite(ra) and math.isfinite(dec):
            alpha, delta = math.radians(ra), math.radians(dec)
            full["__x_ra_dec"] = math.cos(delta) * math.sin(alpha)
            full["__y_ra_dec"] = math.cos(delta) * math.cos(alpha)
            full["__z_ra_dec"] = math.sin(delta)
        completed.append(full)
    return completed
