"""Calibration files of SAS, and the choice among them that cifbuild makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits


def write_ccf(folder: Path, name: str, *, valid: str = "1998-01-01", until: str = "", submitted: str = "") -> Path:
    """A calibration file with the cards of its validity, which holds nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    primary = fits.PrimaryHDU()
    primary.header["CATEGORY"] = "XMMCCF"
    for key, date in (("VALDATE", valid), ("EVALDATE", until), ("SUBDATE", submitted)):
        if date:
            primary.header[key] = date
    primary.writeto(folder / name, overwrite=True)
    return folder / name


def chosen(folder: Path, observed: str, analysed: str) -> list[str]:
    """Names of the files that hold for an observation, of each scope and type the highest issue."""
    best: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() != ".ccf":
            continue
        try:
            cards = fits.getheader(path)
        except OSError:  # Some tests write a text.
            cards = fits.Header()
        after = [cards[key] <= date for key, date in (("VALDATE", observed), ("SUBDATE", analysed)) if key in cards]
        if all(after) and cards.get("EVALDATE", "~") >= observed:
            best[path.stem.rpartition("_")[0]] = path.name
    return sorted(best.values())


def write_index(target: Path, names: list[str], cards: dict[str, str]) -> None:
    """An index of calibration files."""
    issues = [int(name.rpartition("_")[2].partition(".")[0]) for name in names]
    columns = [fits.Column("FILENAME", "60A", array=names), fits.Column("ISSUE", "J", array=issues)]
    table = fits.BinTableHDU.from_columns(columns, nrows=len(names), name="CALINDEX")
    table.header.update(cards)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(target, overwrite=True)


def names_in(index: Path) -> list[str]:
    """Names of the files in an index."""
    return [str(name) for name in np.asarray(fits.getdata(index, "CALINDEX")["FILENAME"])]
