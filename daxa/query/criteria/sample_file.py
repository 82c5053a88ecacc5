"""Files of objects as users have them: CSV, ECSV, FITS, VOTable, Parquet, in any state.

A file is read whole or not at all: one that is cut off, or whose rows and header do not
fit each other, would give other objects than were meant.
"""

from __future__ import annotations

import csv
import gzip
import io
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from daxa.errors import CriteriaError
from daxa.query.untrusted import PARSE_ERRORS, open_fits, parse_votable
from daxa.text import one_line

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table

__all__ = ["load_sample"]

_LARGEST_FILE = 2**31
_GZIP = b"\x1f\x8b"


def load_sample(path: Path, names: Collection[str]) -> Table | pd.DataFrame:
    """The table that a file holds.

    Parameters
    ----------
    path
        The file; its name says what kind it is of.
    names
        Columns (in lower case) that hold names: these stay texts, with their leading zeros.

    Raises
    ------
    CriteriaError
        ``sample``: its format is unknown, or it is absent, damaged, cut off or too large.
    """
    known = next((known for suffix, known in _KINDS.items() if path.name.lower().endswith(suffix)), None)
    if known is None:
        raise _unreadable(path, f"has an unknown format ({', '.join(_KINDS)})")
    kind, load = known
    import pyarrow as pa

    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ValueError(f"it is larger than {_LARGEST_FILE} bytes")
        with warnings.catch_warnings():
            # What astropy says about a file's style does not matter: every cell is checked later.
            warnings.simplefilter("ignore")
            return load(path, names)
    except UnicodeDecodeError:
        why = "it is not text in UTF-8; save it as UTF-8"
    except FileNotFoundError:
        raise CriteriaError("sample", f"{one_line(str(path), 200)} does not exist", remedy="check its path") from None
    except OSError as error:
        why = error.strerror or str(error)
    except MemoryError:
        why = "it claims to be larger than the memory of this machine"
    except (*PARSE_ERRORS, pa.ArrowException, csv.Error, zlib.error, RecursionError) as error:
        why = str(error)
    raise _unreadable(path, f"cannot be read as {kind}: {one_line(why)}")


def _unreadable(path: Path, what: str) -> CriteriaError:
    return CriteriaError(
        "sample",
        f"{one_line(path.name, 60)} {what}",
        remedy="give a complete file: CSV in UTF-8 with a header line, ECSV, FITS, VOTable or Parquet",
    )


def _load_csv(path: Path, names: Collection[str]) -> pd.DataFrame:
    import pandas as pd

    with path.open(encoding="utf-8-sig", newline="") as stream:
        header = next(csv.reader(stream, skipinitialspace=True), [])
    # pandas would call the second one by another name, and the first one would be taken.
    if repeated := [name for name, count in Counter(header).items() if name and count > 1]:
        raise ValueError(f"it has several columns {', '.join(map(repr, repeated[:5]))}")
    texts = {name: str for name in header if name.strip().lower() in names}
    with warnings.catch_warnings():
        # Rows that are longer than the header would lose their first or their last cells.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(
                path, dtype=texts, keep_default_na=False, skipinitialspace=True, index_col=False, encoding="utf-8-sig"
            )
        except pd.errors.ParserWarning:
            raise ValueError("its rows have more cells than its first line has names") from None


def _load_fits(path: Path, _names: Collection[str]) -> Table:
    from astropy.io.fits import VerifyError
    from astropy.table import Table

    content = path.read_bytes()
    if content.startswith(_GZIP):
        with gzip.open(io.BytesIO(content)) as stream:
            content = stream.read(_LARGEST_FILE + 1)
    with open_fits(content) as hdus:
        try:
            return Table.read(hdus, format="fits")
        except VerifyError as error:
            raise ValueError(str(error)) from None


def _load_votable(path: Path, _names: Collection[str]) -> Table:
    tables = list(parse_votable(path.read_bytes()).iter_tables())
    if len(tables) != 1:
        raise ValueError(f"it holds {len(tables)} tables, not one")
    return tables[0].to_table()


def _load_ecsv(path: Path, _names: Collection[str]) -> Table:
    from astropy.table import Table

    return Table.read(path.read_text(encoding="utf-8-sig").splitlines(), format="ascii.ecsv")


def _load_parquet(path: Path, _names: Collection[str]) -> Table:
    from astropy.table import Table

    from daxa.parquet import read_parquet

    with path.open("rb") as stream:
        read = read_parquet(stream, check=_check_unpacked, limit=_LARGEST_FILE)
    if repeated := [name for name, count in Counter(read.column_names).items() if count > 1]:
        raise ValueError(f"it has several columns {', '.join(map(repr, repeated[:5]))}")
    units = {field.name: (field.metadata or {}).get(b"unit", b"").decode("utf-8", "replace") for field in read.schema}
    return Table(
        {name: read.column(name).to_numpy() for name in read.column_names},
        units={name: unit for name, unit in units.items() if unit},
    )


def _check_unpacked(_schema: object, _rows: int, unpacked: int) -> None:
    if not 0 <= unpacked <= _LARGEST_FILE:
        raise ValueError(f"it holds {unpacked} bytes once unpacked")


_KINDS: dict[str, tuple[str, Callable[[Path, Collection[str]], Table | pd.DataFrame]]] = {
    ".csv": ("csv", _load_csv),
    ".fits": ("fits", _load_fits),
    ".fit": ("fits", _load_fits),
    ".fits.gz": ("fits", _load_fits),
    ".vot": ("votable", _load_votable),
    ".xml": ("votable", _load_votable),
    ".votable": ("votable", _load_votable),
    ".ecsv": ("ecsv", _load_ecsv),
    ".parquet": ("parquet", _load_parquet),
}
