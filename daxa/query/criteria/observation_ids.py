"""ObsIDs as users give them: one by one, or as a table that they already have, such as `astroquery.heasarc` returns."""

from __future__ import annotations

import re
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daxa.errors import CriteriaError
from daxa.missions.facts import USUAL_COLUMNS
from daxa.missions.spec import MissionSpec
from daxa.text import one_line

if TYPE_CHECKING:
    from daxa.query.criteria.accepted_types import TableLike

__all__ = ["is_table", "obs_id_of", "read_obs_table"]

_NAMES = (*USUAL_COLUMNS["obs_id"], "obs_id", "observation_id", "scw_id", "observationid", "obs")
"""Names of a column of ObsIDs, in upper or lower case: HEASARC's, XSA's, and those of the standards (ObsCore)."""

_FILE = re.compile(r".*\.(csv|ecsv|fits?|fits\.gz|vot|votable|xml|parquet)", re.IGNORECASE | re.DOTALL)
_LONGEST_ID = 20
_WHOLE = re.compile(r"(\d{1,19})(?:\.0)?", re.ASCII)


def obs_id_of(spec: MissionSpec, value: str | int) -> str:
    """An ObsID, which may be given as a whole number where no zero can be lost.

    Raises
    ------
    CriteriaError
        It is not an ObsID of the mission, or a number that may have lost zeros.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> obs_id_of(find_mission("chandra"), 18461), obs_id_of(find_mission("xmm"), "0404910601")
    ('18461', '0404910601')
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return spec.check_obs_id(value)
    text = str(value)
    padded = [text.zfill(length) for length in range(len(text), _LONGEST_ID)] if text.isdigit() else []
    forms = [one for one in dict.fromkeys(padded) if re.fullmatch(spec.id_pattern, one, re.ASCII)]
    if forms == [text]:
        return spec.check_obs_id(text)
    raise CriteriaError(
        "obs-id",
        f"the number {text[:30]} is not an ObsID of {spec.title}: ObsIDs are text; numbers lose leading zeros",
        remedy=f'write it in quotation marks, for instance "{forms[0] if forms else spec.id_example}"',
    )


def is_table(value: object) -> bool:
    """Whether a value is a table of observations, or a file that may hold one, rather than an ObsID.

    Examples
    --------
    >>> is_table("0404910601"), is_table("mine.ecsv"), is_table({"obsid": ["0404910601"]})
    (False, True, True)
    """
    if isinstance(value, str):
        return _FILE.fullmatch(value) is not None
    columns = hasattr(value, "colnames") or (hasattr(value, "columns") and hasattr(value, "to_numpy"))
    return isinstance(value, PathLike) or columns or hasattr(value, "keys")


def read_obs_table(spec: MissionSpec, value: TableLike) -> tuple[str, ...]:
    """The ObsIDs of a table, sorted, each once.

    Parameters
    ----------
    spec
        The mission whose observations they are.
    value
        A file (CSV, ECSV, FITS, VOTable, Parquet), an `astropy.table.Table`, a `pandas.DataFrame` or a mapping
        of columns.  One column must have a usual name of ObsIDs: the mission's own, ``obsid``, ``obs_id``,
        ``observation_id``, ``seq_id``, ``sequence_number`` or ``scw_id``, whatever the case.

    Raises
    ------
    CriteriaError
        ``obs-table``: there is no such column, or several, or no row.  ``obs-id``: a cell is not an ObsID; the
        message names its row.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> read_obs_table(find_mission("chandra"), {"OBSID": [18461, 754]})
    ('18461', '754')
    """
    own = spec.table.columns.get("obs_id", "")
    names = tuple(dict.fromkeys(name for name in (own, *_NAMES) if name))
    columns = _columns(value, names)
    cells = list(columns[_column_of(columns, names, spec)])
    if not cells:
        raise _bad("the table of observations has no rows")
    found = set()
    for row, cell in enumerate(cells, start=1):
        try:
            found.add(obs_id_of(spec, _plain(cell)))
        except CriteriaError as error:
            raise CriteriaError(
                error.name, f"row {row} of the table of observations: {error.message}", remedy=error.remedy
            ) from None
    return tuple(sorted(found))


def _columns(value: TableLike, names: tuple[str, ...]) -> dict[str, Any]:
    from daxa.query.criteria.sample import columns_of
    from daxa.query.criteria.sample_file import load_sample

    if isinstance(value, str | PathLike):
        try:
            value = load_sample(Path(value), names)
        except CriteriaError as error:
            raise CriteriaError("obs-table", error.message, remedy=error.remedy) from None
    try:
        return dict(columns_of(value))
    except CriteriaError:
        raise _bad(f"{one_line(value, 100)!r} is not a table of observations") from None


def _column_of(columns: dict[str, Any], names: tuple[str, ...], spec: MissionSpec) -> str:
    lowered: dict[str, list[str]] = {}
    for name in columns:
        lowered.setdefault(str(name).strip().lower(), []).append(name)
    for name in names:
        if len(same := lowered.get(name, [])) > 1:
            raise _bad(f"the table of observations has several columns {name}: {', '.join(same)}")
        if same:
            return same[0]
    seen = ", ".join(repr(one_line(name, 30)) for name in list(columns)[:10])
    raise _bad(f"the table has no column of ObsIDs of {spec.title} ({', '.join(names)}); it has {seen or 'none'}")


def _plain(cell: Any) -> Any:
    """A cell as text or whole number, without the blanks that FITS tables pad texts with."""
    import numpy as np

    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", "replace")
    if isinstance(cell, np.integer):
        return int(cell)
    if isinstance(cell, float | np.floating) and (whole := _WHOLE.fullmatch(repr(float(cell)))):
        return int(whole[1])  # a column of whole numbers in which some were missing
    return str(cell).strip() if isinstance(cell, str | float | np.floating) or cell is None else cell


def _bad(message: str) -> CriteriaError:
    return CriteriaError(
        "obs-table",
        message,
        remedy="give a table with a column obsid (texts, with their zeros), as CSV, ECSV, FITS, VOTable or Parquet",
    )
