"""Writing FITS files whose headers read like those of a mission's pipeline.

Cards are in the order given, tables hold exactly the bytes given, and nothing depends
on the clock, so that the same seed gives the same file.
"""

from __future__ import annotations

import gzip
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from astropy.io import fits

__all__ = ["Cards", "FitsColumn", "checksummed", "primary", "table", "write_fits"]

Cards = Iterable[tuple]
"""Tuples ``(keyword, value)`` or ``(keyword, value, comment)``."""

_BLOCK = 2880
_SIMULATED = (
    ("SIMULATD", True, "simulated: no telescope saw this"),
    ("COMMENT", "Simulated for demonstrations and tests of daxa; not an observation."),
)
_KINDS = {"D": ">f8", "E": ">f4", "J": ">i4", "I": ">i2", "B": "u1"}


@dataclass(frozen=True)
class FitsColumn:
    """One column of a binary table.

    Parameters
    ----------
    name, form
        TTYPE and TFORM; forms of letters A B D E I J X with a repeat count.
    values
        One value a row; shape (n, repeat) for vectors and for bits (X).
    unit
        TUNIT, '' for none.
    comment
        Of the TTYPE card.
    cards
        Further cards of the column, without its number: ``(("TLMIN", 1), ("TNULL", -1))``.
    """

    name: str
    form: str
    values: np.ndarray
    unit: str = ""
    comment: str = ""
    cards: Sequence[tuple] = field(default=())

    @property
    def repeat(self) -> int:
        """Elements in a cell."""
        return int(self.form.rstrip(string.ascii_letters) or 1)

    @property
    def dtype(self) -> str:
        """How a cell is stored."""
        letter = self.form[-1]
        if letter == "A":
            return f"S{self.repeat}"
        if letter == "X":
            return f"({(self.repeat + 7) // 8},)u1"
        return _KINDS[letter] if self.repeat == 1 else f"({self.repeat},){_KINDS[letter]}"

    def stored(self) -> np.ndarray:
        """The values as they are stored; bits are packed, the first one highest."""
        return np.packbits(np.asarray(self.values, dtype=bool), axis=1) if self.form[-1] == "X" else self.values


def primary(cards: Cards) -> bytes:
    """A primary HDU without data."""
    start = [("SIMPLE", True, "file does conform to FITS standard"), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)]
    return _header([*start, *cards, *_SIMULATED])


def table(name: str, columns: Sequence[FitsColumn], cards: Cards = (), *, rows: int | None = None) -> bytes:
    """A binary table HDU.

    Parameters
    ----------
    name
        EXTNAME.
    columns
        Their values must have equal lengths.
    cards
        Those that follow the description of the columns.
    rows
        Number of rows; None takes it from the first column.
    """
    count = len(columns[0].values) if rows is None else rows
    data = np.zeros(count, dtype=[(f"f{i}", column.dtype) for i, column in enumerate(columns)])
    described: list[tuple] = []
    for i, column in enumerate(columns, start=1):
        data[f"f{i - 1}"] = column.stored()
        described += [(f"TTYPE{i}", column.name, column.comment), (f"TFORM{i}", column.form)]
        described += [(f"TUNIT{i}", column.unit)] if column.unit else []
        described += [(f"{card[0]}{i}", *card[1:]) for card in column.cards]
    start = [
        ("XTENSION", "BINTABLE", "binary table extension"),
        ("BITPIX", 8, "8-bit bytes"),
        ("NAXIS", 2, "2-dimensional binary table"),
        ("NAXIS1", data.dtype.itemsize, "width of table in bytes"),
        ("NAXIS2", count, "number of rows in table"),
        ("PCOUNT", 0),
        ("GCOUNT", 1),
        ("TFIELDS", len(columns), "number of fields in each row"),
    ]
    raw = data.tobytes()
    header = _header(
        [*start, *described, ("EXTNAME", name, "name of this binary table extension"), *cards, *_SIMULATED]
    )
    return header + raw + b"\0" * (-len(raw) % _BLOCK)


def checksummed(hdu: bytes, *, blank_datasum: bool = False) -> bytes:
    """Add CHECKSUM and DATASUM to an HDU (FITS standard 4.0, section 4.4.2.7 and appendix J).

    Parameters
    ----------
    hdu
        Header and data.
    blank_datasum
        Leave DATASUM blank, as Chandra's pipeline does in primary HDUs.
    """
    header, size = _split(hdu)
    data = hdu[size:]
    header["CHECKSUM"] = "0" * 16
    header["DATASUM"] = "        " if blank_datasum else str(_ones_sum(data))
    text = _header(header.cards)
    header["CHECKSUM"] = _encoded(~_ones_sum(text + data) & 0xFFFFFFFF)
    return _header(header.cards) + data


def write_fits(path: Path, hdus: Iterable[bytes]) -> None:
    """Write a file, compressed when its name says so, without a time stamp."""
    raw = b"".join(hdus)
    if path.suffix in (".gz", ".FTZ"):
        raw = gzip.compress(raw, 4, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)


def _header(cards: Iterable) -> bytes:
    text = "".join(str(card) if isinstance(card, fits.Card) else _card(*card) for card in cards)
    text += "END".ljust(80)
    return text.encode("ascii").ljust(-(-len(text) // _BLOCK) * _BLOCK)


def _card(keyword: str, value: object, comment: str = "") -> str:
    value = value.item() if isinstance(value, np.generic) else value
    return _card_text(keyword, value, comment, repr(value))


@lru_cache(maxsize=1 << 15)
def _card_text(keyword: str, value: object, comment: str, written: str) -> str:
    """The text of a card; most headers of an observation share theirs.

    How the value is written tells apart what Python takes as equal, such as 1 and True.
    """
    del written
    if keyword == "COMMENT":
        return str(fits.Card(keyword, value))
    room = 80 - max(len(str(fits.Card(keyword, value)).rstrip()), 30) - 3
    return str(fits.Card(keyword, value, comment[: max(room, 0)]))


def _split(hdu: bytes) -> tuple[fits.Header, int]:
    end = next(place for place in range(0, len(hdu), 80) if hdu[place : place + 8] == b"END     ")
    return fits.Header.fromstring(hdu[:end]), -(-(end + 80) // _BLOCK) * _BLOCK


def _ones_sum(raw: bytes) -> int:
    total = int(np.frombuffer(raw, dtype=">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def _encoded(value: int) -> str:
    # Each byte becomes four characters that sum to it; pairs step apart where a character
    # would be punctuation.
    excluded = set(range(0x3A, 0x41)) | set(range(0x5B, 0x61))
    columns = []
    for byte in value.to_bytes(4, "big"):
        quarters = [byte // 4 + 0x30 + (byte % 4 if i == 0 else 0) for i in range(4)]
        while excluded & set(quarters):
            for i in (0, 2):
                if {quarters[i], quarters[i + 1]} & excluded:
                    quarters[i] += 1
                    quarters[i + 1] -= 1
        columns.append(quarters)
    text = "".join(chr(columns[byte][quarter]) for quarter in range(4) for byte in range(4))
    return text[-1] + text[:-1]
