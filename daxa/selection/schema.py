"""The columns of a selection: one schema for all missions, with units and meanings.

Inside daxa a table of observations is a `pandas.DataFrame` with these columns,
plain floats in the units below.  Unit, UCD and description go into the file
(`daxa.selection.selection_file`), where other programs read them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from daxa.errors import CriteriaError, DataError
from daxa.missions.facts import CATEGORIES
from daxa.missions.spec import SAFE_ID, MissionSpec

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = [
    "COLUMNS",
    "Column",
    "arrange",
    "check_table",
    "choose_exposures",
    "column_names",
    "instrument_exposures",
    "is_category",
    "is_instruments",
    "is_mode",
    "is_obs_id",
    "table_digest",
    "valid_exposures",
    "write_exposures",
]


@dataclass(frozen=True)
class Column:
    """One column of a selection.

    Parameters
    ----------
    name, kind
        Its name, and whether it holds texts or 64-bit floats.
    unit
        VOUnits text ('' for texts).
    ucd
        UCD1+ word (IVOA controlled vocabulary).
    description
        One sentence.
    system
        ``icrs`` or ``utc`` for coordinates in those systems.
    nullable
        NaN means "unknown".
    limits
        Smallest and largest possible number.
    """

    name: str
    kind: Literal["text", "float"]
    unit: str
    ucd: str
    description: str
    system: Literal["", "icrs", "utc"] = ""
    nullable: bool = False
    limits: tuple[float, float] = (float("-inf"), float("inf"))


_MJD = (1.0, 1e5)

COLUMNS: tuple[Column, ...] = (
    Column("obs_id", "text", "", "meta.id;meta.main", "Identifier of the observation, as its archive writes it"),
    Column("target", "text", "", "meta.id;src", "Name of the target, as its archive writes it"),
    Column("ra", "float", "deg", "pos.eq.ra;meta.main", "Right ascension of the pointing", "icrs", limits=(0, 360)),
    Column("dec", "float", "deg", "pos.eq.dec;meta.main", "Declination of the pointing", "icrs", limits=(-90, 90)),
    Column("start", "float", "d", "time.start;obs", "Start of the observation, MJD", "utc", True, _MJD),
    Column(
        "end",
        "float",
        "d",
        "time.end;obs",
        "End of the observation, MJD; start plus exposure where the archive gives no end",
        "utc",
        True,
        _MJD,
    ),
    Column(
        "exposure", "float", "s", "time.duration;obs.exposure", "Exposure that the archive states", "", True, (0, 1e9)
    ),
    Column("instruments", "text", "", "meta.id;instr", "Chosen instruments that have data, separated by commas"),
    # Archives write "never" as a day some thousand years ahead.
    Column("public_date", "float", "d", "time.release", "When the data become public, MJD", "utc", True, (1.0, 1e6)),
    Column(
        "category", "text", "", "src.class", "What was observed, as a code of daxa; empty where the archive is silent"
    ),
    Column(
        "mode", "text", "", "instr.setup", "Modes of the instruments, as the archive writes them, separated by blanks"
    ),
    Column(
        "roll",
        "float",
        "deg",
        "pos.posAng",
        "Position angle of the detector's y axis, from north through east",
        "icrs",
        True,
        (0, 360),
    ),
    Column(
        "exposures",
        "text",
        "",
        "time.duration;obs.exposure",
        "Exposure in seconds of each of the instruments, in their order, separated by commas; empty where unknown",
    ),
)
"""Every column, in the order of the file."""

_INSTRUMENTS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:,[A-Za-z0-9][A-Za-z0-9_-]*)*")
_SECONDS = re.compile(r"(?:\d{1,10}(?:\.\d{1,20})?(?:e-\d{1,3})?)?", re.ASCII)
_LONGEST_MODE = 200


def column_names() -> tuple[str, ...]:
    """Names of the columns, in order.

    Examples
    --------
    >>> column_names()[:4]
    ('obs_id', 'target', 'ra', 'dec')
    """
    return tuple(column.name for column in COLUMNS)


def arrange(table: pd.DataFrame) -> pd.DataFrame:
    """The schema's columns in the schema's order, sorted by ObsID, numbered from 0.

    Raises
    ------
    DataError
        A column is missing.
    """
    missing = [name for name in column_names() if name not in table.columns]
    if missing:
        raise DataError(
            "selection-columns",
            f"a table of observations lacks the column {', '.join(missing)}",
            remedy="make the table with daxa.Mission",
        )
    return table[list(column_names())].sort_values("obs_id", kind="stable").reset_index(drop=True)


def check_table(table: pd.DataFrame, spec: MissionSpec, *, name: str) -> None:
    """Refuse a table with impossible values.

    Parameters
    ----------
    table
        In the schema's columns.
    spec
        The mission whose ObsIDs and instruments it holds.
    name
        What to call it in an error, usually the file's name.

    Raises
    ------
    DataError
        A malformed or repeated ObsID, an unknown instrument, a position off the sky or
        a missing value; the message names the observation.
    """
    for column in COLUMNS:
        values = table[column.name]
        wrong = ~valid_exposures(table) if column.name == "exposures" else _wrong_values(column, values, spec)
        for bad in values.index[wrong][:1]:
            raise _damaged(f"{name}: the {column.name} {values[bad]!r} of ObsID {table['obs_id'][bad]!r} is not valid")
    repeated = table["obs_id"][table["obs_id"].duplicated()]
    if len(repeated):
        raise _damaged(f"{name}: ObsID {repeated.iloc[0]!r} occurs twice")


def _wrong_values(column: Column, values: pd.Series, spec: MissionSpec) -> np.ndarray:
    import numpy as np

    if column.kind == "text":
        right = _TEXT_CHECKS.get(column.name, _is_text)
        return np.array([not right(value, spec) for value in values], dtype=bool)
    numbers = values.to_numpy(dtype=np.float64)
    within = (numbers >= column.limits[0]) & (numbers <= column.limits[1])
    wrong: np.ndarray = ~(within | (np.isnan(numbers) & column.nullable))
    return wrong


def is_obs_id(value: object, spec: MissionSpec) -> bool:
    """Whether a cell holds a well-formed ObsID of the mission."""
    try:
        return bool(SAFE_ID.fullmatch(spec.check_obs_id(value)))
    except CriteriaError:
        return False


def is_instruments(value: object, spec: MissionSpec) -> bool:
    """Whether a cell holds names of the mission's instruments, joined by commas."""
    known = {instrument.name for instrument in spec.instruments}
    return isinstance(value, str) and bool(_INSTRUMENTS.fullmatch(value)) and set(value.split(",")) <= known


