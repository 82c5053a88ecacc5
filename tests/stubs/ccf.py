"""Calibration files of SAS, and the choice among them that cifbuild makes."""

from __future__ import annotations

from pathlib import Path

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
    """An index of calibration files, with some of the columns of real ones."""
    parts = [name.partition(".")[0].split("_") for name in names]
    columns = [
        fits.Column("SCOPE", "6A", array=[part[0] for part in parts]),
        fits.Column("TYPEID", "32A", array=["_".join(part[1:-1]) for part in parts]),
        fits.Column("ISSUE", "I", array=[int(part[-1]) for part in parts]),
        fits.Column("FNAME", "256A", array=names),
    ]
    table = fits.BinTableHDU.from_columns(columns, nrows=len(names), name="CALINDEX")
    table.header.update(cards)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(target, overwrite=True)