def is_category(value: object, _spec: MissionSpec | None = None) -> bool:
    """Whether a cell holds a code of `daxa.missions.facts.CATEGORIES`, or ''."""
    return isinstance(value, str) and (value == "" or value in CATEGORIES)


def is_mode(value: object, _spec: MissionSpec | None = None) -> bool:
    """Whether a cell holds words that can be shown, or ''."""
    return isinstance(value, str) and value.isprintable() and len(value) <= _LONGEST_MODE


def _is_text(value: object, _spec: MissionSpec) -> bool:
    return isinstance(value, str)


_TEXT_CHECKS: dict[str, Callable[[object, MissionSpec], bool]] = {
    "obs_id": is_obs_id,
    "instruments": is_instruments,
    "category": is_category,
    "mode": is_mode,
}


def write_exposures(seconds: Sequence[float]) -> str:
    """Exposures of a row's instruments as its cell holds them.

    Examples
    --------
    >>> write_exposures([38221.4, float("nan"), 38000.0]), write_exposures([float("nan")])
    ('38221.4,,38000', '')
    """
    texts = ["" if one != one else repr(float(one)).removesuffix(".0") for one in seconds]  # noqa: PLR0124 - NaN
    return ",".join(texts) if any(texts) else ""


def choose_exposures(exposures: str, instruments: str, chosen: str) -> str:
    """A row's exposures cut to those of its instruments that were chosen.

    Examples
    --------
    >>> choose_exposures("15000,19000,", "PN,M1,M2", "M1,M2"), choose_exposures("", "PN,M1", "PN")
    ('19000,', '')
    """
    known = dict(zip(instruments.split(","), exposures.split(","), strict=False))
    texts = [known.get(name, "") for name in chosen.split(",")]
    return ",".join(texts) if any(texts) else ""


def valid_exposures(table: pd.DataFrame) -> np.ndarray:
    """Whether each row says nothing, or one possible exposure (or nothing) for each of its instruments.

    Returns
    -------
    numpy.ndarray
        (n,) bool.
    """
    import numpy as np

    most = next(column.limits[1] for column in COLUMNS if column.name == "exposure")

    def sound(text: object, instruments: object) -> bool:
        if text == "":
            return True
        if not isinstance(text, str) or not isinstance(instruments, str):
            return False
        cells = text.split(",")
        return (
            any(cells)
            and len(cells) == len(instruments.split(","))
            and all(_SECONDS.fullmatch(cell) and (not cell or 0 < float(cell) <= most) for cell in cells)
        )

    rows = zip(table["exposures"].tolist(), table["instruments"].tolist(), strict=True)
    return np.fromiter((sound(*row) for row in rows), bool, len(table))


def instrument_exposures(table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """How long each of these instruments was exposed, as far as the table says.

    Parameters
    ----------
    table
        With sound ``instruments`` and ``exposures``.
    names
        Of k instruments.

    Returns
    -------
    numpy.ndarray
        (n, k) seconds; NaN where it is not known, or the instrument has no data.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"instruments": ["PN,M2", "M2", "PN"], "exposures": ["5,7.5", "8", ""]})
    >>> instrument_exposures(rows, ["PN", "M2"]).tolist()
    [[5.0, 7.5], [nan, 8.0], [nan, nan]]
    """
    import numpy as np

    found = np.full((len(table), len(names)), np.nan)
    which, kinds = table["instruments"].factorize()
    texts = table["exposures"].to_numpy(dtype=object)
    for number, kind in enumerate(kinds):
        own = kind.split(",")
        rows = np.flatnonzero((which == number) & (texts != ""))
        cells = ",".join(texts[rows]).split(",") if len(rows) else []
        seconds = np.array([cell or "nan" for cell in cells], dtype=np.float64).reshape(len(rows), len(own))
        for place, name in enumerate(names):
            if name in own:
                found[rows, place] = seconds[:, own.index(name)]
    return found


def _damaged(message: str) -> DataError:
    return DataError("selection-damaged", message, remedy="restore the file with `git checkout`")


def table_digest(table: pd.DataFrame) -> str:
    """SHA-256 of the rows, whatever their order, library versions or file format.

    Parameters
    ----------
    table
        In the schema's columns (others do not count); NaN equals NaN, and 0 equals -0.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> import pandas as pd
    >>> one = pd.DataFrame([{"obs_id": "001", "target": "A", "ra": 1.0, "dec": 2.0, "start": 5e4, "end": 5e4,
    ...     "exposure": 9.0, "instruments": "PN", "public_date": float("nan"), "category": "GCL", "mode": "",
    ...     "roll": 30.0, "exposures": "8"}])
    >>> table_digest(one) == table_digest(one.copy()), table_digest(one) == table_digest(one.assign(obs_id="1"))
    (True, False)
    """
    import numpy as np

    digest = hashlib.sha256()
    for column, (name, values) in zip(COLUMNS, arrange(table).items(), strict=True):
        digest.update(f"{name}:{len(values)}:".encode())
        if column.kind == "float":
            numbers = values.to_numpy(dtype="<f8", copy=True) + 0.0
            numbers[np.isnan(numbers)] = np.nan
            digest.update(numbers.tobytes())
        else:
            encoded = [text.encode("utf-8", "surrogatepass") for text in values.tolist()]
            digest.update(b"".join([b"%d:%b" % (len(text), text) for text in encoded]))
    return digest.hexdigest()
